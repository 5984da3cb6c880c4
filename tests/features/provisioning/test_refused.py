"""Whether creating is allowed is shown by tickets: what refused them is found by name, and the first that arrives ends it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.core import clock
from app.core.clock import SetClock
from app.core.messages import T
from app.features.connection.connection_view import connection_view
from app.features.connection.models import Connection
from app.features.provisioning.checks.authorization import check_consent
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.diagnosis import run_diagnosis
from app.features.provisioning.finding import Finding, State
from app.features.tickets.models import Ticket
from app.features.tickets.sharing import held_tickets
from app.features.tickets.types import TicketKind
from tests.factories.connecting import said, viewer_of
from tests.factories.system import System
from tests.factories.tickets import read_ticket, run_due_and_waiting, share_one


async def walked(system: System) -> dict[str, Finding]:
    return {finding.key: finding async for finding in run_diagnosis(system.resources)}


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
    before = await walked(system)
    assert key not in before  # Nothing could know it yet ...
    assert before[f"table_{kind.value}"].state is State.UNKNOWN  # ... nor that it works.
    assert "Only the first ticket proves it" in str(before[f"table_{kind.value}"].meaning)
    await run_due_and_waiting(system, rounds=3)
    assert (await read_ticket(system, ticket_id)).delivery == "held"

    finding = (await walked(system))[key]
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
    found = await walked(system)
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


async def test_a_business_rule_is_told_from_a_missing_role(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.mandatory_on_create = "assignment_group"
    first = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, rounds=3)
    finding = (await walked(system))["create_refused.incident"]
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
    assert "create_refused.incident" not in await walked(system)
    await _held(system, await share_one(system, TicketKind.INCIDENT), RULE)
    # Others arrive, so the table's card need not be hidden.
    assert not (await walked(system))["create_refused.incident"].is_problem


@pytest.mark.parametrize(
    "changes",
    [{"sent_at": None}, {"refusals": 0}, {"uncertain_until": clock.now()}, {"delivery": "given_up"}],
    ids=["never sent", "not refused", "may have landed", "given up"],
)
async def test_what_was_not_refused_on_creating_proves_nothing(system: System, changes: dict[str, Any]) -> None:
    await system.connect()
    await _held(system, await share_one(system, TicketKind.INCIDENT), RULE, **changes)
    assert "create_refused.incident" not in await walked(system)


async def test_a_new_consent_makes_old_refusals_history(system: System) -> None:
    await system.connect()
    await _held(system, await share_one(system, TicketKind.INCIDENT), RULE)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(connected_at=clock.now() + timedelta(seconds=1)))
    assert "create_refused.incident" not in await walked(system)


@pytest.mark.parametrize(
    ("seconds", "key", "words", "on_the_page"),
    [
        (172_800, "consent_ends_soon", "in 2 days", "The consent ends in 2 days."),
        (86_400, "consent_ends_soon", "less than two days", "The consent ends in 1 day."),
        (86_399, "consent_ends_soon", "less than two days", "The consent ends within a day."),
        (1, "consent_ends_soon", "less than two days", "The consent ends within a day."),
        (0, "consent_expired", "has expired", "The consent has ended."),
        (-1, "consent_expired", "has expired", "The consent has ended."),
    ],
)
async def test_a_consent_is_over_when_its_moment_has_come_and_not_a_day_before(
    system: System, still_clock: SetClock, seconds: int, key: str, words: str, on_the_page: str
) -> None:
    await system.connect()
    async with system.resources.database.transaction() as session:
        ends = still_clock.now() + timedelta(seconds=seconds)
        await session.execute(update(Connection).values(refresh_expires_at=ends))
    async with system.resources.database.transaction() as session:
        connection = await connection_view(session)
    assert connection is not None
    finding = await check_consent(CheckContext(system.resources, connection))
    assert finding.key == key
    assert words in str(finding.meaning)
    assert on_the_page in said(await (await system.signed_in("manager")).get("/servicenow"))
