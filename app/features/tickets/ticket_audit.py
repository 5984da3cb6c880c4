"""Writes into the audit log what people did with tickets. Does none of it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from app.core.database import Session
from app.core.messages import Message, T
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.tickets.models import Ticket, TicketAction
from app.features.tickets.sharing.share import Shared


async def audit_ticket_event(session: Session, viewer: Viewer, what: Message, ticket_id: UUID, **facts: object) -> None:
    """Somebody did this to a ticket, in the caller's transaction."""
    await _record(session, viewer, what, await session.get_one(Ticket, ticket_id), **facts)


async def audit_shares(session: Session, viewer: Viewer, shared: Sequence[Shared]) -> None:
    """Somebody shared these; a form that was sent before made nothing, and leaves no second entry."""
    made = [one.ticket_id for one in shared if one.is_new]
    query = select(TicketAction.ticket_id, TicketAction.control_id).where(TicketAction.ticket_id.in_(made))
    actions: dict[UUID, list[str]] = {ticket_id: [] for ticket_id in made}
    for ticket_id, control_id in await session.execute(query.order_by(TicketAction.control_id)):
        actions[ticket_id].append(control_id)
    for ticket in (await session.execute(select(Ticket).where(Ticket.id.in_(made)))).scalars():
        about = {"actions": ", ".join(actions[ticket.id])} if actions[ticket.id] else {}
        await _record(session, viewer, T("Ticket shared"), ticket, **about)


async def _record(session: Session, viewer: Viewer, what: Message, ticket: Ticket, **facts: object) -> None:
    number = {"number": ticket.number} if ticket.number else {}
    await log_action(session, viewer, what, name=ticket.name, kind=ticket.kind, **number, ticket=ticket.id, **facts)
