"""A lookup proves absence only when nothing could be under way as it left, and rows are locked in one order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, update

from app.core import clock
from app.core.errors import RetryLater
from app.features.tickets.delivery.deliver import STILL_UNCERTAIN, deliver
from app.features.tickets.models import Ticket, TicketNote
from app.features.tickets.notes.deliver_note import deliver_note
from app.features.tickets.notes.journal_field import compose_note
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.schemas import RemoteTicket, Table
from tests.factories.delivering import note_row, shared_change, work_notes, write_note
from tests.factories.system import System
from tests.factories.tickets import read_ticket, records, run_due_and_waiting, share_one


async def say_that_it_was_sent(system: System, table: type[Ticket | TicketNote]) -> None:
    """An attempt sent it and lost the answer; ServiceNow may still be working on it for a while."""
    now = clock.now()
    sent = {"sent_at": now, "uncertain_until": now + timedelta(minutes=5), "attempts": 1}
    async with system.resources.database.transaction() as session:
        await session.execute(update(table).values(sent))


async def end_the_uncertain_time(system: System, table: type[Ticket | TicketNote]) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(update(table).values(uncertain_until=clock.now() - timedelta(seconds=1)))


async def test_a_ticket_that_lands_while_its_lookup_is_being_answered_is_not_sent_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ServiceNow answers the lookup, the first send lands, the uncertain time ends, and then the answer arrives."""
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await say_that_it_was_sent(system, Ticket)
    record, real = (await read_ticket(system, ticket_id)).record, ServiceNowClient.find_by_correlation

    async def straddles(
        client: ServiceNowClient, table: Table, correlation_id: str, columns: Sequence[str] = ()
    ) -> list[RemoteTicket]:
        found = await real(client, table, correlation_id, list(columns))
        if not found:
            await client.create(table, record)
            await end_the_uncertain_time(system, Ticket)
        return found

    monkeypatch.setattr(ServiceNowClient, "find_by_correlation", straddles)
    with pytest.raises(RetryLater):
        await deliver(system.resources, ticket_id)
    assert len(records(system, "incident")) == 1
    assert (await read_ticket(system, ticket_id)).problem == STILL_UNCERTAIN.to_json()
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(records(system, "incident")) == 1


async def test_a_note_that_lands_while_its_lookup_is_being_answered_is_not_sent_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_note(system, await shared_change(system), "Once only.")
    note = await note_row(system)
    await say_that_it_was_sent(system, TicketNote)
    real = ServiceNowClient.journal
    landed = False

    async def straddles(client: ServiceNowClient, table: Table, sys_id: str) -> Any:
        nonlocal landed
        shown = await real(client, table, sys_id)
        if not landed:
            landed = True
            await client.add_note(table, sys_id, compose_note(note.id, note.text, note.requested_by_name))
            await end_the_uncertain_time(system, TicketNote)
        return shown

    monkeypatch.setattr(ServiceNowClient, "journal", straddles)
    with pytest.raises(RetryLater):
        await deliver_note(system.resources, note.id)
    assert len(work_notes(system)) == 1
    await run_due_and_waiting(system)
    assert (await note_row(system)).delivery == "shared"
    assert len(work_notes(system)) == 1


async def test_a_ticket_that_may_still_arrive_says_that_its_record_is_not_there_yet(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    await say_that_it_was_sent(system, Ticket)
    with pytest.raises(RetryLater):
        await deliver(system.resources, ticket_id)
    problem = (await read_ticket(system, ticket_id)).problem
    assert problem is not None
    assert problem["message"] == (
        "ServiceNow’s answer was lost, and the record is not there yet. ServiceNow may still be working on it, so we "
        "look again before we send it a second time."
    )


async def test_no_transaction_locks_a_ticket_before_the_throttle(system: System) -> None:
    """Two transactions that lock the same two rows in opposite orders wait for each other for ever."""
    await system.connect()
    ticket_id = await share_one(system)
    locked: dict[int, list[str]] = {}
    wrong: list[list[str]] = []
    both = 0

    def note_locks(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        rows = locked.setdefault(id(connection.connection.dbapi_connection), [])
        rows += re.findall(r"FROM (ticket|instance_throttle)\b.*FOR UPDATE", statement, re.DOTALL)

    def note_commit(connection: Any) -> None:
        nonlocal both
        rows = locked.pop(id(connection.connection.dbapi_connection), [])
        if {"ticket", "instance_throttle"} <= set(rows):
            both += 1
            if rows.index("ticket") < rows.index("instance_throttle"):
                wrong.append(rows)

    engine = system.resources.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note_locks)
    event.listen(engine, "commit", note_commit)
    try:
        await deliver(system.resources, ticket_id)
    finally:
        event.remove(engine, "before_cursor_execute", note_locks)
        event.remove(engine, "commit", note_commit)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert both == 1
    assert wrong == []
