"""Find out what became of a ticket that was given up after it had been sent. Looks only, and never sends."""

from __future__ import annotations

from uuid import UUID

from app.core import clock
from app.core.errors import RetryLater
from app.core.logging import get_logger
from app.core.messages import T
from app.features.connection.gateway import InstancePaused, NotConnected
from app.features.connection.models import Connection, ConnectionStatus
from app.features.tickets.delivery.adapter import StillUncertain, Superseded
from app.features.tickets.delivery.deliver import TicketAdapter
from app.features.tickets.delivery.next_step import is_refusal
from app.features.tickets.delivery.outbound import LOOKUP_INTERVAL_SECONDS, Lookup
from app.features.tickets.delivery.outbox_row import is_uncertain
from app.features.tickets.delivery.visibility import is_in_doubt
from app.features.tickets.events import EventType, record_event
from app.features.tickets.models import Ticket
from app.features.tickets.types import Delivery
from app.integrations.http.errors import RemoteError
from app.integrations.servicenow.schemas import RemoteTicket
from app.resources import Resources

log = get_logger(__name__)

# A person waits for the answer, but nothing is lost meanwhile: once a minute is enough.
RETRY_SECONDS = 60.0
NOT_THERE = T("We looked for it in ServiceNow: it did not arrive.")


class GivenUpTicket(TicketAdapter):
    """A ticket that is not sent any more."""

    awaiting = Delivery.GIVEN_UP


async def reconcile(resources: Resources, ticket_id: UUID) -> None:
    """Follow the ticket's record when it is there. Raises RetryLater to look again.

    When a lookup is not conclusive, nothing changes: the ticket's page still says that it may have arrived.
    """
    adapter = GivenUpTicket(ticket_id)
    async with resources.database.transaction() as session:
        ticket = await adapter.load(session)
    if ticket is None or ticket.delivery != Delivery.GIVEN_UP or not is_in_doubt(ticket):
        return
    lookup = Lookup(resources, adapter, ticket.attempts)
    try:
        found = await lookup.look()
        await (lookup.keep(found) if found else _mark_absent(lookup))
    except StillUncertain as error:
        raise RetryLater(LOOKUP_INTERVAL_SECONDS) from error
    except InstancePaused as error:
        raise RetryLater(error.seconds) from error
    except NotConnected as error:
        # Where it was removed there may never be an answer, and the page says what is unknown.
        if await _is_kept(resources, adapter.connection_id):
            raise RetryLater(RETRY_SECONDS) from error
    except Superseded:
        return
    except RemoteError as error:
        log.info("delivery.reconcile.failed", ticket=str(ticket_id), outcome=type(error).__name__, why=str(error))
        # A refusal would be the same in a minute; everything else passes.
        if not is_refusal(error):
            raise RetryLater(RETRY_SECONDS) from error


async def _is_kept(resources: Resources, connection_id: UUID) -> bool:
    """Whether the connection only waits for a person, who may authorize it again."""
    async with resources.database.transaction() as session:
        connection = await session.get(Connection, connection_id)
        return connection is not None and connection.status != ConnectionStatus.REMOVED


async def _mark_absent(lookup: Lookup[Ticket, list[RemoteTicket]]) -> None:
    """Raises Superseded and StillUncertain when the row says something else by now."""
    async with lookup.resources.database.transaction() as session:
        ticket = await lookup.current(session)
        # The queue may run a job twice at once, when it takes the first worker for dead. The other run was faster.
        if not is_in_doubt(ticket):
            raise Superseded
        if is_uncertain(ticket, clock.now()):
            raise StillUncertain
        ticket.uncertain_until, ticket.problem = None, NOT_THERE.to_json()
        record_event(session, ticket, EventType.CHANGED, NOT_THERE)
