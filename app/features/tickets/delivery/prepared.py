"""The first send of a ticket, noted and stored together with others: several tickets to a commit. Sends nothing itself.

What is written is what outbound.py writes for one ticket; only the clean answer comes back here. Everything else of such an
attempt (a refusal, a 401, a lost answer) is written by that state machine itself, which this one extends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, update

from app.core import clock
from app.core.database import Session
from app.core.unforeseen import is_unforeseen
from app.features.connection.call_log import put_back_calls, store_calls, taken_calls
from app.features.connection.gateway import call_in_slot
from app.features.connection.models import InstanceThrottle
from app.features.connection.slots import (
    CallUnderWay,
    give_back_slots,
    record_outcomes,
    slots_given_back,
    wake_waiting,
)
from app.features.connection.throttle import Deferral, changes_nothing, count_request, give_probe_back, throttle_of
from app.features.tickets.delivery.adapter import Answer, Call, Superseded
from app.features.tickets.delivery.deliver import TicketAdapter
from app.features.tickets.delivery.outbound import Attempt
from app.features.tickets.delivery.own_sys_id import Verdict
from app.features.tickets.models import Ticket
from app.features.tickets.polling.state_names import load_names
from app.features.tickets.types import Delivery
from app.integrations.servicenow.schemas import RemoteTicket
from app.resources import Resources

# What was noted as sent and waits for a lane for longer is given back: another lane takes it sooner than it would leave here.
READY_FOR_SECONDS = 5.0

# A record's stamp is in whole seconds, so what it shows of the instance's clock moves by more than one.
CLOCK_DIFFERS_SECONDS = 2.0

EndSlot = Callable[[CallUnderWay], Awaitable[None]]


class TooLate(Exception):
    """It was noted too long ago to be sent now. It did not leave."""


class PreparedAttempt(Attempt[Ticket, list[RemoteTicket]]):
    """The first send of a ticket, whose number is committed together with those of others.

    `before` are the columns as they were, for the case that it does not leave. `end_slot` is told of a failed call's slot.
    """

    slot: CallUnderWay
    end_slot: EndSlot
    is_noted = True
    # Set where this is the first call after a pause: all others wait for its outcome until then.
    probe_until: datetime | None = None

    def __init__(self, resources: Resources, adapter: TicketAdapter, row: Ticket) -> None:
        """Writes on the locked row that it is sent."""
        super().__init__(resources, adapter, row.attempts)
        self.tickets = adapter
        self.before: dict[str, Any] = {
            name: getattr(row, name)
            for name in ("attempts", "attempted_at", "next_try_at", "sent_plain", "record", "warnings")
        }
        adapter.use(row)
        self.noted_at = clock.seconds_awake_and_asleep()
        self.note_on(row, clock.now(), sends=True)
        self.noted(row, sends=True)

    @property
    def ticket(self) -> Ticket:
        return self.tickets.ticket

    async def bring(self, slot: CallUnderWay, end_slot: EndSlot) -> list[RemoteTicket] | None:
        """The record that was made; None when it is written down why there is none.

        Raises RetryLater when there has to be another attempt, and TooLate.
        """
        self.slot, self.end_slot = slot, end_slot
        try:
            arrived = await self._bring(was_sent=False)
        except Superseded:
            return None  # By an attempt of the ticket's own job, which goes on.
        except Exception as error:
            if isinstance(error, TooLate) or not is_unforeseen(error):
                raise
            await self._unexpected(error)
            return None
        return None if arrived is None else arrived[0]

    async def keep_alone(self, found: list[RemoteTicket]) -> bool:
        """Store an answer that could not be stored together with others; False when it is written down why not."""
        try:
            await self.keep(found, just_sent=True)
        except Exception as error:
            if not is_unforeseen(error):
                raise
            await self._unexpected(error)
            return False
        return True

    async def _ask(self, work: Call[Answer]) -> Answer:
        try:
            return await call_in_slot(self.resources, self.slot, work)
        except BaseException:
            # Before the row is written: a 429 stops the other lanes at once.
            await self.end_slot(self.slot)
            raise

    async def _note(self, *, sends: bool) -> None:
        if not self.is_noted:  # After a 401: what was asked is surely not done, and asked again.
            await super()._note(sends=sends)
            return
        self.is_noted = False
        if clock.seconds_awake_and_asleep() - self.noted_at > READY_FOR_SECONDS:
            raise TooLate


def waits_for_lanes() -> tuple[ColumnElement[bool], ...]:
    """The conditions for tickets that were never sent and that no job of their own brings."""
    return (
        Ticket.delivery == Delivery.QUEUED,
        ~Ticket.has_own_job,
        Ticket.sent_at.is_(None),
        Ticket.in_flight_since.is_(None),
        Ticket.next_try_at.is_not(None),
    )


async def next_rows(session: Session, connection_id: UUID, most: int) -> list[Ticket]:
    """The next tickets for lanes, locked: single shares first, then the oldest."""
    query = (
        select(Ticket)
        .where(*waits_for_lanes(), Ticket.connection_id == connection_id)
        .order_by(Ticket.batch_id.is_not(None), Ticket.created_at, Ticket.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return list((await session.execute(query)).scalars())


def prepare(resources: Resources, rows: Sequence[Ticket], verdicts: Mapping[str, Verdict]) -> list[PreparedAttempt]:
    """Note each of these locked rows as sent. They may be sent once this is committed. `verdicts` are by kind."""
    made = []
    for row in rows:
        adapter = TicketAdapter(row.id)
        adapter.verdict = verdicts.get(row.kind, Verdict.UNKNOWN)
        made.append(PreparedAttempt(resources, adapter, row))
    return made


async def give_back(resources: Resources, connection_id: UUID, unsent: Sequence[PreparedAttempt]) -> None:
    """Take back the note of what did not leave: the tickets are as if it had not been made. They must not be sent afterwards."""
    if not unsent:
        return
    async with resources.database.transaction() as session:
        throttle = await throttle_of(session, connection_id)
        count_request(throttle, -len(unsent))
        rows = await _locked(session, unsent)
        for attempt in unsent:
            if attempt.probe_until is not None:
                give_probe_back(throttle, attempt.probe_until)
            row = rows.get(attempt.tickets.ticket_id)
            # Superseded, after this process was frozen: the ticket is another attempt's.
            if row is None or row.attempts != attempt.number or row.delivery != Delivery.QUEUED:
                continue
            # Its own job may have begun an attempt, which the number of an earlier one would stop.
            kept = ("attempts", "attempted_at") if row.has_own_job else ()
            for name, value in attempt.before.items():
                if name not in kept:
                    setattr(row, name, value)
            row.sent_at = row.uncertain_until = row.in_flight_since = None


async def postpone(session: Session, connection_id: UUID, deferral: Deferral) -> int:
    """All tickets for lanes wait until then, and their pages say why. Returns how many did not say so before."""
    until = clock.now() + timedelta(seconds=deferral.seconds)
    # A ticket that is shared during the pause changes nothing of those that say so already.
    is_told = Ticket.problem.is_not(None) & (Ticket.next_try_at > until - timedelta(seconds=1))
    rows = (
        select(Ticket.id)
        .where(*waits_for_lanes(), Ticket.connection_id == connection_id, ~is_told)
        .order_by(Ticket.id)
        .with_for_update(skip_locked=True)
    )
    values: dict[str, Any] = {"next_try_at": until}
    if deferral.reason is not None:
        values["problem"] = deferral.reason.to_json()
    postponed = update(Ticket).where(Ticket.id.in_(rows)).values(values).returning(Ticket.id)
    return len((await session.execute(postponed, execution_options={"synchronize_session": False})).all())


@dataclass(frozen=True)
class Arrived:
    """An answer that is to be stored, and the call that it came to."""

    attempt: PreparedAttempt
    found: list[RemoteTicket]
    call: CallUnderWay


async def store(
    resources: Resources, connection_id: UUID, arrived: Sequence[Arrived], leaving: Sequence[CallUnderWay] = ()
) -> None:
    """Store the answers and the outcome of their calls in one commit, and give back these slots.

    Raises what the first that cannot be stored raises.
    """
    calls = taken_calls(resources)
    try:
        async with resources.database.transaction() as session:
            known = await session.get(InstanceThrottle, connection_id)
            # The row is locked only when it has to change, so that claims and commits of answers do not wait for each other.
            is_plain = known is not None and all(changes_nothing(known, one.call.hourly_limit) for one in arrived)
            throttle = None if is_plain else await throttle_of(session, connection_id)
            ahead_before = known.clock_ahead_seconds if known is not None else None
            shown = throttle or InstanceThrottle(clock_ahead_seconds=ahead_before)
            rows, names = await _locked(session, [one.attempt for one in arrived]), await load_names(session)
            # By kind, so that two processes write what they learn of the tables (own_sys_id.py) in the same order.
            for one in sorted(arrived, key=lambda one: one.attempt.ticket.kind):
                adapter = one.attempt.tickets
                adapter.just_sent, adapter.throttle, adapter.names = True, shown, names
                row = rows.get(adapter.ticket_id)
                if row is not None:
                    adapter.use(row)
                    await one.attempt.keep_on(session, row, one.found)
            await record_outcomes(session, throttle, [one.call for one in arrived])
            await store_calls(session, calls)
            await give_back_slots(session, leaving)
            for probe in (one.call for one in arrived if one.call.probe_until is not None):
                await wake_waiting(session, probe)
    except BaseException:
        put_back_calls(resources, calls)
        raise
    slots_given_back(resources, leaving)
    if throttle is None and _differs(shown.clock_ahead_seconds, ahead_before):
        async with resources.database.transaction() as session:
            (await throttle_of(session, connection_id)).clock_ahead_seconds = shown.clock_ahead_seconds


async def _locked(session: Session, attempts: Sequence[PreparedAttempt]) -> dict[UUID, Ticket]:
    """Their rows by id, locked in the order of the primary key, as everywhere."""
    ids = [attempt.tickets.ticket_id for attempt in attempts]
    query = select(Ticket).where(Ticket.id.in_(ids)).order_by(Ticket.id).with_for_update()
    return {row.id: row for row in (await session.execute(query)).scalars()}


def _differs(ahead: float | None, before: float | None) -> bool:
    """Whether the instance's clock has shown something new, beyond the whole seconds of its stamps."""
    if ahead is None or before is None:
        return ahead != before
    return abs(ahead - before) > CLOCK_DIFFERS_SECONDS
