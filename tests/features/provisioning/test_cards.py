"""Which cards the home page has: those that provisioning allows, and none comes or goes for a moment's trouble."""

from __future__ import annotations

import pytest

from app.core.messages import T
from app.features.connection.tokens import mark_attention
from app.features.provisioning.jobs import recheck
from tests.factories.connecting import confirm, connect_by_pages, connections, requests, said, trouble
from tests.factories.provisioning import provisioned, steps
from tests.factories.system import System


@pytest.mark.parametrize(("fault", "key"), [("semaphore_full", "rate_limit"), ("dropped_before", "trouble")])
async def test_a_busy_moment_takes_no_working_card_away_and_the_clock_checks_again(
    system: System, fault: str, key: str
) -> None:
    await provisioned(system)
    manager = await system.signed_in("manager")
    for _ in range(2):
        trouble(system, fault, path="/table/incident")
        await manager.post("/ticketProvisioning/check/incident")
        await system.work()
        line = (await steps(system))["incident"]
        assert line.finding is not None
        assert (line.finding.key, line.state) == (key, "note")
        assert "ServiceNow incident management" in said(await manager.get("/"))
    await recheck.function(system.resources)
    await system.work()
    assert (await steps(system))["incident"].state == "unknown"


async def test_a_busy_moment_brings_no_card_back_that_cannot_work(system: System) -> None:
    await provisioned(system, acl_refuses="incident.read")
    manager = await system.signed_in("manager")
    trouble(system, "semaphore_full", path="/table/incident")
    await manager.post("/ticketProvisioning/check/incident")
    await system.work()
    assert (await steps(system))["incident"].state == "problem"
    assert "ServiceNow incident management" not in said(await manager.get("/"))


async def test_the_home_page_hides_a_card_that_cannot_work_and_says_what_is_missing(system: System) -> None:
    await provisioned(system, acl_refuses="incident.read")
    page = said(await (await system.signed_in("sharer")).get("/"))
    assert "ServiceNow change management" in page
    assert "ServiceNow incident management" not in page
    assert "Provisioning is not complete" in page
    assert "Incident: Reading records in incident is not allowed" in page
    system.servicenow.instance.switches.acl_refuses = ""
    await (await system.signed_in("manager")).post("/ticketProvisioning/check/incident")
    await system.work()
    page = said(await (await system.signed_in("sharer")).get("/"))
    assert "ServiceNow incident management" in page
    assert "Provisioning is not complete" not in page


async def test_the_clock_checks_again_what_failed_and_no_card_comes_and_goes_meanwhile(system: System) -> None:
    await provisioned(system, api_asleep=True)
    system.servicenow.instance.switches.api_asleep = False
    viewer = await system.signed_in("viewer")
    assert "The instance hibernates" in said(await viewer.get("/"))
    system.servicenow.instance.journal.clear()
    await recheck.function(system.resources)
    assert "ServiceNow change management" not in said(await viewer.get("/"))  # Nothing says yet that it is awake.
    await system.work()
    assert {line.state for line in (await steps(system)).values()} == {"good", "unknown"}
    assert "ServiceNow change management" in said(await viewer.get("/"))
    system.servicenow.instance.journal.clear()
    await recheck.function(system.resources)
    await system.work()
    assert requests(system, "/") == []  # Where nothing failed, nothing is asked.


async def test_cards_stay_while_the_connection_needs_attention_and_the_pages_say_so(system: System) -> None:
    await provisioned(system)
    connection = (await connections(system))[0]
    await mark_attention(system.resources, connection.id, T("The robot is locked."))
    await recheck.function(system.resources)
    manager = await system.signed_in("manager")
    home, page = said(await manager.get("/")), said(await manager.get("/ticketProvisioning"))
    assert "ServiceNow change management" in home
    assert "The robot is locked." in home
    assert "The cards stay on the home page" in page


async def test_no_card_appears_before_somebody_has_confirmed_the_account(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="fred.luddy", expected_user_name="m365.integration")
    home, page = said(await manager.get("/")), said(await manager.get("/ticketProvisioning"))
    assert "ServiceNow change management" not in home
    assert "not as the integration user m365.integration" in home
    assert "Hidden until somebody has confirmed the account." in page
    await confirm(manager)
    await system.work()
    assert "ServiceNow change management" in said(await manager.get("/"))
    # The same when it was connected before, and somebody else consents now.
    await connect_by_pages(system, manager, user="alex.wilber", expected_user_name="m365.integration")
    assert "ServiceNow change management" not in said(await manager.get("/"))


@pytest.mark.parametrize("address", ["check", "check/reach", "authorize"])
async def test_nothing_is_checked_before_somebody_has_confirmed_the_account(system: System, address: str) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="fred.luddy", expected_user_name="m365.integration")
    assert 'action="/ticketProvisioning/check"' not in (await manager.get("/servicenow/settings")).text
    await manager.post(f"/ticketProvisioning/{address}")
    await system.work()
    assert "ServiceNow change management" not in said(await manager.get("/"))
