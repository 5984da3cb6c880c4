"""Reads from ServiceNow what others wrote on a ticket. Writes nothing there."""

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

# A record's page shows its newest notes; somebody who wants more opens it in ServiceNow.
MOST_ENTRIES = 50


async def read_notes(resources: Resources, ticket_id: UUID) -> None:
    """Others' notes of one ticket, as the record shows them. What stands in the way is no accident: next time."""
    async with resources.database.transaction() as session:
        ticket = await session.get(Ticket, ticket_id)
        if ticket is None or ticket.sys_id is None:
            return
        table, sys_id, connection_id = TABLES[TicketKind(ticket.kind)], ticket.sys_id, ticket.connection_id

    async def question(client: ServiceNowClient) -> dict[str, str]:
        return await client.journal(table, sys_id)

    try:
        shown = await call(resources, question, connection_id=connection_id)
    except (NotConnected, InstancePaused) as error:
        log.info("notes not asked for", ticket=str(ticket_id), why=str(error))
        return
    except RemoteError as error:
        log.info("notes not read", ticket=str(ticket_id), why=str(error))
        await _note_failure(resources, ticket_id, error)
        return
    async with resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id, with_for_update=True)
        ticket.journal = [asdict(entry) for entry in entries_of(shown)[:MOST_ENTRIES]]
        ticket.journal_read_at, ticket.journal_problem = clock.now(), None


async def _note_failure(resources: Resources, ticket_id: UUID, error: RemoteError) -> None:
    """Somebody looks at the ticket, and is told; the next look at its notes is a minute away all the same."""
    async with resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id, with_for_update=True)
        ticket.journal_read_at, ticket.journal_problem = clock.now(), error.message.to_json()
        if isinstance(error, RecordNotFound) and error.counted is not None:
            await mark_hidden(session, ticket, HIDDEN if error.counted else DELETED)
