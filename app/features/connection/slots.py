"""Leases the few concurrency slots of one instance, counted over all processes: wait for one, and give it back.

A call begins with `wait_for_slot` and ends with `release_slot`, one short transaction each. Who makes many calls keeps its
slots from one to the next, and takes them with `take_slots`. Calls nothing remote.
Docs: docs/decisions/0006-one-gateway.md, docs/decisions/0013-delivery-lanes.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update

from app.core import clock
from app.core.database import Session
from app.core.database_trouble import DATABASE_ERRORS
from app.core.errors import AppError
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.core.notifications import NOTIFY
from app.features.connection.call_log import keep_calls
from app.features.connection.models import CallLease, Connection, InstanceThrottle
from app.features.connection.throttle import Deferral, end_call, pause_of, start_call, throttle_of
from app.features.connection.tokens import LiveToken
from app.integrations.http.errors import RemoteError
from app.resources import Resources

log = get_logger(__name__)

ReadToken = Callable[[Session], Awaitable[LiveToken | None]]


class Pool(StrEnum):
    """A number of slots; a call never takes one of the other pool."""

    SHARED = "shared"
    INTERACTIVE = "interactive"


class Lane(StrEnum):
    """Who waits for the answer. Decides which slots a call may take, and what holds it back.

    BACKGROUND: polling and what else runs by the clock. Waits for the instance's pause and the hourly budget.
    DELIVERY: tickets and notes that a person has sent. The same slots and pauses; counted, never stopped by the budget.
    INTERACTIVE: a person waits for the answer. A slot of its own. Neither pause nor budget hold it back, since at most
    one such call is under way. It is counted as a request, and its outcome changes no pause: its success does not end a
    time that the instance has named, and its failure starts none, since the person is told and checks fail on purpose.
    """

    BACKGROUND = "background"
    DELIVERY = "delivery"
    INTERACTIVE = "interactive"


# How many calls may wait for an answer at once, over all our processes. Every node of an instance has 4 threads for API
# calls and a queue of 50: docs/facts/servicenow.md#5-limits-failures-sleeping-instances and #2-8-cookies-and-concurrency
# https://support.servicenow.com/kb?id=kb_article_view&sysparm_article=KB0564204
# One more for calls that a person waits for, so that a bulk share never holds up a check.
SLOTS = {Pool.SHARED: 4, Pool.INTERACTIVE: 1}
# A killed process gives nothing back: its slots are free after this long. A live one extends its lease in time. It is less
# than the longest wait of a person's call, so that such a slot delays a consent and does not lose whose it is.
LEASE_SECONDS = 40.0
EXTEND_EVERY_SECONDS = LEASE_SECONDS / 3
POOLS = {Lane.BACKGROUND: Pool.SHARED, Lane.DELIVERY: Pool.SHARED, Lane.INTERACTIVE: Pool.INTERACTIVE}
# The longest wait for a slot. A job gives up early, and its worker runs another one in the meantime. A person's call
# waits until the one before it must have ended: connecting (5 s) and a whole answer (35 s), integrations/http/transport.py.
LONGEST_WAIT_SECONDS = {Pool.SHARED: 10.0, Pool.INTERACTIVE: 45.0}
# A notification may be lost: its connection died, or a pooler in transaction mode has swallowed the LISTEN. Then a waiter
# looks again after this long: five times in the 10 s of a job.
RECHECK_SECONDS = 2.0
# A caller that waits says so each time it looks; who holds slots for long believes it for a moment longer than that.
WANTED_MARGIN_SECONDS = 1.0
# When all slots stayed taken for that long, the caller comes back at once, behind those that wait already.
BUSY_RETRY_SECONDS = 0.25
# How often a success is written to the connection: a person reads it in minutes.
RECORD_SUCCESS_EVERY = timedelta(seconds=60)


class InstancePaused(AppError):
    """Not called just now, and nothing was sent: a pause, the budget, or no slot became free.

    `seconds` is when to try again; `reason` is for people, None when only no slot was free.
    """

    default = T("We are waiting before we ask ServiceNow again.")

    def __init__(self, deferral: Deferral) -> None:
        super().__init__(deferral.reason)
        self.seconds = deferral.seconds
        self.reason: Message | None = deferral.reason


@dataclass
class CallUnderWay:
    """One call under way, and what came of it; `trouble` is the error that says something about the instance.

    `read_token` reads the connection's token together with the slot, and raises NotConnected; None for a call with another
    token, or without one. `probe_until`: the call is the first one after a pause, and holds all others back until then.
    `extension` keeps its lease.
    """

    lease_id: UUID
    connection_id: UUID
    lane: Lane
    read_token: ReadToken | None = None
    live: LiveToken | None = None
    hourly_limit: int | None = None
    answered: bool = False
    trouble: RemoteError | None = None
    probe_until: datetime | None = None
    extension: asyncio.Task[None] | None = None

    @property
    def pool(self) -> Pool:
        return POOLS[self.lane]

    @property
    def wake_key(self) -> str:
        """What is notified when one of these slots becomes free."""
        return key_of(self.connection_id, self.pool)


def key_of(connection_id: UUID, pool: Pool) -> str:
    return f"servicenow-slot {connection_id} {pool}"


async def wait_for_slot(
    resources: Resources, connection_id: UUID, lane: Lane, *, read_token: ReadToken | None = None
) -> CallUnderWay:
    """Begin a call: its slot is leased, and the lease extended until `release_slot`; its request is counted.

    Raises InstancePaused, and what `read_token` raises.
    """
    current = CallUnderWay(uuid4(), connection_id, lane, read_token)
    try:
        await _wait_for_turn(resources, current)
    except asyncio.CancelledError:
        # Perhaps in the middle of the commit that took the slot. Giving back what was not taken does no harm.
        await asyncio.shield(release_slot(resources, current))
        raise
    keep_extending(resources, current)
    return current


def keep_extending(resources: Resources, current: CallUnderWay) -> None:
    """Extend the lease of a slot that was taken, until `release_slot`."""
    current.extension = asyncio.create_task(_extend_lease(resources, current.lease_id))


async def _wait_for_turn(resources: Resources, current: CallUnderWay) -> None:
    """Return with the slot leased and the request counted.

    Within this process callers come one after the other (an asyncio.Lock is first in, first out). Only the first of them
    asks the database, and it is woken when any process releases a slot.
    """
    loop, notifications = asyncio.get_running_loop(), resources.database.notifications
    deadline = loop.time() + LONGEST_WAIT_SECONDS[current.pool]
    key = current.wake_key
    turn = resources.keyed_locks.of(key)
    try:
        async with asyncio.timeout_at(deadline):
            await turn.acquire()
    except TimeoutError:
        raise InstancePaused(Deferral(BUSY_RETRY_SECONDS, None)) from None
    try:
        if await _try_to_start(resources, current) is None:
            return
        async with notifications.subscribe(key, patience=deadline - loop.time()) as released:
            while True:
                released.clear()
                expires_in = await _try_to_start(resources, current)
                if expires_in is None:
                    return
                if loop.time() >= deadline:
                    raise InstancePaused(Deferral(BUSY_RETRY_SECONDS, None))
                # The timer is for the slot of a process that died, and for a notification that was lost.
                await wait_until(released, min(loop.time() + min(expires_in, RECHECK_SECONDS), deadline))
                # Perhaps woken because the connection that listens was lost. Before the rows are read again: a slot that is
                # released in between is then seen there.
                await notifications.listen(deadline - loop.time())
    finally:
        turn.release()


async def wait_until(event: asyncio.Event, until: float) -> None:
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        return


async def _try_to_start(resources: Resources, current: CallUnderWay) -> float | None:
    """One short transaction; None when the call may go ahead, otherwise seconds until a lease or a brief pause ends.

    Whatever is raised here takes the lease back with the transaction.
    """
    async with resources.database.transaction() as session:
        if current.read_token is not None:
            current.live = await current.read_token(session)
        throttle = await throttle_of(session, current.connection_id)
        pause = pause_of(throttle) if current.lane is not Lane.INTERACTIVE else None
        if pause is not None and pause.is_brief:
            return pause.seconds
        probe_until = throttle.probe_until
        expires_in = await _take_slot(session, current)
        stop = start_call(
            throttle,
            has_slot=expires_in is None,
            budgeted=current.lane is Lane.BACKGROUND,
            may_be_held=current.lane is not Lane.INTERACTIVE,
        )
        if stop is not None:
            raise InstancePaused(stop)
        if throttle.probe_until != probe_until:
            # Before the commit: who is cancelled in the middle of it gives the probe back as well.
            current.probe_until = throttle.probe_until
        if current.pool is Pool.SHARED:
            want_slot(throttle, wanted=expires_in is not None)
    return expires_in


def want_slot(throttle: InstanceThrottle, *, wanted: bool) -> None:
    """Say on the locked row whether a caller waits for a slot. It is said again each time that the caller looks."""
    if wanted:
        throttle.slot_wanted_until = clock.now() + timedelta(seconds=RECHECK_SECONDS + WANTED_MARGIN_SECONDS)
    elif throttle.slot_wanted_until is not None:
        throttle.slot_wanted_until = None


def is_slot_wanted(throttle: InstanceThrottle) -> bool:
    return throttle.slot_wanted_until is not None and throttle.slot_wanted_until > clock.now()


async def _take_slot(session: Session, current: CallUnderWay) -> float | None:
    """Take a slot; None when it was taken, otherwise the seconds until the next lease expires."""
    live = await live_leases(session, current.connection_id, current.pool)
    if len(live) >= SLOTS[current.pool]:
        return (min(live.values()) - clock.now()).total_seconds()
    take_slots(session, [current])
    return None


async def live_leases(session: Session, connection_id: UUID, pool: Pool) -> dict[UUID, datetime]:
    """When each slot that is taken becomes free by itself, by the lease's id. Those of dead processes are deleted.

    The caller holds the lock of the connection's InstanceThrottle row, which makes counting and taking one step.
    """
    now, theirs = clock.now(), (CallLease.connection_id == connection_id, CallLease.pool == pool)
    rows = (await session.execute(select(CallLease.id, CallLease.expires_at).where(*theirs))).all()
    live = {row.id: row.expires_at for row in rows if row.expires_at > now}
    if len(live) < len(rows):
        await session.execute(delete(CallLease).where(*theirs, CallLease.expires_at <= now))
        log.warning(
            "gateway.slots.expired", connection=str(connection_id), pool=pool.value, slots=len(rows) - len(live)
        )
    return live


def take_slots(session: Session, taken: Sequence[CallUnderWay]) -> None:
    """Take a slot for each of these calls. The caller has counted that they are free, under the same lock."""
    end = clock.now() + timedelta(seconds=LEASE_SECONDS)
    session.add_all(
        CallLease(id=one.lease_id, connection_id=one.connection_id, pool=one.pool, expires_at=end) for one in taken
    )


async def release_slot(resources: Resources, current: CallUnderWay) -> None:
    """End a call: give its slot back and record the outcome, in one transaction.

    Never raises for the database: a record just made at ServiceNow must not be taken for a call that failed because our
    own rows could not be written. The lease then ends by itself.
    """
    if current.extension is not None:
        current.extension.cancel()
    try:
        async with resources.database.transaction() as session:
            throttle = await throttle_of(session, current.connection_id)
            await give_back_slots(session, [current])
            await record_outcomes(session, throttle, [current])
    except DATABASE_ERRORS as error:
        log.warning("gateway.outcome.not_recorded", error=type(error).__name__)
    resources.database.notifications.wake(current.wake_key)
    await keep_calls(resources)


async def record_outcomes(session: Session, throttle: InstanceThrottle | None, ended: Sequence[CallUnderWay]) -> None:
    """What the instance's locked row keeps of calls that ended, in their order; None where they change nothing of it.

    A 429, or another failure of the whole instance, pauses it here. Not for an interactive call: its success does not prove
    that the instance takes all calls again, and checks ask on purpose for what may be refused.
    """
    for current in ended:
        if throttle is not None and current.lane is not Lane.INTERACTIVE:
            end_call(
                throttle,
                trouble=current.trouble,
                answered=current.answered,
                hourly_limit=current.hourly_limit,
                probe_until=current.probe_until,
            )
    answered = [current for current in ended if current.answered]
    if answered:
        await _record_success(session, answered[-1])


async def give_back_slots(session: Session, ended: Sequence[CallUnderWay]) -> None:
    """Waiting callers of every process are woken when the transaction commits. `slots_given_back` follows the commit."""
    if not ended:
        return
    await session.execute(delete(CallLease).where(CallLease.id.in_([one.lease_id for one in ended])))
    await wake_waiting(session, ended[0])


async def wake_waiting(session: Session, ended: CallUnderWay) -> None:
    """Wake who waits for such a slot, or for the outcome of this call, in every process, when the transaction commits."""
    await session.execute(NOTIFY, {"key": ended.wake_key})


def slots_given_back(resources: Resources, ended: Sequence[CallUnderWay]) -> None:
    """Extend them no longer, and wake the waiting callers of this process at once."""
    for current in ended:
        if current.extension is not None:
            current.extension.cancel()
        resources.database.notifications.wake(current.wake_key)


async def release_slots(resources: Resources, ended: Sequence[CallUnderWay]) -> None:
    """Give back slots in which no call is under way. Never raises for the database: the leases then end by themselves."""
    try:
        async with resources.database.transaction() as session:
            await give_back_slots(session, ended)
    except DATABASE_ERRORS as error:
        log.warning("gateway.slots.not_given_back", error=type(error).__name__)
    slots_given_back(resources, ended)


async def _extend_lease(resources: Resources, lease_id: UUID) -> None:
    """Runs until it is cancelled: a call may take longer than a lease, because its token is renewed or it asks twice."""
    while True:
        await asyncio.sleep(EXTEND_EVERY_SECONDS)
        end = clock.now() + timedelta(seconds=LEASE_SECONDS)
        try:
            async with resources.database.transaction() as session:
                await session.execute(update(CallLease).where(CallLease.id == lease_id).values(expires_at=end))
        except DATABASE_ERRORS as error:
            log.warning("gateway.lease.not_extended", error=type(error).__name__)


async def _record_success(session: Session, current: CallUnderWay) -> None:
    """When a call was last answered, for the status page: written once a minute at most."""
    now, live = clock.now(), current.live
    if not current.answered or live is None:
        return
    if live.last_success_at is not None and now - live.last_success_at < RECORD_SUCCESS_EVERY:
        return
    # A row that another process holds while it renews the token is not waited for: the next call writes this as well.
    free = select(Connection.id).where(Connection.id == current.connection_id).with_for_update(skip_locked=True)
    record = update(Connection).where(Connection.id.in_(free)).values(last_success_at=now)
    await session.execute(record.execution_options(synchronize_session=False))
