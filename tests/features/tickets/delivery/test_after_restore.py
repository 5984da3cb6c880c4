"""What was sent after the backup is found after the restore, and not sent a second time."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text, update

from app.core import clock
from app.core.clock import SetClock
from app.features.tickets.delivery.after_restore import look_before_sending
from app.features.tickets.delivery.outbound import UNCERTAIN_SECONDS
from app.features.tickets.models import Ticket
from app.features.tickets.sharing.held_tickets import retry
from app.features.tickets.types import TicketKind
from tests.factories.connecting import viewer_of
from tests.factories.delivering import let_time_pass, note_deliveries, work_notes, write_note
from tests.factories.system import System
from tests.factories.tickets import calls, read_ticket, records, run_due_and_waiting, share_one, shared_ticket

TICKET_OF_BEFORE = text(
    "UPDATE ticket SET delivery = :delivery, attempts = 0, sent_at = NULL, sys_id = NULL, number = '', shared_at = NULL,"
    " uncertain_until = NULL, problem = :problem, next_try_at = now()"
)
NOTE_OF_BEFORE = text(
    "UPDATE ticket_note SET delivery = 'queued', attempts = 0, sent_at = NULL, shared_at = NULL, next_try_at = now()"
)
PROBLEM = '{"message": "Refused.", "values": {}}'


async def _take_back_to(system: System, delivery: str) -> None:
    """The ticket's row as it was before it was sent, as a backup of then has it; its record is in ServiceNow."""
    async with system.resources.database.transaction() as session:
        await session.execute(
            TICKET_OF_BEFORE, {"delivery": delivery, "problem": PROBLEM if delivery == "held" else None}
        )


async def _mark(system: System) -> None:
    async with system.resources.database.transaction() as session:
        for statement in look_before_sending(clock.now()):
            await session.execute(statement)


@pytest.mark.parametrize("chosen_sys_id", ["kept", "ignored"])
async def test_a_ticket_that_was_sent_after_the_backup_is_found(system: System, chosen_sys_id: str) -> None:
    system.servicenow.instance.switches.chosen_sys_id = chosen_sys_id
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await _take_back_to(system, "queued")
    await _mark(system)
    async with system.resources.database.transaction() as session:
        await system.resources.queue.defer(session, "tickets.deliver", ticket_id=str(ticket_id))
    await system.work()
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.sys_id) == ("shared", record["sys_id"])
    assert len(records(system, "incident")) == 1
    assert len(calls(system, "POST")) == 1


async def test_without_the_mark_it_would_be_sent_twice(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.chosen_sys_id = "ignored"
    ticket_id, _ = await shared_ticket(system)
    await _take_back_to(system, "queued")
    async with system.resources.database.transaction() as session:
        await system.resources.queue.defer(session, "tickets.deliver", ticket_id=str(ticket_id))
    await system.work()
    assert len(records(system, "incident")) == 2


async def test_one_that_was_not_sent_waits_until_no_send_can_arrive_and_is_sent_once(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await _mark(system)
    await system.work()
    assert (await read_ticket(system, ticket_id)).delivery == "queued"
    assert calls(system, "POST") == []
    ticket = await read_ticket(system, ticket_id)
    assert ticket.uncertain_until is not None
    assert UNCERTAIN_SECONDS - 60 < (ticket.uncertain_until - clock.now()).total_seconds() <= UNCERTAIN_SECONDS
    await let_time_pass(system)
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(records(system, "incident")) == 1


async def test_a_held_ticket_that_was_sent_after_the_backup_is_found_when_a_person_retries(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await _take_back_to(system, "held")
    await _mark(system)
    viewer = await viewer_of(system, await system.signed_in("sharer"))
    async with system.resources.database.transaction() as session:
        await retry(session, system.resources.queue, ticket_id, viewer=viewer)
    await system.work()
    assert (await read_ticket(system, ticket_id)).sys_id == record["sys_id"]
    assert len(records(system, "incident")) == 1


async def test_a_note_that_was_sent_after_the_backup_is_found(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    await write_note(system, ticket_id, "Asked the vendor.")
    await system.work()
    assert len(work_notes(system)) == 1
    async with system.resources.database.transaction() as session:
        await session.execute(NOTE_OF_BEFORE)
    await _mark(system)
    note_id = await _note_id(system)
    async with system.resources.database.transaction() as session:
        await system.resources.queue.defer(session, "tickets.deliver_note", note_id=str(note_id))
    await system.work()
    assert await note_deliveries(system) == ["shared"]
    assert len(work_notes(system)) == 1


async def test_what_is_settled_stays_as_it_is(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    other = await share_one(system, TicketKind.INCIDENT)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).where(Ticket.id == other).values(delivery="given_up", next_try_at=None))
    before = [await read_ticket(system, one) for one in (ticket_id, other)]
    await _mark(system)
    after = [await read_ticket(system, one) for one in (ticket_id, other)]
    assert [(row.sent_at, row.uncertain_until) for row in after] == [(row.sent_at, None) for row in before]


async def test_what_is_in_doubt_for_longer_stays_so(system: System, still_clock: SetClock) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    sent, later = still_clock.now(), still_clock.now().replace(year=2027)
    async with system.resources.database.transaction() as session:
        await session.execute(
            update(Ticket).values(sent_at=sent, uncertain_until=later, in_flight_since=sent, turned_away=True)
        )
    still_clock.move(60)
    await _mark(system)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.sent_at, ticket.uncertain_until, ticket.in_flight_since) == (sent, later, None)
    assert (ticket.turned_away, ticket.sent_plain) == (False, True)


async def _note_id(system: System) -> UUID:
    async with system.resources.database.transaction() as session:
        found: UUID = (await session.execute(text("SELECT id FROM ticket_note"))).scalar_one()
    return found
