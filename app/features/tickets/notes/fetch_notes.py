"""Fetch the notes and comments of other people from a ticket's record. Writes nothing to ServiceNow."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

from app.core import clock
from app.core.logging import get_logger
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import InstancePaused, ServiceNowClient, call
from app.features.tickets.models import Ticket
from app.features.tickets.notes.journal_field import entries_of
from app.features.tickets.polling.apply_remote import DELETED, HIDDEN, mark_hidden
from app.features.tickets.types import TABLES, TicketKind
from app.integrations.http.errors import RecordNotFound, RemoteError
from app.resources import Resources

log = get_logger(__name__)

# Enough for a page; the whole journal is one click away in ServiceNow.
MOST_ENTRIES = 50


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

    try:
        shown = await call(resources, read_journal, connection_id=connection_id)
    except (NotConnected, InstancePaused) as error:
        # Nothing was sent. The next view of the ticket's page asks again.
        log.info("ticket.notes.skipped", ticket=str(ticket_id), why=str(error))
        return
    except RemoteError as error:
        log.info("ticket.notes.failed", ticket=str(ticket_id), outcome=type(error).__name__)
        await _store_problem(resources, ticket_id, error)
        return
    async with resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id, with_for_update=True)
        ticket.journal = [asdict(entry) for entry in entries_of(shown)[:MOST_ENTRIES]]
        ticket.journal_read_at, ticket.journal_problem = clock.now(), None


async def _store_problem(resources: Resources, ticket_id: UUID, error: RemoteError) -> None:
    async with resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id, with_for_update=True)
        # As after a success, the next read is a minute away: an open page must not repeat a refused call.
        ticket.journal_read_at, ticket.journal_problem = clock.now(), error.message.to_json()
        # A record that is missing here is deleted or hidden, which the count of matches tells apart:
        # docs/facts/servicenow.md#2-5-pagination-headers
        if isinstance(error, RecordNotFound) and error.counted is not None:
            mark_hidden(session, ticket, HIDDEN if error.counted else DELETED)
