"""Finds out what became of a ticket that was given up after it had been sent: it may be in ServiceNow all the same."""

from __future__ import annotations

from uuid import UUID

from app.features.connection.access import NotConnected
from app.features.tickets.asking import Paused, ask
from app.features.tickets.deliver import LOOK_SECONDS, NotYet
from app.features.tickets.follow import adopt
from app.features.tickets.history import What, note_event
from app.features.tickets.look import is_in_doubt, known_records, prove_sight
from app.features.tickets.models import Ticket
from app.features.tickets.ticket import TABLES, Delivery, Kind
from app.foundation import clock
from app.foundation.logs import get_logger
from app.foundation.text import T
from app.remote.errors import Missing, NotWhatWasAsked, Refused, RemoteError
from app.remote.servicenow.client import ServiceNowClient
from app.remote.servicenow.shapes import RemoteTicket
from app.resources import Resources

log = get_logger(__name__)

AGAIN_SECONDS = 60.0
NOT_THERE = T("We looked for it in ServiceNow: it did not arrive.")


async def settle(resources: Resources, ticket_id: UUID) -> None:
    """Look for its record, and follow it when it is there. Raises NotYet to look again later.

    Where a look can tell nothing, the ticket's page goes on saying that it may have arrived.
    """
    async with resources.database.transaction() as session:
        ticket = await session.get(Ticket, ticket_id)
        if ticket is None or ticket.delivery != Delivery.GIVEN_UP or not is_in_doubt(ticket):
            return
        known = await known_records(session, ticket)
    table, correlation_id, fields = TABLES[Kind(ticket.kind)], ticket.correlation_id, list(ticket.record)

    async def question(client: ServiceNowClient) -> list[RemoteTicket]:
        found = await client.find_by_correlation(table, correlation_id, fields)
        if not found:
            await prove_sight(client, table, known)
        return found

    try:
        found = await ask(resources, ticket.connection_id, question)
    except Paused as error:
        raise NotYet(error.seconds) from error
    except NotConnected:
        return
    except RemoteError as error:
        log.info("cannot tell whether it arrived", ticket=str(ticket_id), why=str(error))
        if isinstance(error, Refused | Missing | NotWhatWasAsked) and not error.concerns_all:
            return
        raise NotYet(AGAIN_SECONDS) from error
    if await _write_down(resources, ticket_id, found):
        raise NotYet(LOOK_SECONDS)


async def _write_down(resources: Resources, ticket_id: UUID, found: list[RemoteTicket]) -> bool:
    """True when it has to be looked for again, because it may still be on its way."""
    async with resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id, with_for_update=True)
        if ticket.delivery != Delivery.GIVEN_UP or ticket.landing_until is None:
            return False
        if found:
            await adopt(session, ticket, found, just_made=False)
        elif clock.now() < ticket.landing_until:
            return True
        else:
            ticket.landing_until, ticket.problem = None, NOT_THERE.to_json()
            note_event(session, ticket, What.CHANGED, NOT_THERE)
    return False
