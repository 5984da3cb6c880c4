"""Writes down what happens to a ticket, and tells it again. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import select

from app.core import clock
from app.core.database import Session
from app.core.messages import Message
from app.features.tickets.models import Ticket, TicketEvent


class EventType(StrEnum):
    """Kinds of events, for symbols and filters; the sentence beside each says it in words."""

    SHARED = "shared"
    TRIED = "tried"
    ARRIVED = "arrived"
    HELD = "held"
    STATE = "state"
    CHANGED = "changed"
    HIDDEN = "hidden"
    PERSON = "person"
    NOTE = "note"


@dataclass(frozen=True)
class EventLine:
    """One thing that happened; `actor` is a person's name, or empty."""

    occurred_at: datetime
    event_type: str
    message: Message
    actor: str


def record_event(session: Session, ticket: Ticket, event_type: EventType, message: Message, *, actor: str = "") -> None:
    """Write one down, in the caller's transaction."""
    session.add(
        TicketEvent(
            ticket_id=ticket.id, occurred_at=clock.now(), event_type=event_type, message=message.to_json(), actor=actor
        )
    )


async def events_of(session: Session, ticket_id: UUID, *, limit: int = 200) -> list[EventLine]:
    """The newest first."""
    query = select(TicketEvent).where(TicketEvent.ticket_id == ticket_id).order_by(TicketEvent.id.desc()).limit(limit)
    return [
        EventLine(row.occurred_at, row.event_type, Message.from_json(row.message), row.actor)
        for row in (await session.execute(query)).scalars()
    ]
