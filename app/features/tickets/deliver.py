"""Brings a queued ticket to ServiceNow exactly once: notes each attempt before it calls, and looks before it repeats.

Every step is its own short transaction; none is open while ServiceNow is called. What may have been sent is known from
the row alone, so a process that dies at any point loses nothing and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import or_, select

from app.features.connection.access import NotConnected, with_client
from app.features.connection.models import Connection
from app.features.tickets.follow import adopt
from app.features.tickets.history import What, note_event
from app.features.tickets.look import cannot_tell, known_records, prove_sight
from app.features.tickets.models import Ticket
from app.features.tickets.pace import (
    ATTEMPT_SECONDS,
    CALLS_AT_ONCE,
    Stop,
    calls_under_way,
    count,
    note_success,
    note_trouble,
    pace_of,
    wait_after,
    why_not_now,
)
from app.features.tickets.refused import TRIAL_SECONDS, refused_lately
from app.features.tickets.ticket import TABLES, Delivery, Kind
from app.foundation import clock
from app.foundation.database import Session
from app.foundation.errors import AppError, NotFound, Retry
from app.foundation.logs import get_logger
from app.foundation.text import T, Text
from app.remote.errors import Missing, NotWhatWasAsked, Refused, RemoteError
from app.remote.servicenow.client import ServiceNowClient
from app.remote.servicenow.shapes import RemoteTicket
from app.resources import Resources

log = get_logger(__name__)

# A create whose answer was lost may still be at work in ServiceNow: its transaction quota for the Table API is 60 to
# 300 s (facts/servicenow 5). Until then, we look for the record but do not send it again.
LANDING_SECONDS = 330.0
# While we wait for one to land, look every so often.
LOOK_SECONDS = 20.0
# ServiceNow sometimes refuses for a moment (KB2466644), and sometimes refuses what it has done (KB2697679). Only when
# it has refused so often, with nothing found afterwards, is it believed.
BELIEVED_REFUSALS = 2
# Others wait in their turn, looking so often and so many times before they queue again.
TURN_SECONDS = 0.25
TURNS_WAITED_FOR = 40
STILL_UNDER_WAY = T("Another attempt is still waiting for ServiceNow’s answer.")
STILL_LANDING = T(
    "ServiceNow’s answer was lost, and the record is not there yet. ServiceNow may still be working on it, so we look "
    "again before we send it a second time."
)
# A job is there as soon as its ticket is; one whose time passed so long ago without a job has lost it.
FORGOTTEN_AFTER = timedelta(minutes=1)


class NotYet(AppError):
    """Not delivered yet; the queue tries again after the named seconds. Not an accident."""

    status = 503
    default = T("Not delivered yet.")

    def __init__(self, seconds: float, message: Text | None = None) -> None:
        super().__init__(message, retry=Retry.after(seconds))
        self.seconds = seconds


@dataclass
class _Attempt:
    """What an attempt needs, read in the transaction that noted it. `sends` becomes True with the create it sends."""

    ticket_id: UUID
    connection_id: UUID
    kind: Kind
    fields: dict[str, str]
    correlation_id: str
    number: int
    was_sent: bool
    sends: bool = False


async def deliver(resources: Resources, ticket_id: UUID) -> None:
    """One attempt. Raises NotYet when there has to be another; a ticket that needs no delivery is left alone."""
    attempt = await _begin_in_turn(resources, ticket_id)
    if attempt is None:
        return
    try:
        found, just_made = await _look_or_create(resources, attempt)
    except _Superseded:
        log.warning("attempt took too long and another one took over", ticket=str(ticket_id), attempt=attempt.number)
    except NotConnected as error:
        await _wait_for_connection(resources, attempt, error.message)
    except _Landing:
        await _keep_looking(resources, attempt)
    except RemoteError as error:
        await _record_failure(resources, attempt, error)
    else:
        async with resources.database.transaction() as session:
            note_success(await pace_of(session, attempt.connection_id))
            await adopt(session, await _locked(session, ticket_id), found, just_made=just_made)
        log.info("ticket shared", ticket=str(ticket_id), number=found[0].number, attempt=attempt.number)


async def forgotten_tickets(session: Session, worked_on: Collection[str], limit: int = 500) -> list[tuple[UUID, bool]]:
    """Queued tickets whose time has come and that no job is for, though their connection is there.

    `worked_on` are the ids that jobs are for. Gives each id, and whether it was shared in bulk.
    """
    overdue = Ticket.next_try_at < clock.now() - FORGOTTEN_AFTER
    query = (
        select(Ticket.id, Ticket.batch_id)
        .join(Connection, Connection.id == Ticket.connection_id)
        .where(Ticket.delivery == Delivery.QUEUED, Connection.status == "connected")
        .where(or_(Ticket.next_try_at.is_(None), overdue))
        .order_by(Ticket.created_at)
    )
    found = [(row.id, row.batch_id is not None) for row in await session.execute(query)]
    return [(ticket_id, bulk) for ticket_id, bulk in found if str(ticket_id) not in worked_on][:limit]


class _Landing(Exception):
    """A create of ours may still be at work over there: look again, but do not send."""


class _Superseded(Exception):
    """This attempt took longer than any can, and another one has begun: leave the ticket to that one."""


async def _begin_in_turn(resources: Resources, ticket_id: UUID) -> _Attempt | None:
    """Begin, when it is this ticket's turn. None when there is nothing to do. Raises NotYet when it may not begin."""
    for _ in range(TURNS_WAITED_FOR):
        begun = await _begin(resources, ticket_id)
        if not isinstance(begun, Stop):
            return begun
        if begun.reason is not None:
            raise NotYet(begun.seconds, begun.reason)
        await clock.sleep(begun.seconds)
    raise NotYet(1.0)


async def _begin(resources: Resources, ticket_id: UUID) -> _Attempt | Stop | None:
    """Note the attempt, and commit that before anything is sent; or say why it may not begin."""
    now = clock.now()
    async with resources.database.transaction() as session:
        pace = await pace_of(session, await _connection_of(session, ticket_id))
        ticket = await _locked(session, ticket_id)
        if ticket.delivery != Delivery.QUEUED:
            return None
        if ticket.in_flight_since is not None:
            free_in = ATTEMPT_SECONDS - (now - ticket.in_flight_since).total_seconds()
            if free_in > 0:
                return Stop(free_in, STILL_UNDER_WAY)
        refused = await refused_lately(session, ticket)
        if refused is not None and not refused.is_being_tried:
            hold(session, ticket, refused.sentence)
            return None
        if refused is not None:
            ticket.problem, ticket.next_try_at = refused.waiting.to_json(), now + timedelta(seconds=TRIAL_SECONDS)
            return Stop(TRIAL_SECONDS, refused.waiting)
        if await calls_under_way(session, ticket.connection_id) >= CALLS_AT_ONCE:
            return Stop(TURN_SECONDS, None)
        stop = why_not_now(pace)
        if stop is not None:
            ticket.problem = stop.reason.to_json() if stop.reason else None
            ticket.next_try_at = now + timedelta(seconds=stop.seconds)
            return Stop(stop.seconds, stop.reason or NotYet.default)
        count(pace)
        ticket.attempts += 1
        ticket.attempted_at = ticket.in_flight_since = ticket.next_try_at = now
        return _Attempt(
            ticket_id=ticket.id,
            connection_id=ticket.connection_id,
            kind=Kind(ticket.kind),
            fields=dict(ticket.record),
            correlation_id=ticket.correlation_id,
            number=ticket.attempts,
            was_sent=ticket.sent_at is not None,
        )


async def _look_or_create(resources: Resources, attempt: _Attempt) -> tuple[list[RemoteTicket], bool]:
    """The record (should there be several: all of them, oldest first), and whether it was made just now."""
    table = TABLES[attempt.kind]

    async def look(client: ServiceNowClient) -> list[RemoteTicket]:
        return await client.find_by_correlation(table, attempt.correlation_id, list(attempt.fields))

    async def create(client: ServiceNowClient) -> RemoteTicket:
        # Called a second time after a 401, by which ServiceNow said that it did not do the first.
        await _note_sending(resources, attempt)
        attempt.sends = True
        return await client.create(table, attempt.fields)

    if attempt.was_sent:
        found = await with_client(resources, look, connection_id=attempt.connection_id)
        if found:
            return found, False
        await _make_sure(resources, attempt)
    return [await with_client(resources, create, connection_id=attempt.connection_id)], True


async def _make_sure(resources: Resources, attempt: _Attempt) -> None:
    """Nothing was found: see that nothing can be there, before it is sent again.

    Raises _Landing while an earlier create may still be at work, and NotWhatWasAsked when ServiceNow would not show us
    the record if it were there.
    """
    now = clock.now()
    async with resources.database.transaction() as session:
        pace = await pace_of(session, attempt.connection_id)
        ticket = await _current(session, attempt)
        if ticket.landing_until is not None and now < ticket.landing_until:
            raise _Landing
        ticket.in_flight_since = now
        known = await known_records(session, ticket)
        count(pace)

    async def proof(client: ServiceNowClient) -> None:
        await prove_sight(client, TABLES[attempt.kind], known)

    await with_client(resources, proof, connection_id=attempt.connection_id)


async def _note_sending(resources: Resources, attempt: _Attempt) -> None:
    """Commit that a create leaves us now."""
    now = clock.now()
    async with resources.database.transaction() as session:
        if attempt.was_sent:
            count(await pace_of(session, attempt.connection_id))  # The look before it was counted already.
        ticket = await _current(session, attempt)
        ticket.sent_at = ticket.in_flight_since = now
        ticket.landing_until = now + timedelta(seconds=LANDING_SECONDS)


async def _wait_for_connection(resources: Resources, attempt: _Attempt, sentence: Text) -> None:
    """The sweep takes the ticket up when somebody has authorized the connection again."""
    async with resources.database.transaction() as session:
        ticket = await _ended(session, attempt, sentence)
        if ticket is not None:
            ticket.next_try_at = None
            if attempt.sends:  # It was refused with 401, so it was not done.
                ticket.landing_until = None


async def _keep_looking(resources: Resources, attempt: _Attempt) -> None:
    """Looked, found nothing, and may not send yet."""
    async with resources.database.transaction() as session:
        note_success(await pace_of(session, attempt.connection_id))
        ticket = await _ended(session, attempt, STILL_LANDING)
        if ticket is None:
            return
        ticket.next_try_at = clock.now() + timedelta(seconds=LOOK_SECONDS)
    raise NotYet(LOOK_SECONDS)


async def _record_failure(resources: Resources, attempt: _Attempt, error: RemoteError) -> None:
    """Write down what went wrong and what follows from it. Raises NotYet unless a person has to act."""
    seconds = wait_after(error, attempt.number)
    async with resources.database.transaction() as session:
        pace = await pace_of(session, attempt.connection_id)
        note_trouble(pace, error)
        ticket = await _current_or_none(session, attempt)
        if ticket is None:
            return
        before = Text.from_json(ticket.problem) if ticket.problem and ticket.refusals else None
        _end(session, ticket, error.message)
        if attempt.sends and error.is_over:  # What was said of a look says nothing of the create before it.
            ticket.landing_until = None
        if isinstance(error, Refused | Missing | NotWhatWasAsked) and not error.concerns_all:
            ticket.refusals += 1
            if ticket.refusals >= BELIEVED_REFUSALS:
                if attempt.sends:
                    hold(session, ticket, error.message)
                else:
                    hold_in_doubt(session, ticket, cannot_tell(error.message, before))
                return
        ticket.next_try_at = clock.now() + timedelta(seconds=seconds)
    log.info("ticket not shared yet", ticket=str(attempt.ticket_id), outcome=type(error).__name__, again_in=seconds)
    raise NotYet(seconds, error.message)


def hold(session: Session, ticket: Ticket, sentence: Text) -> None:
    """Stop until a person has read the sentence and acted."""
    ticket.delivery = Delivery.HELD
    ticket.problem = sentence.to_json()
    ticket.next_try_at, ticket.insisted = None, False
    note_event(session, ticket, What.HELD, T("Held until somebody acts."))


def hold_in_doubt(session: Session, ticket: Ticket, sentence: Text) -> None:
    """Hold one that may have arrived: it keeps the time of its landing until a look has settled that."""
    hold(session, ticket, sentence)
    ticket.landing_until = ticket.landing_until or clock.now()


async def _connection_of(session: Session, ticket_id: UUID) -> UUID:
    found = (await session.execute(select(Ticket.connection_id).where(Ticket.id == ticket_id))).scalar_one_or_none()
    if found is None:
        raise NotFound
    return found


async def _locked(session: Session, ticket_id: UUID) -> Ticket:
    ticket = await session.get(Ticket, ticket_id, with_for_update=True)
    if ticket is None:
        raise NotFound
    return ticket


async def _current(session: Session, attempt: _Attempt) -> Ticket:
    """The ticket, while this attempt is the newest. Raises _Superseded."""
    ticket = await _locked(session, attempt.ticket_id)
    if ticket.attempts != attempt.number or ticket.delivery != Delivery.QUEUED:
        raise _Superseded
    return ticket


async def _current_or_none(session: Session, attempt: _Attempt) -> Ticket | None:
    try:
        return await _current(session, attempt)
    except _Superseded:
        return None


async def _ended(session: Session, attempt: _Attempt, problem: Text) -> Ticket | None:
    """The ticket with this attempt's end written down; None when another attempt has begun since."""
    ticket = await _current_or_none(session, attempt)
    if ticket is not None:
        _end(session, ticket, problem)
    return ticket


def _end(session: Session, ticket: Ticket, problem: Text) -> None:
    ticket.in_flight_since = None
    if ticket.problem != problem.to_json():
        note_event(session, ticket, What.TRIED, problem)
    ticket.problem = problem.to_json()
