"""Fetch the notes and comments of other people from a ticket's record. Writes nothing to ServiceNow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from uuid import UUID

from sqlalchemy import select

from app.core import clock
from app.core.database import Session
from app.core.logging import get_logger
from app.core.messages import T
from app.core.unforeseen import is_unforeseen, kind_of
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import InstancePaused, ServiceNowClient, call
from app.features.connection.models import Connection
from app.features.tickets.models import Ticket, TicketNote
from app.features.tickets.notes.journal_field import Ours, entries_of, journal_part, reference_of
from app.features.tickets.notes.split_journal import split_journal
from app.features.tickets.polling.apply_remote import DELETED, HIDDEN, mark_hidden
from app.features.tickets.types import TABLES, TicketKind
from app.integrations.http.errors import InvalidResponse, RecordNotFound, RemoteError
from app.integrations.servicenow.schemas import JournalRow
from app.resources import Resources

log = get_logger(__name__)

NOT_TAKEN_UP = T(
    "The record’s notes hold something that could not be taken up here. Read them in ServiceNow.",
    code="ticket.notes_not_taken_up",
)


async def read_notes(resources: Resources, ticket_id: UUID) -> None:
    """Store the newest notes as the record shows them, or why they cannot be read. Raises nothing that a call raises."""
    async with resources.database.transaction() as session:
        ticket = await session.get(Ticket, ticket_id)
        if ticket is None or ticket.sys_id is None:
            return
        table, sys_id, connection_id = TABLES[TicketKind(ticket.kind)], ticket.sys_id, ticket.connection_id

    async def read_journal(client: ServiceNowClient) -> dict[str, str]:
        # As display values, since raw values of journal fields are empty:
        # docs/facts/servicenow.md#4-3-shared-task-fields
        return await client.journal(table, sys_id)

    async def read_rows(client: ServiceNowClient) -> list[JournalRow]:
        return await client.journal_rows(sys_id)

    rows: list[JournalRow] = []
    try:
        shown = await call(resources, read_journal, connection_id=connection_id)
        # Rows tell where an entry ends; of a single one that is known.
        if any(len(split_journal(text, [])) > 1 for text in shown.values()):
            rows = await _rows_if_readable(resources, read_rows, connection_id)
    except (NotConnected, InstancePaused) as error:
        # Nothing was sent. The next view of the ticket's page asks again.
        log.info("ticket.notes.skipped", ticket=str(ticket_id), why=str(error))
        return
    except RemoteError as error:
        log.info("ticket.notes.failed", ticket=str(ticket_id), outcome=type(error).__name__)
        await _store_problem(resources, ticket_id, error)
        return
    try:
        await _store_entries(resources, ticket_id, shown, rows)
    except Exception as error:
        if not is_unforeseen(error):
            raise
        log.exception("ticket.notes.unexpected", ticket=str(ticket_id), error=kind_of(error))
        await _store_problem(resources, ticket_id, InvalidResponse(NOT_TAKEN_UP))


async def _store_entries(
    resources: Resources, ticket_id: UUID, shown: Mapping[str, str], rows: Sequence[JournalRow]
) -> None:
    async with resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id, with_for_update=True)
        entries = entries_of(shown, rows, await _ours(session, ticket))
        # One more than the page shows, by which it knows that there are older ones.
        kept = entries[: len(journal_part(entries).items) + 1]
        ticket.journal = [asdict(entry) for entry in kept]
        ticket.journal_read_at, ticket.journal_problem = clock.now(), None


async def _rows_if_readable(
    resources: Resources, read_rows: Callable[[ServiceNowClient], Awaitable[list[JournalRow]]], connection_id: UUID
) -> list[JournalRow]:
    try:
        return await call(resources, read_rows, connection_id=connection_id)
    except RemoteError as error:
        # Without them the displayed text is split by itself.
        log.info("ticket.notes.rows_not_read", outcome=type(error).__name__)
        return []


async def _ours(session: Session, ticket: Ticket) -> Ours:
    connection = await session.get_one(Connection, ticket.connection_id)
    ids = (await session.execute(select(TicketNote.id).where(TicketNote.ticket_id == ticket.id))).scalars()
    names = {connection.user_name.lower(), connection.user_display_name.lower()} - {""}
    return Ours(frozenset(reference_of(note_id) for note_id in ids), frozenset(names))


async def _store_problem(resources: Resources, ticket_id: UUID, error: RemoteError) -> None:
    async with resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id, with_for_update=True)
        # As after a success, the next read is a minute away: an open page must not repeat a refused call.
        ticket.journal_read_at, ticket.journal_problem = clock.now(), error.message.to_json()
        # A record that is missing here is deleted or hidden, which the count of matches tells apart:
        # docs/facts/servicenow.md#2-5-pagination-headers
        if isinstance(error, RecordNotFound) and error.counted is not None:
            mark_hidden(session, ticket, HIDDEN if error.counted else DELETED)
