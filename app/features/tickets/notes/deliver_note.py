"""Deliver a work note to its record in ServiceNow: how it is found and appended. The order is in outbound.py."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from uuid import UUID

from sqlalchemy import select

from app.core.database import Session
from app.core.logging import bind_fields
from app.core.messages import Message, T
from app.features.connection.gateway import ServiceNowClient
from app.features.connection.models import Connection, ConnectionStatus
from app.features.connection.preferences import load_preferences
from app.features.tickets.delivery.adapter import Call, OutboundAdapter
from app.features.tickets.delivery.lost_jobs import lost_its_job
from app.features.tickets.delivery.outbound import Attempt
from app.features.tickets.models import Ticket, TicketNote
from app.features.tickets.notes.journal_field import compose_note, reference_of
from app.features.tickets.types import TABLES, TicketKind
from app.integrations.http.errors import Forbidden, InvalidResponse, RecordNotFound
from app.integrations.servicenow.parse_journal import NO_JOURNAL
from app.resources import Resources

NOT_KEPT = T(
    "ServiceNow did not keep this note: it accepted it, and its journal does not show it. Let the integration user write "
    "work notes on this record, then retry.",
    code="servicenow.note_not_kept",
)
# More wait for the next minute's sweep.
SWEEP_LIMIT = 200


async def deliver_note(resources: Resources, note_id: UUID) -> None:
    """One attempt. Raises RetryLater when there has to be another; a note that needs no delivery is left alone."""
    await Attempt(resources, NoteAdapter(note_id)).deliver()


async def notes_without_job(session: Session, worked_on: Collection[str]) -> list[tuple[UUID, str]]:
    """Queued notes that are due and have no job, though their connection is there, each with the id of its request."""
    query = (
        select(TicketNote.id, TicketNote.request_id)
        .join(Ticket, Ticket.id == TicketNote.ticket_id)
        .join(Connection, Connection.id == Ticket.connection_id)
        .where(lost_its_job(TicketNote), Connection.status == ConnectionStatus.CONNECTED)
        .limit(SWEEP_LIMIT)
    )
    rows = await session.execute(query)
    return [(row.id, row.request_id) for row in rows if str(row.id) not in worked_on]


class NoteFate(Enum):
    """What is known of a note in ServiceNow. `ACCEPTED`: it was taken, and whether it was kept is not known."""

    KEPT = "kept"
    ACCEPTED = "accepted"
    DROPPED = "dropped"


class NoteAdapter(OutboundAdapter[TicketNote, NoteFate]):
    """A work note, found again by the reference that its text carries."""

    note: TicketNote
    ticket: Ticket
    sys_id: str
    names_sender = True

    def __init__(self, note_id: UUID) -> None:
        self.note_id = note_id
        self.log_fields = {"note": str(note_id)}

    async def load(self, session: Session) -> TicketNote | None:
        note = await session.get(TicketNote, self.note_id, with_for_update=True)
        ticket = await session.get(Ticket, note.ticket_id) if note else None
        if note is None or ticket is None or ticket.sys_id is None:
            return None
        self.note, self.ticket, self.sys_id = note, ticket, ticket.sys_id
        self.connection_id = ticket.connection_id
        bind_fields(ticket=str(ticket.id), number=ticket.number)
        self.names_sender = (await load_preferences(session, ticket.connection_id)).names_sender
        return note

    async def find(self, client: ServiceNowClient) -> NoteFate | None:
        shown = await client.journal(TABLES[TicketKind(self.ticket.kind)], self.sys_id)
        # A field that the account may not read is left out without an error: docs/facts/servicenow.md#trap-15
        if "work_notes" not in shown:
            raise Forbidden(NO_JOURNAL)
        return NoteFate.KEPT if reference_of(self.note_id) in shown["work_notes"] else None

    async def send(self, client: ServiceNowClient) -> NoteFate:
        # Each update of the journal field appends, so a repeated one doubles the note:
        # docs/facts/other-connectors.md#bug-67
        author = self.note.requested_by_name if self.names_sender else ""
        text = compose_note(self.note_id, self.note.text, author)
        await client.add_note(TABLES[TicketKind(self.ticket.kind)], self.sys_id, text)
        return NoteFate.ACCEPTED

    def confirmation(self) -> Call[NoteFate]:
        # The answer to the update does not tell: a write rule on the field drops the note and answers 200.
        # docs/facts/servicenow.md#2-6-error-envelope
        return self._look_whether_kept

    async def _look_whether_kept(self, client: ServiceNowClient) -> NoteFate:
        try:
            return await self.find(client) or NoteFate.DROPPED
        except (Forbidden, RecordNotFound, InvalidResponse):
            return NoteFate.ACCEPTED

    def confirmed(self, found: NoteFate) -> NoteFate:
        if found is NoteFate.DROPPED:
            raise Forbidden(NOT_KEPT)
        return found

    async def delivered(self, session: Session, row: TicketNote, found: NoteFate) -> None:  # noqa: ARG002
        row.confirmed = found is NoteFate.KEPT

    def in_doubt(self, reason: Message, before: Message | None) -> Message:  # noqa: ARG002 - the reason says it all.
        return T(
            "We cannot tell whether this note arrived, so it is not sent a second time. %(reason)s Look at the record in "
            "ServiceNow; let the integration user read its work notes, then retry: we look before we send.",
            reason=reason,
        )
