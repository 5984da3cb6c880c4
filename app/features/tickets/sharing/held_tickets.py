"""What a person may do with a ticket that is held: try again, change it and try again, or give it up.

One that waits for an instance which is connected no more may be given up as well: nothing else would end its wait.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from app.core import clock
from app.core.database import Session
from app.core.errors import Conflict, InvalidInput, NotFound
from app.core.jobs import Queue
from app.core.messages import T
from app.features.connection.models import Connection, ConnectionStatus
from app.features.connection.preferences import load_preferences
from app.features.tickets.events import EventType, record_event
from app.features.tickets.models import Ticket, TicketAction
from app.features.tickets.sharing.record import Links, compose_record
from app.features.tickets.sharing.share import action_link, check_request, ticket_link
from app.features.tickets.ticket_fields import Requester, TicketRequest, stored_values
from app.features.tickets.types import BULK_PRIORITY, Delivery

NOT_HELD = T("This ticket is not held any more. Its page shows how it stands now.")


async def retry(session: Session, queue: Queue, ticket_id: UUID, *, by: str) -> None:
    """Send a held ticket again; what may have arrived is looked for first. Raises NotFound or Conflict."""
    ticket = await held_ticket(session, ticket_id)
    record_event(session, ticket, EventType.PERSON, T("Asked to try again."), actor=by)
    ticket.force_retry = True
    await _requeue(session, queue, ticket)


async def retry_all(session: Session, queue: Queue, *, by: str) -> int:
    """Send every held ticket again, and say how many. Once a few are refused again, the rest are held unsent."""
    query = select(Ticket).where(Ticket.delivery == Delivery.HELD).order_by(Ticket.id).with_for_update()
    tickets = list((await session.execute(query)).scalars())
    for ticket in tickets:
        record_event(session, ticket, EventType.PERSON, T("Asked to try again."), actor=by)
        await _requeue(session, queue, ticket, priority=BULK_PRIORITY)
    return len(tickets)


async def edit_and_retry(
    session: Session, queue: Queue, ticket_id: UUID, asked: TicketRequest, *, editor: Requester, public_url: str
) -> None:
    """Ask for something else, and send that. Raises NotFound, Conflict, or InvalidInput with nothing changed.

    Whoever shared it first stays its sender. Should the first version have arrived after all, it is found before
    anything is sent, and the ticket's page shows how it differs.
    """
    check_request(asked)
    ticket = await held_ticket(session, ticket_id)
    if asked.kind != ticket.kind and ticket.sent_at is not None:
        raise InvalidInput(
            fields={"kind": T("It may have reached ServiceNow as the other type already, so the type stays as it is.")}
        )
    actions = await session.execute(
        select(TicketAction.control_id, TicketAction.title).where(TicketAction.ticket_id == ticket_id)
    )
    follows = await session.get(Ticket, ticket.predecessor_id) if ticket.predecessor_id else None
    links = Links(
        ticket=ticket_link(public_url, ticket.id),
        actions=[(title, action_link(public_url, control_id)) for control_id, title in actions],
        predecessor=follows.number if follows else "",
    )
    sender = Requester(ticket.requested_by_id, ticket.requested_by_oid, ticket.requested_by_name, "")
    preferences = await load_preferences(session, ticket.connection_id)
    payload = compose_record(asked, sender, links, ticket.correlation_id, preferences)
    for column, value in stored_values(asked).items():
        setattr(ticket, column, value)
    ticket.record = payload.fields
    ticket.warnings = [warning.to_json() for warning in payload.warnings]
    ticket.force_retry = True
    record_event(session, ticket, EventType.PERSON, T("Changed, and asked to try again."), actor=editor.name)
    await _requeue(session, queue, ticket)


async def give_up(session: Session, queue: Queue, ticket_id: UUID, *, by: str) -> None:
    """Keep a held or stranded ticket, marked, and send nothing more of it. Raises NotFound or Conflict.

    One that was sent may be in ServiceNow all the same: it is looked for, and followed when it is there.
    """
    ticket = await _ticket(session, ticket_id)
    if ticket.delivery != Delivery.HELD and not await _is_stranded(session, ticket):
        raise Conflict(NOT_HELD)
    ticket.delivery, ticket.next_try_at = Delivery.GIVEN_UP, None
    record_event(session, ticket, EventType.PERSON, T("Given up. It stays here, and nothing more is sent."), actor=by)
    if ticket.sent_at is not None:
        ticket.uncertain_until = ticket.uncertain_until or clock.now()
        doubt = T(
            "It may have reached ServiceNow before that. We look for it there, and follow it here when we find it. You "
            "can look yourself, for a record with the correlation ID %(id)s.",
            id=ticket.correlation_id,
        )
        ticket.problem = doubt.to_json()
        await queue.defer(session, "tickets.reconcile", ticket_id=str(ticket_id))


async def held_ticket(session: Session, ticket_id: UUID) -> Ticket:
    """The ticket, locked. Raises NotFound, or Conflict when it is not held."""
    ticket = await _ticket(session, ticket_id)
    if ticket.delivery != Delivery.HELD:
        raise Conflict(NOT_HELD)
    return ticket


async def _ticket(session: Session, ticket_id: UUID) -> Ticket:
    ticket = await session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is None:
        raise NotFound
    return ticket


async def _is_stranded(session: Session, ticket: Ticket) -> bool:
    """Whether it waits for an instance that somebody has removed."""
    connection = await session.get(Connection, ticket.connection_id)
    return ticket.delivery == Delivery.QUEUED and (connection is None or connection.status == ConnectionStatus.REMOVED)


async def _requeue(session: Session, queue: Queue, ticket: Ticket, *, priority: int = 0) -> None:
    ticket.delivery, ticket.refusals, ticket.problem = Delivery.QUEUED, 0, None
    ticket.next_try_at = clock.now()
    await queue.defer(session, "tickets.deliver", priority=priority, ticket_id=str(ticket.id))
