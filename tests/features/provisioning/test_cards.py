"""Which cards the home page has: those that provisioning allows, and none comes or goes for a moment's trouble."""

from __future__ import annotations

import pytest

from app.features.connection.access import mark_attention
from app.features.provisioning.jobs import recheck
from app.foundation.text import T
from tests.factories.connecting import confirm, connect_by_pages, connections, requests, said, trouble
from tests.factories.house import House
from tests.factories.provisioning import provisioned, steps


@pytest.mark.parametrize(("fault", "key"), [("semaphore_full", "rate_limit"), ("dropped_before", "trouble")])
async def test_a_busy_moment_takes_no_working_card_away_and_the_clock_checks_again(
    house: House, fault: str, key: str
) -> None:
    await provisioned(house)
    manager = await house.signed_in("manager")
    for _ in range(2):
        trouble(house, fault, path="/table/incident")
        await manager.post("/ticketProvisioning/check/incident")
        await house.work()
        line = (await steps(house))["incident"]
        assert line.finding is not None
        assert (line.finding.key, line.state) == (key, "note")
        assert "ServiceNow incident management" in said(await manager.get("/"))
    await recheck.function(house.resources)
    await house.work()
    assert (await steps(house))["incident"].state == "unknown"


async def test_a_busy_moment_brings_no_card_back_that_cannot_work(house: House) -> None:
    await provisioned(house, acl_refuses="incident.read")
    manager = await house.signed_in("manager")
    trouble(house, "semaphore_full", path="/table/incident")
    await manager.post("/ticketProvisioning/check/incident")
    await house.work()
    assert (await steps(house))["incident"].state == "problem"
    assert "ServiceNow incident management" not in said(await manager.get("/"))


async def test_the_home_page_hides_a_card_that_cannot_work_and_says_what_is_missing(house: House) -> None:
    await provisioned(house, acl_refuses="incident.read")
    page = said(await (await house.signed_in("sharer")).get("/"))
    assert "ServiceNow change management" in page
    assert "ServiceNow incident management" not in page
    assert "Provisioning is not complete" in page
    assert "Incident: Reading records in incident is not allowed" in page
    house.snow.instance.switches.acl_refuses = ""
    await (await house.signed_in("manager")).post("/ticketProvisioning/check/incident")
    await house.work()
    page = said(await (await house.signed_in("sharer")).get("/"))
    assert "ServiceNow incident management" in page
    assert "Provisioning is not complete" not in page


async def test_the_clock_checks_again_what_failed_and_no_card_comes_and_goes_meanwhile(house: House) -> None:
    await provisioned(house, api_asleep=True)
    house.snow.instance.switches.api_asleep = False
    viewer = await house.signed_in("viewer")
    assert "The instance hibernates" in said(await viewer.get("/"))
    house.snow.instance.journal.clear()
    await recheck.function(house.resources)
    assert "ServiceNow change management" not in said(await viewer.get("/"))  # Nothing says yet that it is awake.
    await house.work()
    assert {line.state for line in (await steps(house)).values()} == {"good", "unknown"}
    assert "ServiceNow change management" in said(await viewer.get("/"))
    house.snow.instance.journal.clear()
    await recheck.function(house.resources)
    await house.work()
    assert requests(house, "/") == []  # Where nothing failed, nothing is asked.


async def test_cards_stay_while_the_connection_needs_attention_and_the_pages_say_so(house: House) -> None:
    await provisioned(house)
    connection = (await connections(house))[0]
    await mark_attention(house.resources, connection.id, T("The robot is locked."))
    await recheck.function(house.resources)
    manager = await house.signed_in("manager")
    home, page = said(await manager.get("/")), said(await manager.get("/ticketProvisioning"))
    assert "ServiceNow change management" in home
    assert "The robot is locked." in home
    assert "The cards stay on the home page" in page


async def test_no_card_appears_before_somebody_has_confirmed_the_account(house: House) -> None:
    manager = await house.signed_in("manager")
    await connect_by_pages(house, manager, user="fred.luddy", expected_user_name="m365.integration")
    home, page = said(await manager.get("/")), said(await manager.get("/ticketProvisioning"))
    assert "ServiceNow change management" not in home
    assert "not as the integration user m365.integration" in home
    assert "Hidden until somebody has confirmed the account." in page
    await confirm(manager)
    await house.work()
    assert "ServiceNow change management" in said(await manager.get("/"))
    # The same when it was connected before, and somebody else consents now.
    await connect_by_pages(house, manager, user="alex.wilber", expected_user_name="m365.integration")
    assert "ServiceNow change management" not in said(await manager.get("/"))


@pytest.mark.parametrize("address", ["check", "check/reach", "authorize"])
async def test_nothing_is_checked_before_somebody_has_confirmed_the_account(house: House, address: str) -> None:
    manager = await house.signed_in("manager")
    await connect_by_pages(house, manager, user="fred.luddy", expected_user_name="m365.integration")
    assert 'action="/ticketProvisioning/check"' not in (await manager.get("/servicenow/settings")).text
    await manager.post(f"/ticketProvisioning/{address}")
    await house.work()
    assert "ServiceNow change management" not in said(await manager.get("/"))
