"""Finds out what became of a ticket that was given up after it had been sent: it may be in ServiceNow all the same."""

from __future__ import annotations

from uuid import UUID

from app.core import clock
from app.core.errors import RetryLater
from app.core.logging import get_logger
from app.core.messages import T
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import InstancePaused, ServiceNowClient, call
from app.features.tickets.delivery.deliver import LOOKUP_INTERVAL_SECONDS
from app.features.tickets.delivery.visibility import assert_visible, is_in_doubt, known_records
from app.features.tickets.events import EventType, record_event
from app.features.tickets.models import Ticket
from app.features.tickets.polling.apply_remote import link_record
from app.features.tickets.types import TABLES, Delivery, TicketKind
from app.integrations.http.errors import Forbidden, QueryIgnored, RecordNotFound, RemoteError
from app.integrations.servicenow.schemas import RemoteTicket
from app.resources import Resources

log = get_logger(__name__)

AGAIN_SECONDS = 60.0
NOT_THERE = T("We looked for it in ServiceNow: it did not arrive.")


async def reconcile(resources: Resources, ticket_id: UUID) -> None:
    """Look for its record, and follow it when it is there. Raises NotYet to look again later.

    Where a look can tell nothing, the ticket's page goes on saying that it may have arrived.
    """
    async with resources.database.transaction() as session:
        ticket = await session.get(Ticket, ticket_id)
        if ticket is None or ticket.delivery != Delivery.GIVEN_UP or not is_in_doubt(ticket):
            return
        known = await known_records(session, ticket)
    table, correlation_id, fields = TABLES[TicketKind(ticket.kind)], ticket.correlation_id, list(ticket.record)

    async def question(client: ServiceNowClient) -> list[RemoteTicket]:
        found = await client.find_by_correlation(table, correlation_id, fields)
        if not found:
            await assert_visible(client, table, known)
        return found

    try:
        found = await call(resources, question, connection_id=ticket.connection_id)
    except InstancePaused as error:
        raise RetryLater(error.seconds) from error
    except NotConnected:
        return
    except RemoteError as error:
        log.info("cannot tell whether it arrived", ticket=str(ticket_id), why=str(error))
        if isinstance(error, Forbidden | RecordNotFound | QueryIgnored) and not error.is_instance_wide:
            return
        raise RetryLater(AGAIN_SECONDS) from error
    if await _write_down(resources, ticket_id, found):
        raise RetryLater(LOOKUP_INTERVAL_SECONDS)


async def _write_down(resources: Resources, ticket_id: UUID, found: list[RemoteTicket]) -> bool:
    """True when it has to be looked for again, because it may still be on its way."""
    async with resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id, with_for_update=True)
        if ticket.delivery != Delivery.GIVEN_UP or ticket.uncertain_until is None:
            return False
        if found:
            await link_record(session, ticket, found, just_made=False)
        elif clock.now() < ticket.uncertain_until:
            return True
        else:
            ticket.uncertain_until, ticket.problem = None, NOT_THERE.to_json()
            record_event(session, ticket, EventType.CHANGED, NOT_THERE)
    return False
