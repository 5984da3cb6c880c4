"""Work notes written on a ticket's page: kept with their job, listed, sent again. Brings nothing to ServiceNow itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from app.core import clock
from app.core.database import Session
from app.core.errors import Conflict, InvalidInput, NotFound
from app.core.jobs import Queue
from app.core.messages import Message, T
from app.core.text_limits import clean
from app.features.tickets.models import Ticket, TicketNote
from app.features.tickets.notes.journal_field import Entry
from app.features.tickets.ticket_fields import Requester
from app.features.tickets.types import Delivery

LONGEST_TEXT = 3500
READ_EVERY = timedelta(seconds=60)


@dataclass(frozen=True)
class NoteLine:
    """A note written here, and how its delivery stands."""

    id: UUID
    text: str
    requested_by_name: str
    created_at: datetime
    delivery: str
    problem: Message | None


async def add_note(
    session: Session, queue: Queue, ticket_id: UUID, *, note_id: UUID, text: str, sender: Requester
) -> bool:
    """Write a note down with its job; False when the same form was sent before: that is one note.

    Raises NotFound, Conflict, InvalidInput.
    """
    told = clean(text)
    if not told:
        raise InvalidInput(fields={"note": T("This is required.")})
    if len(told) > LONGEST_TEXT:
        raise InvalidInput(fields={"note": T("At most %(limit)s characters, please.", limit=LONGEST_TEXT)})
    ticket = await session.get(Ticket, ticket_id, with_for_update=True)  # Two clicks take turns.
    if ticket is None:
        raise NotFound
    if ticket.delivery != Delivery.SHARED:
        raise Conflict(T("This ticket is not in ServiceNow yet, so no note can be added."))
    if await session.get(TicketNote, note_id) is not None:
        return False
    session.add(
        TicketNote(
            id=note_id,
            ticket_id=ticket_id,
            text=told,
            requested_by_oid=sender.oid,
            requested_by_name=sender.name,
            created_at=clock.now(),
            delivery=Delivery.QUEUED,
            attempts=0,
            refusals=0,
            next_try_at=clock.now(),
        )
    )
    await queue.defer(session, "tickets.deliver_note", note_id=str(note_id))
    return True


async def notes_of(session: Session, ticket_id: UUID) -> list[NoteLine]:
    """Those written here, newest first."""
    query = select(TicketNote).where(TicketNote.ticket_id == ticket_id).order_by(TicketNote.created_at.desc())
    return [
        NoteLine(
            note.id,
            note.text,
            note.requested_by_name,
            note.created_at,
            note.delivery,
            Message.from_json(note.problem) if note.problem else None,
        )
        for note in (await session.execute(query)).scalars()
    ]


def journal_lines(stored: Sequence[dict[str, str]]) -> list[Entry]:
    """What was read of others' notes."""
    return [Entry(**entry) for entry in stored]


async def ask_for_notes(session: Session, queue: Queue, ticket_id: UUID) -> None:
    """Somebody looks at the ticket: have others' notes read, if that was not done a moment ago."""
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None or ticket.delivery != Delivery.SHARED or not ticket.visible:
        return
    if ticket.journal_read_at is None or clock.now() - ticket.journal_read_at > READ_EVERY:
        name = f"notes {ticket_id}"
        await queue.defer(session, "tickets.fetch_notes", lock=name, queueing_lock=name, ticket_id=str(ticket_id))


async def retry_note(session: Session, queue: Queue, ticket_id: UUID, note_id: UUID) -> None:
    """Send a held note again. Raises NotFound or Conflict."""
    note = await session.get(TicketNote, note_id, with_for_update=True)
    if note is None or note.ticket_id != ticket_id:
        raise NotFound
    if note.delivery != Delivery.HELD:
        raise Conflict
    note.delivery, note.refusals, note.next_try_at = Delivery.QUEUED, 0, clock.now()
    await queue.defer(session, "tickets.deliver_note", note_id=str(note_id))
