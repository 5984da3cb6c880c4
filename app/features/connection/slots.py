"""Leases the few concurrency slots of one instance, counted over all processes: wait for one, and give it back.

A call begins with `wait_for_slot` and ends with `release_slot`, one short transaction each. Calls nothing remote.
Docs: docs/decisions/0006-one-gateway.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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
from app.features.connection.models import CallLease, Connection
from app.features.connection.throttle import Deferral, end_call, start_call, throttle_of
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
        return f"servicenow-slot {self.connection_id} {self.pool}"


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
    current.extension = asyncio.create_task(_extend_lease(resources, current.lease_id))
    return current


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
                await _wait(released, min(loop.time() + min(expires_in, RECHECK_SECONDS), deadline))
                # Perhaps woken because the connection that listens was lost. Before the rows are read again: a slot that is
                # released in between is then seen there.
                await notifications.listen(deadline - loop.time())
    finally:
        turn.release()


async def _wait(event: asyncio.Event, until: float) -> None:
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        return


async def _try_to_start(resources: Resources, current: CallUnderWay) -> float | None:
    """One short transaction; None when the call may go ahead, otherwise seconds until a lease expires.

    Whatever is raised here takes the lease back with the transaction.
    """
    async with resources.database.transaction() as session:
        if current.read_token is not None:
            current.live = await current.read_token(session)
        throttle = await throttle_of(session, current.connection_id)
        paused_until = throttle.paused_until
        expires_in = await _take_slot(session, current)
        stop = start_call(
            throttle,
            has_slot=expires_in is None,
            budgeted=current.lane is Lane.BACKGROUND,
            may_be_held=current.lane is not Lane.INTERACTIVE,
        )
        if stop is not None:
            raise InstancePaused(stop)
        if throttle.paused_until != paused_until:
            # Before the commit: who is cancelled in the middle of it gives the probe back as well.
            current.probe_until = throttle.paused_until
    return expires_in


async def _take_slot(session: Session, current: CallUnderWay) -> float | None:
    """Take a slot; None when it was taken, otherwise the seconds until the next lease expires.

    The caller holds the lock of the connection's InstanceThrottle row, which makes counting and taking one step.
    """
    now, connection_id, pool = clock.now(), current.connection_id, current.pool
    query = select(CallLease.expires_at).where(CallLease.connection_id == connection_id, CallLease.pool == pool)
    ends = list((await session.execute(query)).scalars())
    live = [end for end in ends if end > now]
    if len(live) >= SLOTS[pool]:
        return (min(live) - now).total_seconds()
    if len(live) < len(ends):
        expired = CallLease.connection_id == connection_id, CallLease.pool == pool, CallLease.expires_at <= now
        await session.execute(delete(CallLease).where(*expired))
        log.warning(
            "gateway.slots.expired", connection=str(connection_id), pool=pool.value, slots=len(ends) - len(live)
        )
    end = now + timedelta(seconds=LEASE_SECONDS)
    session.add(CallLease(id=current.lease_id, connection_id=connection_id, pool=pool, expires_at=end))
    return None


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
            await _give_back(session, current)
            # A 429, or another failure of the whole instance, pauses it here. Not for an interactive call: its success does
            # not prove that the instance takes all calls again, and checks ask on purpose for what may be refused.
            if current.lane is not Lane.INTERACTIVE:
                end_call(
                    throttle,
                    trouble=current.trouble,
                    answered=current.answered,
                    hourly_limit=current.hourly_limit,
                    probe_until=current.probe_until,
                )
            await _record_success(session, current)
    except DATABASE_ERRORS as error:
        log.warning("gateway.outcome.not_recorded", error=type(error).__name__)
    resources.database.notifications.wake(current.wake_key)
    await keep_calls(resources)


async def _give_back(session: Session, current: CallUnderWay) -> None:
    # Waiting callers of every process are woken when the transaction commits.
    await session.execute(delete(CallLease).where(CallLease.id == current.lease_id))
    await session.execute(NOTIFY, {"key": current.wake_key})


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
