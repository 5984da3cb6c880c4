"""Writes down what happens to a ticket, and tells it again. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import select

from app.features.tickets.models import Ticket, TicketEvent
from app.foundation import clock
from app.foundation.database import Session
from app.foundation.text import Text


class What(StrEnum):
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
    """One thing that happened; `by` is a person's name, or empty."""

    at: datetime
    what: str
    text: Text
    by: str


def note_event(session: Session, ticket: Ticket, what: What, text: Text, *, by: str = "") -> None:
    """Write one down, in the caller's transaction."""
    session.add(TicketEvent(ticket_id=ticket.id, at=clock.now(), what=what, text=text.to_json(), by=by))


async def events_of(session: Session, ticket_id: UUID, *, limit: int = 200) -> list[EventLine]:
    """The newest first."""
    query = select(TicketEvent).where(TicketEvent.ticket_id == ticket_id).order_by(TicketEvent.id.desc()).limit(limit)
    return [
        EventLine(row.at, row.what, Text.from_json(row.text), row.by)
        for row in (await session.execute(query)).scalars()
    ]
