"""Which cards the home page has: those that provisioning allows, and what is missing for the others."""

from __future__ import annotations

import pytest

from app.core.messages import T
from app.features.connection.tokens import mark_attention
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.jobs import recheck
from app.features.provisioning.readiness import hides_everything, readiness, readiness_after
from sandbox.servicenow.seeds import set_roles
from tests.factories.connecting import confirm, connect_by_pages, connections, said
from tests.factories.provisioning import provisioned
from tests.factories.system import System


async def test_a_missing_role_hides_its_own_card_only(system: System) -> None:
    store = system.servicenow.instance.store
    robot = store.find("sys_user", user_name="m365.integration")
    assert robot is not None
    set_roles(store, robot, "sn_incident_write,personalize_choices")
    found = await provisioned(system)
    change = found["change"].finding
    assert change is not None
    assert change.key == "role_missing.change_request.read"
    assert "sn_change_write and snc_platform_rest_api_access" in str(change.message)
    assert "m365.integration" in str(change.screen)
    async with system.resources.database.transaction() as session:
        ready = await readiness(session)
    assert ready.kinds == {"incident"}
    assert not ready.is_ready
    assert "Change request: Reading records in change_request is not allowed" in str(ready.missing[0])
    assert found["cards"].state == "note"
    outcome = found["cards"].finding
    assert outcome is not None
    assert str(outcome.meaning) == "Not every card is shown."


async def test_without_a_connection_nothing_is_ready_and_nothing_breaks(system: System) -> None:
    async with system.resources.database.transaction() as session:
        ready = await readiness(session)
    assert (ready.kinds, [str(line) for line in ready.missing]) == (frozenset(), ["ServiceNow is not connected."])
    manager = await system.signed_in("manager")
    assert (await manager.get("/ticketProvisioning")).status_code == 200
    assert (await manager.post("/ticketProvisioning/authorize")).headers["location"] == "/servicenow/connect"
    assert (await manager.post("/ticketProvisioning/check")).status_code == 303


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


async def test_no_card_appears_before_a_person_has_confirmed_the_account(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager, user="fred.luddy", expected_user_name="m365.integration")
    home, page = said(await manager.get("/")), said(await manager.get("/ticketProvisioning"))
    assert "ServiceNow change management" not in home
    assert "not as the integration user m365.integration" in home
    assert "Hidden until somebody has confirmed the account." in page
    await confirm(manager)
    await system.work()
    assert "ServiceNow change management" in said(await manager.get("/"))
    # The same when it was connected before, and another person consents now.
    await connect_by_pages(system, manager, user="alex.wilber", expected_user_name="m365.integration")
    assert "ServiceNow change management" not in said(await manager.get("/"))


PROBLEM = Finding("refused", State.PROBLEM, T("Checked."), T("It is refused."))


@pytest.mark.parametrize(
    ("failed", "kinds", "missing"),
    [
        ([], {"change", "incident"}, []),
        (["client", "clock"], {"change", "incident"}, []),
        (["release"], set(), ["It is refused."]),
        (["incident"], {"change"}, ["Incident: It is refused."]),
        (["change", "incident"], set(), ["Change request: It is refused.", "Incident: It is refused."]),
        (["token"], set(), ["It is refused."]),
        (["of_an_older_version"], {"change", "incident"}, []),
    ],
)
def test_each_failed_step_takes_away_the_kinds_that_need_it(
    failed: list[str], kinds: set[str], missing: list[str]
) -> None:
    ready = readiness_after(dict.fromkeys(failed, PROBLEM))
    assert (set(ready.kinds), [str(sentence) for sentence in ready.missing]) == (kinds, missing)
    assert ready.is_ready is (len(kinds) == 2)


@pytest.mark.parametrize(
    ("status", "was_checked", "expected"),
    [("unconfirmed", False, True), ("unconfirmed", True, False), ("connected", False, False)],
)
def test_an_account_that_no_person_has_confirmed_shows_no_card(status: str, was_checked: bool, expected: bool) -> None:
    assert hides_everything(status, was_checked=was_checked) is expected
