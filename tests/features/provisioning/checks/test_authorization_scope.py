"""A client without the authentication scope: named as what it is, on every page, and all tickets wait alike."""

from __future__ import annotations

import pytest

from app.features.provisioning.checks.authorization import check_scope
from app.features.provisioning.checks.finding_for_error import finding_for_error
from app.features.provisioning.finding import State
from app.integrations.http.errors import Forbidden
from app.integrations.servicenow.auth_scope import SCOPE_MISSING
from tests.factories.connecting import confirm, connect_by_pages, connections, said
from tests.factories.provisioning import check_context, diagnose
from tests.factories.system import System
from tests.factories.tickets import read_ticket, run_due_and_waiting, share_one, told


def test_a_refusal_for_the_scope_is_a_finding_of_its_own_that_speaks_of_no_role() -> None:
    error = Forbidden(SCOPE_MISSING)
    error.is_instance_wide = True
    finding = finding_for_error(check_context(), error)
    assert (finding.key, finding.state) == ("auth_scope_missing", State.PROBLEM)
    assert "useraccount" in str(finding.meaning)
    for screen in ("Machine Identity Console > Inbound integrations", "System OAuth > Application Registry"):
        assert screen in str(finding.screen)
        assert screen in str(finding.message)
    for box in ("Allow access only to APIs in selected scope", "Enforce token restriction"):
        assert box in str(finding.advice)


@pytest.mark.fact("servicenow 1.4")
@pytest.mark.parametrize(
    ("scope", "state", "words"),
    [
        ("useraccount", State.GOOD, "all the rights of the user"),
        ("", State.NOTE, "carries no scope"),
        ("table_read", State.NOTE, "the scope table_read and not useraccount"),
    ],
)
async def test_the_scope_that_came_with_the_token_is_judged(scope: str, state: State, words: str) -> None:
    finding = await check_scope(check_context(scope=scope))
    assert (finding.key, finding.state) == ("scope", state)
    assert words in str(finding.meaning)


@pytest.mark.fact("servicenow 1.7")
@pytest.mark.parametrize("wording", ["unscoped", "missing"])
async def test_connecting_a_client_without_the_scope_names_the_scope_and_asks_who_consented(
    system: System, monkeypatch: pytest.MonkeyPatch, wording: str
) -> None:
    monkeypatch.setattr("app.features.connection.authorize.READ_BACK_PAUSES", ())
    system.servicenow.instance.switches.auth_scope_missing = wording
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    [connection] = await connections(system)
    assert connection.status == "unconfirmed"
    assert "auth_scope_missing" in await diagnose(system)
    await confirm(manager)
    await system.work()
    page = await manager.get("/ticketProvisioning")
    assert 'data-finding="auth_scope_missing"' in page.text
    assert "role that is missing" not in said(page)
    found = await diagnose(system)
    assert found["auth_scope_missing"].is_problem
    assert not [key for key in found if key.startswith("role_missing")]


async def test_tickets_wait_for_the_scope_as_one_and_are_sent_once_it_is_there(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.auth_scope_missing = "missing"
    ids = [await share_one(system, name=f"Task {number}") for number in range(4)]
    await system.work()
    await run_due_and_waiting(system)
    tickets = [await read_ticket(system, ticket_id) for ticket_id in ids]
    assert {ticket.delivery for ticket in tickets} == {"queued"}
    assert {ticket.uncertain_until for ticket in tickets} == {None}
    assert {ticket.problem["code"] for ticket in tickets if ticket.problem} == {SCOPE_MISSING.code}
    page = await told(system, f"/tickets/{ids[0]}")
    assert "lacks the authentication scope useraccount" in page
    assert "cannot tell whether" not in page
    system.servicenow.instance.switches.auth_scope_missing = ""
    await run_due_and_waiting(system, rounds=2)
    assert {(await read_ticket(system, ticket_id)).delivery for ticket_id in ids} == {"shared"}
