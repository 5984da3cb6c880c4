"""Work notes written on a ticket's page: stored with their job, listed, sent again. Calls nothing in ServiceNow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

from app.core import clock
from app.core.database import Session
from app.core.errors import Conflict, InvalidInput, NotFound
from app.core.jobs import Queue
from app.core.messages import Message, T
from app.core.page_share import Portion, portion, shortened
from app.core.text_limits import clean
from app.features.accounts.permissions import Viewer
from app.features.tickets.delivery.outbox_row import requeue
from app.features.tickets.models import Ticket, TicketNote
from app.features.tickets.notes.journal_field import journal_part
from app.features.tickets.notes.split_journal import Entry
from app.features.tickets.ticket_audit import audit_ticket_event
from app.features.tickets.types import Delivery

# The journal field of the record holds 4,000 characters, and the signature needs some of them (journal_field.py).
LONGEST_TEXT = 3500
# Of those of one ticket, so many are on its page, and take at most so many bytes of it.
MOST_NOTES = 50
NOTES_BYTES = 80_000
# Of a value inside a sentence about a note. The words of a refusal have 500: integrations/servicenow/error_envelope.py.
LONGEST_VALUE = 500
# One call per ticket and minute, however many people have its page open.
READ_EVERY = timedelta(seconds=60)


@dataclass(frozen=True)
class NoteLine:
    """A note written here. `problem` is what stands in the way of its delivery; `confirmed` is False for one that was
    delivered while ServiceNow does not show whether it kept it.
    """

    id: UUID
    text: str
    requested_by_name: str
    created_at: datetime
    delivery: str
    problem: Message | None
    confirmed: bool


async def add_note(
    session: Session, queue: Queue, ticket_id: UUID, *, note_id: UUID, text: str, viewer: Viewer
) -> bool:
    """Store a note with its job. False when the same form was sent before: that is one note.

    Raises NotFound, Conflict, InvalidInput.
    """
    cleaned = clean(text)
    if not cleaned:
        raise InvalidInput(fields={"note": T("This is required.")})
    if len(cleaned) > LONGEST_TEXT:
        raise InvalidInput(fields={"note": T("At most %(limit)s characters, please.", limit=LONGEST_TEXT)})
    # Locked, so that of two clicks the second one sees the note of the first.
    ticket = await session.get(Ticket, ticket_id, with_for_update=True)
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
            text=cleaned,
            requested_by_oid=viewer.oid,
            requested_by_name=viewer.display_name,
            created_at=clock.now(),
            delivery=Delivery.QUEUED,
            next_try_at=clock.now(),
        )
    )
    await queue.defer(session, "tickets.deliver_note", note_id=str(note_id))
    await audit_ticket_event(session, viewer, T("Work note written"), ticket_id, note=note_id)
    return True


async def notes_of(session: Session, ticket_id: UUID) -> Portion[NoteLine]:
    """Notes written here, newest first, as many as a page shows: those under way or held before any that was delivered.

    One that was delivered has no problem, even if an earlier attempt failed.
    """
    is_of_ticket = TicketNote.ticket_id == ticket_id
    # A held one is sent again on the page, so it is not left out for newer ones.
    waits = TicketNote.delivery.in_((Delivery.QUEUED, Delivery.HELD))
    query = select(TicketNote).where(is_of_ticket).order_by(waits.desc(), TicketNote.created_at.desc())
    found = [
        NoteLine(
            note.id,
            note.text,
            note.requested_by_name,
            note.created_at,
            note.delivery,
            shortened(Message.from_json(note.problem), LONGEST_VALUE)
            if note.problem and note.delivery != Delivery.SHARED
            else None,
            note.confirmed,
        )
        for note in (await session.execute(query.limit(MOST_NOTES))).scalars()
    ]
    part = portion(found, lambda note: (note.text, note.requested_by_name, note.problem or ""), most_bytes=NOTES_BYTES)
    shown = sorted(part.items, key=lambda note: note.created_at, reverse=True)
    if len(found) < MOST_NOTES:
        return Portion(shown, part.left_out)
    total = (await session.execute(select(func.count()).select_from(TicketNote).where(is_of_ticket))).scalar_one()
    return Portion(shown, total - len(shown))


def journal_lines(stored: Sequence[dict[str, str]]) -> Portion[Entry]:
    """The notes of other people, as `fetch_notes` stored them, as many as a page shows."""
    return journal_part([Entry(**entry) for entry in stored])


async def ask_for_notes(session: Session, queue: Queue, ticket_id: UUID) -> None:
    """Its page was opened: have other people's notes fetched, at most once a minute per ticket."""
    ticket = await session.get(Ticket, ticket_id)
    if ticket is None or ticket.delivery != Delivery.SHARED or not ticket.visible:
        return
    if ticket.journal_read_at is None or clock.now() - ticket.journal_read_at > READ_EVERY:
        name = f"notes {ticket_id}"
        await queue.defer(session, "tickets.fetch_notes", lock=name, queueing_lock=name, ticket_id=str(ticket_id))


async def retry_note(session: Session, queue: Queue, ticket_id: UUID, note_id: UUID, *, viewer: Viewer) -> None:
    """Send a held note again. Raises NotFound or Conflict."""
    note = await session.get(TicketNote, note_id, with_for_update=True)
    if note is None or note.ticket_id != ticket_id:
        raise NotFound
    if note.delivery != Delivery.HELD:
        raise Conflict
    requeue(note)
    await queue.defer(session, "tickets.deliver_note", note_id=str(note_id))
    await audit_ticket_event(session, viewer, T("Work note sent again"), ticket_id, note=note_id)
