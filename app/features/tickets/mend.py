"""What a person may do with a ticket that is held: try again, change it and try again, or give it up."""

from __future__ import annotations

from uuid import UUID

from app.features.tickets.history import What, note_event
from app.features.tickets.jobs import deliver_ticket
from app.features.tickets.models import Ticket
from app.features.tickets.ticket import Delivery
from app.foundation import clock
from app.foundation.database import Session
from app.foundation.errors import Conflict, NotFound
from app.foundation.jobs import Queue
from app.foundation.text import T


async def retry(session: Session, queue: Queue, ticket_id: UUID, *, by: str) -> None:
    """Send a held ticket again; what may have arrived is looked for first. Raises NotFound or Conflict."""
    ticket = await _held(session, ticket_id)
    note_event(session, ticket, What.PERSON, T("Asked to try again."), by=by)
    ticket.insisted = True
    await _requeue(session, queue, ticket)


async def give_up(session: Session, ticket_id: UUID, *, by: str) -> None:
    """Keep a held ticket, marked, and never send it. Raises NotFound or Conflict."""
    ticket = await _held(session, ticket_id)
    ticket.delivery = Delivery.GIVEN_UP
    note_event(session, ticket, What.PERSON, T("Given up. It stays here and is not sent."), by=by)


async def _requeue(session: Session, queue: Queue, ticket: Ticket) -> None:
    ticket.delivery, ticket.refusals, ticket.problem = Delivery.QUEUED, 0, None
    ticket.next_try_at = clock.now()
    await queue.defer(session, deliver_ticket, ticket_id=str(ticket.id))


async def _held(session: Session, ticket_id: UUID) -> Ticket:
    ticket = await session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is None:
        raise NotFound
    if ticket.delivery != Delivery.HELD:
        raise Conflict(T("This ticket is not held any more. Its page shows how it stands now."))
    return ticket
