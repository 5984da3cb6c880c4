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

from app.core import clock
from app.core.database import Session
from app.core.errors import NotFound, RetryLater
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import ServiceNowClient, with_client
from app.features.connection.models import Connection
from app.features.connection.throttle import (
    ATTEMPT_SECONDS,
    CALLS_AT_ONCE,
    Deferral,
    backoff_after,
    calls_in_flight,
    check_allowed,
    count_request,
    record_failure,
    record_success,
    throttle_of,
)
from app.features.tickets.delivery.circuit_breaker import PROBE_SECONDS, open_circuit
from app.features.tickets.delivery.visibility import assert_visible, in_doubt_message, known_records
from app.features.tickets.events import EventType, record_event
from app.features.tickets.models import Ticket
from app.features.tickets.polling.apply_remote import link_record
from app.features.tickets.types import TABLES, Delivery, TicketKind
from app.integrations.http.errors import Forbidden, QueryIgnored, RecordNotFound, RemoteError
from app.integrations.servicenow.schemas import RemoteTicket
from app.resources import Resources

log = get_logger(__name__)

# A create whose answer was lost may still be at work in ServiceNow: its transaction quota for the Table API is 60 to
# 300 s (facts/servicenow 5). Until then, we look for the record but do not send it again.
UNCERTAIN_SECONDS = 330.0
# While we wait for one to land, look every so often.
LOOKUP_INTERVAL_SECONDS = 20.0
# ServiceNow sometimes refuses for a moment (KB2466644), and sometimes refuses what it has done (KB2697679). Only when
# it has refused so often, with nothing found afterwards, is it believed.
BELIEVED_REFUSALS = 2
# Others wait in their turn, looking so often and so many times before they queue again.
TURN_SECONDS = 0.25
TURNS_WAITED_FOR = 40
STILL_UNDER_WAY = T("Another attempt is still waiting for ServiceNow’s answer.")
STILL_UNCERTAIN = T(
    "ServiceNow’s answer was lost, and the record is not there yet. ServiceNow may still be working on it, so we look "
    "again before we send it a second time."
)
# A job is there as soon as its ticket is; one whose time passed so long ago without a job has lost it.
JOB_LOST_AFTER = timedelta(minutes=1)


@dataclass
class _Attempt:
    """What an attempt needs, read in the transaction that noted it. `sends` becomes True with the create it sends."""

    ticket_id: UUID
    connection_id: UUID
    kind: TicketKind
    fields: dict[str, str]
    correlation_id: str
    number: int
    was_sent: bool
    sends: bool = False


async def deliver(resources: Resources, ticket_id: UUID) -> None:
    """One attempt. Raises NotYet when there has to be another; a ticket that needs no delivery is left alone."""
    attempt = await _begin_when_allowed(resources, ticket_id)
    if attempt is None:
        return
    try:
        found, just_made = await _look_or_create(resources, attempt)
    except _Superseded:
        log.warning("attempt took too long and another one took over", ticket=str(ticket_id), attempt=attempt.number)
    except NotConnected as error:
        await _wait_for_connection(resources, attempt, error.message)
    except _StillUncertain:
        await _keep_looking(resources, attempt)
    except RemoteError as error:
        await _record_failure(resources, attempt, error)
    else:
        async with resources.database.transaction() as session:
            record_success(await throttle_of(session, attempt.connection_id))
            await link_record(session, await _locked(session, ticket_id), found, just_made=just_made)
        log.info("ticket shared", ticket=str(ticket_id), number=found[0].number, attempt=attempt.number)


async def tickets_without_job(
    session: Session, worked_on: Collection[str], limit: int = 500
) -> list[tuple[UUID, bool]]:
    """Queued tickets whose time has come and that no job is for, though their connection is there.

    `worked_on` are the ids that jobs are for. Gives each id, and whether it was shared in bulk.
    """
    overdue = Ticket.next_try_at < clock.now() - JOB_LOST_AFTER
    query = (
        select(Ticket.id, Ticket.batch_id)
        .join(Connection, Connection.id == Ticket.connection_id)
        .where(Ticket.delivery == Delivery.QUEUED, Connection.status == "connected")
        .where(or_(Ticket.next_try_at.is_(None), overdue))
        .order_by(Ticket.created_at)
    )
    found = [(row.id, row.batch_id is not None) for row in await session.execute(query)]
    return [(ticket_id, bulk) for ticket_id, bulk in found if str(ticket_id) not in worked_on][:limit]


class _StillUncertain(Exception):
    """A create of ours may still be at work over there: look again, but do not send."""


class _Superseded(Exception):
    """This attempt took longer than any can, and another one has begun: leave the ticket to that one."""


async def _begin_when_allowed(resources: Resources, ticket_id: UUID) -> _Attempt | None:
    """Begin, when it is this ticket's turn. None when there is nothing to do. Raises NotYet when it may not begin."""
    for _ in range(TURNS_WAITED_FOR):
        begun = await _begin(resources, ticket_id)
        if not isinstance(begun, Deferral):
            return begun
        if begun.reason is not None:
            raise RetryLater(begun.seconds, begun.reason)
        await clock.sleep(begun.seconds)
    raise RetryLater(1.0)


async def _begin(resources: Resources, ticket_id: UUID) -> _Attempt | Deferral | None:
    """Note the attempt, and commit that before anything is sent; or say why it may not begin."""
    now = clock.now()
    async with resources.database.transaction() as session:
        throttle = await throttle_of(session, await _connection_of(session, ticket_id))
        ticket = await _locked(session, ticket_id)
        if ticket.delivery != Delivery.QUEUED:
            return None
        if ticket.in_flight_since is not None:
            free_in = ATTEMPT_SECONDS - (now - ticket.in_flight_since).total_seconds()
            if free_in > 0:
                return Deferral(free_in, STILL_UNDER_WAY)
        refused = await open_circuit(session, ticket)
        if refused is not None and not refused.half_open:
            hold(session, ticket, refused.sentence)
            return None
        if refused is not None:
            ticket.problem, ticket.next_try_at = refused.waiting.to_json(), now + timedelta(seconds=PROBE_SECONDS)
            return Deferral(PROBE_SECONDS, refused.waiting)
        if await calls_in_flight(session, ticket.connection_id) >= CALLS_AT_ONCE:
            return Deferral(TURN_SECONDS, None)
        stop = check_allowed(throttle)
        if stop is not None:
            ticket.problem = stop.reason.to_json() if stop.reason else None
            ticket.next_try_at = now + timedelta(seconds=stop.seconds)
            return Deferral(stop.seconds, stop.reason or RetryLater.default)
        count_request(throttle)
        ticket.attempts += 1
        ticket.attempted_at = ticket.in_flight_since = ticket.next_try_at = now
        return _Attempt(
            ticket_id=ticket.id,
            connection_id=ticket.connection_id,
            kind=TicketKind(ticket.kind),
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
        await _record_sending(resources, attempt)
        attempt.sends = True
        return await client.create(table, attempt.fields)

    if attempt.was_sent:
        found = await with_client(resources, look, connection_id=attempt.connection_id)
        if found:
            return found, False
        await _assert_absent(resources, attempt)
    return [await with_client(resources, create, connection_id=attempt.connection_id)], True


async def _assert_absent(resources: Resources, attempt: _Attempt) -> None:
    """Nothing was found: see that nothing can be there, before it is sent again.

    Raises _Landing while an earlier create may still be at work, and NotWhatWasAsked when ServiceNow would not show us
    the record if it were there.
    """
    now = clock.now()
    async with resources.database.transaction() as session:
        throttle = await throttle_of(session, attempt.connection_id)
        ticket = await _current(session, attempt)
        if ticket.uncertain_until is not None and now < ticket.uncertain_until:
            raise _StillUncertain
        ticket.in_flight_since = now
        known = await known_records(session, ticket)
        count_request(throttle)

    async def proof(client: ServiceNowClient) -> None:
        await assert_visible(client, TABLES[attempt.kind], known)

    await with_client(resources, proof, connection_id=attempt.connection_id)


async def _record_sending(resources: Resources, attempt: _Attempt) -> None:
    """Commit that a create leaves us now."""
    now = clock.now()
    async with resources.database.transaction() as session:
        if attempt.was_sent:
            count_request(await throttle_of(session, attempt.connection_id))  # The look before it was counted already.
        ticket = await _current(session, attempt)
        ticket.sent_at = ticket.in_flight_since = now
        ticket.uncertain_until = now + timedelta(seconds=UNCERTAIN_SECONDS)


async def _wait_for_connection(resources: Resources, attempt: _Attempt, sentence: Message) -> None:
    """The sweep takes the ticket up when somebody has authorized the connection again."""
    async with resources.database.transaction() as session:
        ticket = await _ended(session, attempt, sentence)
        if ticket is not None:
            ticket.next_try_at = None
            if attempt.sends:  # It was refused with 401, so it was not done.
                ticket.uncertain_until = None


async def _keep_looking(resources: Resources, attempt: _Attempt) -> None:
    """Looked, found nothing, and may not send yet."""
    async with resources.database.transaction() as session:
        record_success(await throttle_of(session, attempt.connection_id))
        ticket = await _ended(session, attempt, STILL_UNCERTAIN)
        if ticket is None:
            return
        ticket.next_try_at = clock.now() + timedelta(seconds=LOOKUP_INTERVAL_SECONDS)
    raise RetryLater(LOOKUP_INTERVAL_SECONDS)


async def _record_failure(resources: Resources, attempt: _Attempt, error: RemoteError) -> None:
    """Write down what went wrong and what follows from it. Raises NotYet unless a person has to act."""
    seconds = backoff_after(error, attempt.number)
    async with resources.database.transaction() as session:
        throttle = await throttle_of(session, attempt.connection_id)
        record_failure(throttle, error)
        ticket = await _current_or_none(session, attempt)
        if ticket is None:
            return
        before = Message.from_json(ticket.problem) if ticket.problem and ticket.refusals else None
        _end(session, ticket, error.message)
        if attempt.sends and error.is_final:  # What was said of a look says nothing of the create before it.
            ticket.uncertain_until = None
        if isinstance(error, Forbidden | RecordNotFound | QueryIgnored) and not error.is_instance_wide:
            ticket.refusals += 1
            if ticket.refusals >= BELIEVED_REFUSALS:
                if attempt.sends:
                    hold(session, ticket, error.message)
                else:
                    hold_in_doubt(session, ticket, in_doubt_message(error.message, before))
                return
        ticket.next_try_at = clock.now() + timedelta(seconds=seconds)
    log.info("ticket not shared yet", ticket=str(attempt.ticket_id), outcome=type(error).__name__, again_in=seconds)
    raise RetryLater(seconds, error.message)


def hold(session: Session, ticket: Ticket, sentence: Message) -> None:
    """Stop until a person has read the sentence and acted."""
    ticket.delivery = Delivery.HELD
    ticket.problem = sentence.to_json()
    ticket.next_try_at, ticket.force_retry = None, False
    record_event(session, ticket, EventType.HELD, T("Held until somebody acts."))


def hold_in_doubt(session: Session, ticket: Ticket, sentence: Message) -> None:
    """Hold one that may have arrived: it keeps the time of its landing until a look has settled that."""
    hold(session, ticket, sentence)
    ticket.uncertain_until = ticket.uncertain_until or clock.now()


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


async def _ended(session: Session, attempt: _Attempt, problem: Message) -> Ticket | None:
    """The ticket with this attempt's end written down; None when another attempt has begun since."""
    ticket = await _current_or_none(session, attempt)
    if ticket is not None:
        _end(session, ticket, problem)
    return ticket


def _end(session: Session, ticket: Ticket, problem: Message) -> None:
    ticket.in_flight_since = None
    if ticket.problem != problem.to_json():
        record_event(session, ticket, EventType.TRIED, problem)
    ticket.problem = problem.to_json()
