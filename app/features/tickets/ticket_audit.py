"""Writes into the audit log what people did to tickets, in the caller's transaction. Changes no ticket."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.core.database import Session
from app.core.messages import Message, T
from app.features.accounts.audit import Actor, log_action
from app.features.tickets.models import Ticket


async def audit_ticket_event(session: Session, actor: Actor, action: Message, ticket_id: UUID, **facts: object) -> None:
    """An entry about this ticket, with its name, kind and number. Raises NoResultFound when there is none."""
    await _log(session, actor, action, await session.get_one(Ticket, ticket_id), **facts)


async def audit_share(session: Session, actor: Actor, ticket: Ticket, control_ids: Sequence[str]) -> None:
    """The entry about a ticket that was just made of these actions."""
    # Sorted, so that entries about the same actions can be searched for and compared.
    about = {"actions": ", ".join(sorted(control_ids))} if control_ids else {}
    await _log(session, actor, T("Ticket shared"), ticket, **about)


async def _log(session: Session, actor: Actor, action: Message, ticket: Ticket, **facts: object) -> None:
    # A number exists only once ServiceNow has confirmed the record; the ticket's id is there from the beginning.
    number = {"number": ticket.number} if ticket.number else {}
    await log_action(session, actor, action, name=ticket.name, kind=ticket.kind, **number, ticket=ticket.id, **facts)
