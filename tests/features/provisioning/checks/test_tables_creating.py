"""Whether creating is allowed is shown by tickets: what refused them is found by name, and the first that arrives ends it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.core import clock
from app.core.messages import T
from app.features.connection.models import Connection
from app.features.provisioning.checks.tables import CreateEvidence, create_refused
from app.features.provisioning.finding import State
from app.features.tickets.models import Ticket
from app.features.tickets.sharing import held_tickets
from app.features.tickets.types import TicketKind
from tests.factories.connecting import connect_by_pages, viewer_of
from tests.factories.provisioning import check_context, diagnose
from tests.factories.system import System
from tests.factories.tickets import read_ticket, run_due_and_waiting, share_one

pytestmark = pytest.mark.thorough


@pytest.mark.fact("servicenow 2.6")
@pytest.mark.parametrize(
    ("kind", "table", "role"),
    [(TicketKind.INCIDENT, "incident", "sn_incident_write"), (TicketKind.CHANGE, "change_request", "sn_change_write")],
)
async def test_a_refused_create_is_a_missing_role_until_the_first_ticket_arrives(
    system: System, kind: TicketKind, table: str, role: str
) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = f"{table}.create"
    ticket_id = await share_one(system, kind)
    key = f"role_missing.{table}.create"
    before = await diagnose(system)
    assert key not in before  # Nothing could know it yet ...
    assert before[f"table_{kind.value}"].state is State.UNKNOWN  # ... nor that it works.
    assert "Only the first ticket proves it" in str(before[f"table_{kind.value}"].meaning)
    await run_due_and_waiting(system, rounds=3)
    assert (await read_ticket(system, ticket_id)).delivery == "held"

    finding = (await diagnose(system))[key]
    assert finding.is_problem
    assert "ACL Exception Insert Failed" in str(finding.meaning)
    assert "(1 held)" in str(finding.meaning)
    assert role in str(finding.advice)
    assert "send the held tickets again" in str(finding.advice)
    assert "m365.integration" in str(finding.screen)
    assert role in str(finding.message)

    system.servicenow.instance.switches.acl_refuses = ""
    viewer = await viewer_of(system, await system.signed_in("sharer"))
    async with system.resources.database.transaction() as session:
        await held_tickets.retry(session, system.resources.queue, ticket_id, viewer=viewer)
    await run_due_and_waiting(system)
    found = await diagnose(system)
    assert key not in found
    assert found[f"table_{kind.value}"].state is State.GOOD
    assert "was created" in str(found[f"table_{kind.value}"].meaning)


async def _held(system: System, ticket_id: Any, sentence: str, **changes: Any) -> None:
    """The ticket as it stands after ServiceNow has refused its creation with these words."""
    now = clock.now()
    known = {"delivery": "held", "refusals": 2, "sent_at": now, "attempted_at": now, "uncertain_until": None}
    problem = T("ServiceNow refused: %(reason)s", reason=sentence).to_json()
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).where(Ticket.id == ticket_id).values(problem=problem, **(known | changes)))


RULE = "Operation Failed – Data Policy Exception: The following fields are mandatory: Assignment group"


@pytest.mark.fact("servicenow 2.6")
async def test_a_business_rule_is_told_from_a_missing_role(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.mandatory_on_create = "assignment_group"
    first = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, rounds=3)
    finding = (await diagnose(system))["create_refused.incident"]
    assert finding.is_problem  # None has ever arrived.
    assert "Assignment group" in str(finding.meaning)
    assert "Data Policies" in str(finding.screen)
    assert "m365.integration" in str(finding.message)

    viewer = await viewer_of(system, await system.signed_in("sharer"))
    async with system.resources.database.transaction() as session:
        await held_tickets.give_up(session, system.resources.queue, first, viewer=viewer)
    system.servicenow.instance.switches.mandatory_on_create = ""
    await share_one(system, TicketKind.INCIDENT)
    await system.work()
    assert "create_refused.incident" not in await diagnose(system)
    await _held(system, await share_one(system, TicketKind.INCIDENT), RULE)
    # Others arrive, so the table's card need not be hidden.
    assert not (await diagnose(system))["create_refused.incident"].is_problem


@pytest.mark.parametrize(
    "changes",
    [{"sent_at": None}, {"refusals": 0}, {"uncertain_until": clock.now()}, {"delivery": "given_up"}],
    ids=["never sent", "not refused", "may have landed", "given up"],
)
async def test_what_was_not_refused_on_creating_proves_nothing(system: System, changes: dict[str, Any]) -> None:
    await system.connect()
    await _held(system, await share_one(system, TicketKind.INCIDENT), RULE, **changes)
    assert "create_refused.incident" not in await diagnose(system)


async def test_a_new_consent_makes_old_refusals_history(system: System) -> None:
    await system.connect()
    await _held(system, await share_one(system, TicketKind.INCIDENT), RULE)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(connected_at=clock.now() + timedelta(seconds=1)))
    assert "create_refused.incident" not in await diagnose(system)


@pytest.mark.fact("servicenow 2.6")
@pytest.mark.parametrize(
    ("reason", "arrived", "key", "state"),
    [
        ("ACL Exception Insert Failed due to security constraints", "", "role_missing.incident.create", State.PROBLEM),
        (RULE, "", "create_refused.incident", State.PROBLEM),
        (RULE, "INC0000001", "create_refused.incident", State.NOTE),
    ],
)
def test_what_servicenow_said_tells_an_access_rule_from_a_rule_about_the_record(
    reason: str, arrived: str, key: str, state: State
) -> None:
    why = T("ServiceNow refused: %(reason)s", reason=reason)
    evidence = CreateEvidence(arrived, 2, why)
    finding = create_refused(check_context(), TicketKind.INCIDENT, evidence, why)
    assert (finding.key, finding.state) == (key, state)
    assert "(2 held)" in str(finding.meaning)
    assert reason in str(finding.meaning)


@pytest.mark.parametrize(("user", "proven"), [("m365.integration", True), ("fred.luddy", False)])
async def test_a_ticket_proves_creating_also_after_the_same_account_has_consented_again(
    system: System, user: str, *, proven: bool
) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system)
    await connect_by_pages(system, manager, user=user)
    found = await diagnose(system)
    assert ("table_incident" in found and found["table_incident"].state is State.GOOD) == proven
