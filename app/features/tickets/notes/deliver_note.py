"""Brings a work note to ServiceNow exactly once: notes each attempt before it calls, and looks before it repeats."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from app.core import clock
from app.core.database import Session
from app.core.errors import RetryLater
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import InstancePaused, ServiceNowClient, slot, with_client
from app.features.connection.models import Connection
from app.features.connection.throttle import (
    backoff_after,
    check_allowed,
    count_request,
    record_failure,
    record_success,
    throttle_of,
)
from app.features.tickets.delivery.deliver import (
    BELIEVED_REFUSALS,
    JOB_LOST_AFTER,
    LOOKUP_INTERVAL_SECONDS,
    UNCERTAIN_SECONDS,
)
from app.features.tickets.models import Ticket, TicketNote
from app.features.tickets.notes.journal_field import compose_note, reference_of
from app.features.tickets.types import TABLES, Delivery, TicketKind
from app.integrations.http.errors import Forbidden, RecordNotFound, RemoteError
from app.integrations.servicenow.parse_response import NO_JOURNAL
from app.integrations.servicenow.schemas import Table
from app.resources import Resources


@dataclass
class _NoteAttempt:
    """What bringing a note needs, read in the transaction that noted the attempt. `sends` becomes True with the call."""

    note_id: UUID
    connection_id: UUID
    table: Table
    sys_id: str
    text: str
    number: int
    was_sent: bool
    may_land: bool
    sends: bool = False


async def deliver_note(resources: Resources, note_id: UUID) -> None:
    """One attempt at bringing a note. Raises NotYet when there has to be another."""
    errand = await _begin(resources, note_id)
    if errand is None:
        return
    try:
        async with slot(resources, errand.connection_id):
            arrived = errand.was_sent and await _is_there(resources, errand)
            if not arrived and errand.may_land:
                await _end(resources, errand, None, LOOKUP_INTERVAL_SECONDS)
            if not arrived:
                await _send(resources, errand)
    except InstancePaused as error:
        await _end(resources, errand, None, error.seconds)
    except NotConnected as error:
        await _end(resources, errand, error.message, None)
    except RemoteError as error:
        await _fail(resources, errand, error)
    else:
        await _arrive(resources, errand)


async def _begin(resources: Resources, note_id: UUID) -> _NoteAttempt | None:
    now = clock.now()
    async with resources.database.transaction() as session:
        query = (
            select(TicketNote, Ticket).join(Ticket, Ticket.id == TicketNote.ticket_id).where(TicketNote.id == note_id)
        )
        found = (await session.execute(query)).one_or_none()
        if found is None:
            return None
        ticket = found[1]
        throttle = await throttle_of(session, ticket.connection_id)
        note = await session.get_one(TicketNote, note_id, with_for_update=True, populate_existing=True)
        if note.delivery != Delivery.QUEUED or ticket.sys_id is None:
            return None
        stop = check_allowed(throttle)
        if stop is None:
            count_request(throttle)
            note.attempts += 1
            return _NoteAttempt(
                note_id=note_id,
                connection_id=ticket.connection_id,
                table=TABLES[TicketKind(ticket.kind)],
                sys_id=ticket.sys_id,
                text=compose_note(note_id, note.text, note.requested_by_name),
                number=note.attempts,
                was_sent=note.sent_at is not None,
                may_land=note.uncertain_until is not None and note.uncertain_until > now,
            )
        note.next_try_at = now + timedelta(seconds=stop.seconds)
    raise RetryLater(stop.seconds)


async def _is_there(resources: Resources, errand: _NoteAttempt) -> bool:
    async def look(client: ServiceNowClient) -> bool:
        shown = await client.journal(errand.table, errand.sys_id)
        if "work_notes" not in shown:
            raise Forbidden(NO_JOURNAL)
        return reference_of(errand.note_id) in shown["work_notes"]

    return await with_client(resources, look, connection_id=errand.connection_id)


async def _send(resources: Resources, errand: _NoteAttempt) -> None:
    """Note that it leaves us now, and then send it."""

    async def append(client: ServiceNowClient) -> None:
        async with resources.database.transaction() as session:
            note = await session.get_one(TicketNote, errand.note_id, with_for_update=True)
            if note.attempts != errand.number:
                raise RetryLater(LOOKUP_INTERVAL_SECONDS)  # Another attempt has begun since.
            note.sent_at = clock.now()
            note.uncertain_until = note.sent_at + timedelta(seconds=UNCERTAIN_SECONDS)
        errand.sends = True
        await client.add_note(errand.table, errand.sys_id, errand.text)

    await with_client(resources, append, connection_id=errand.connection_id)


async def _arrive(resources: Resources, errand: _NoteAttempt) -> None:
    async with resources.database.transaction() as session:
        record_success(await throttle_of(session, errand.connection_id))
        note = await session.get_one(TicketNote, errand.note_id, with_for_update=True)
        note.delivery, note.shared_at = Delivery.SHARED, clock.now()
        note.problem = note.next_try_at = note.uncertain_until = None


async def _fail(resources: Resources, errand: _NoteAttempt, error: RemoteError) -> None:
    seconds = backoff_after(error, errand.number)
    async with resources.database.transaction() as session:
        record_failure(await throttle_of(session, errand.connection_id), error)
        note = await session.get_one(TicketNote, errand.note_id, with_for_update=True)
        note.problem = error.message.to_json()
        if errand.sends and error.is_final:
            note.uncertain_until = None
        if isinstance(error, Forbidden | RecordNotFound) and not error.is_instance_wide:
            note.refusals += 1
            if not errand.sends and errand.was_sent:  # It was the look that was refused.
                note.problem = _cannot_tell(error.message).to_json()
        if note.refusals >= BELIEVED_REFUSALS:
            note.delivery, note.next_try_at = Delivery.HELD, None
            return
        note.next_try_at = clock.now() + timedelta(seconds=seconds)
    raise RetryLater(seconds, error.message)


def _cannot_tell(reason: Message) -> Message:
    return T(
        "We cannot tell whether this note arrived, so it is not sent a second time. %(reason)s Look at the record in "
        "ServiceNow; let the integration user read its work notes, then retry: we look before we send.",
        reason=reason,
    )


async def _end(resources: Resources, errand: _NoteAttempt, problem: Message | None, seconds: float | None) -> None:
    """Nothing was sent. Raises NotYet, unless the connection has to come back first."""
    async with resources.database.transaction() as session:
        note = await session.get_one(TicketNote, errand.note_id, with_for_update=True)
        if problem is not None:
            note.problem = problem.to_json()
        note.next_try_at = None if seconds is None else clock.now() + timedelta(seconds=seconds)
    if seconds is not None:
        raise RetryLater(seconds)


async def notes_without_job(session: Session, worked_on: Collection[str]) -> list[UUID]:
    """Queued notes whose time has come and that no job is for, though their connection is there."""
    overdue = TicketNote.next_try_at < clock.now() - JOB_LOST_AFTER
    query = (
        select(TicketNote.id)
        .join(Ticket, Ticket.id == TicketNote.ticket_id)
        .join(Connection, Connection.id == Ticket.connection_id)
        .where(TicketNote.delivery == Delivery.QUEUED, Connection.status == "connected")
        .where(TicketNote.next_try_at.is_(None) | overdue)
        .limit(200)
    )
    return [note_id for note_id in (await session.execute(query)).scalars() if str(note_id) not in worked_on]
