"""The history of a ticket: record events, and list them. Decides nothing."""

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
    """Kinds of events, for symbols and filters. The values are stored."""

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
    """One event. `actor` is a person's name, empty where the product acted by itself."""

    occurred_at: datetime
    event_type: str
    message: Message
    actor: str


def record_event(session: Session, ticket: Ticket, event_type: EventType, message: Message, *, actor: str = "") -> None:
    """Add an event in the caller's transaction, so that it is stored exactly when the change is."""
    # The message is stored with its values, not as a finished sentence: it is translated when it is shown.
    session.add(
        TicketEvent(
            ticket_id=ticket.id, occurred_at=clock.now(), event_type=event_type, message=message.to_json(), actor=actor
        )
    )


async def events_of(session: Session, ticket_id: UUID, *, limit: int = 200) -> list[EventLine]:
    """The newest first, at most `limit`."""
    # By the identity column: events of one transaction have the same time.
    query = select(TicketEvent).where(TicketEvent.ticket_id == ticket_id).order_by(TicketEvent.id.desc()).limit(limit)
    return [
        EventLine(row.occurred_at, row.event_type, Message.from_json(row.message), row.actor)
        for row in (await session.execute(query)).scalars()
    ]
