"""The only way from a feature to ServiceNow's API: token, pause, slot, hourly budget, outcome, call log. No retry of its own.

`call` is the interface. Nothing else in `app` may import the ServiceNow client: a contract in pyproject.toml keeps that.
Why it is built this way: docs/decisions/0006-one-gateway.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected, usable_connection
from app.features.connection.call_log import keep_calls
from app.features.connection.models import Connection, InstanceThrottle
from app.features.connection.slots import Pool, acquire_slot, extend_lease, release_slot, wake_key
from app.features.connection.throttle import (
    Deferral,
    give_probe_back,
    record_failure,
    record_success,
    start_call,
    throttle_of,
)
from app.features.connection.tokens import TOKEN_REFUSED, LiveToken, live_token, mark_attention, still_good
from app.integrations.http.errors import RemoteError, Throttled, Unauthorized
from app.integrations.servicenow.client import ServiceNowClient
from app.resources import Resources

__all__ = ["InstancePaused", "Lane", "NotConnected", "ServiceNowClient", "call", "call_with_token"]

log = get_logger(__name__)

Returned = TypeVar("Returned")
Work = Callable[[ServiceNowClient], Awaitable[Returned]]


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
class _Call:
    """One call under way; `trouble` is the error that says something about the instance.

    `probe_until`: the call is the first one after a pause, and holds all others back until then.
    """

    lease_id: UUID
    connection_id: UUID
    lane: Lane
    live: LiveToken | None = None
    hourly_limit: int | None = None
    answered: bool = False
    trouble: RemoteError | None = None
    probe_until: datetime | None = None

    @property
    def pool(self) -> Pool:
        return POOLS[self.lane]


async def call(
    resources: Resources, work: Work[Returned], *, connection_id: UUID | None = None, lane: Lane = Lane.BACKGROUND
) -> Returned:
    """The answer of `work`, called with a client whose token is live; `connection_id` insists on that connection.

    A 401 is believed once: the token is renewed and `work` called a second time from its beginning. So let `work` be one
    request, or repeatable; a request that was refused with 401 was not done.

    Raises InstancePaused and NoToken (nothing was sent), NotConnected (also when renewing is refused: the connection
    then needs attention), and what `work` raises.
    """
    if connection_id is None:
        async with resources.database.transaction() as session:
            connection_id = (await usable_connection(session)).id
    current = _Call(uuid4(), connection_id, lane)
    try:
        await _wait_for_slot(resources, current)
    except asyncio.CancelledError:
        # Perhaps in the middle of the commit that took the slot. Giving back what was not taken does no harm.
        await asyncio.shield(_finish(resources, current))
        raise
    lease = asyncio.create_task(extend_lease(resources, current.lease_id))
    try:
        answer = await _answer(resources, current, work)
        current.answered = True
    except RemoteError as error:
        current.trouble = error
        raise
    finally:
        lease.cancel()
        # Shielded: a caller that is cancelled gives its slot back, too.
        await asyncio.shield(_finish(resources, current))
    return answer


async def call_with_token(resources: Resources, work: Work[Returned], *, origin: str, access_token: str) -> Returned:
    """The answer of `work`, called with a token that no connection holds: just granted, or just revoked.

    Takes no slot and knows no pause: without a connection nothing else of ours calls this instance.
    """
    try:
        return await work(ServiceNowClient(resources.servicenow, origin, access_token))
    finally:
        await keep_calls(resources)


async def _wait_for_slot(resources: Resources, current: _Call) -> None:
    """Return with the slot leased and the request counted. Raises InstancePaused and NotConnected.

    Within this process callers come one after the other (an asyncio.Lock is first in, first out). Only the first of them
    asks the database, and it is woken when any process releases a slot.
    """
    loop, notifications = asyncio.get_running_loop(), resources.database.notifications
    deadline = loop.time() + LONGEST_WAIT_SECONDS[current.pool]
    key = wake_key(current.connection_id, current.pool)
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


async def _try_to_start(resources: Resources, current: _Call) -> float | None:
    """One short transaction; None when the call may go ahead, otherwise seconds until a lease expires.

    Whatever is raised here takes the lease back with the transaction.
    """
    async with resources.database.transaction() as session:
        connection = await usable_connection(session, current.connection_id)
        current.live = still_good(resources, connection)
        throttle = await throttle_of(session, current.connection_id)
        paused_until = throttle.paused_until
        expires_in = await acquire_slot(session, current.connection_id, current.pool, current.lease_id)
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


async def _answer(resources: Resources, current: _Call, work: Work[Returned]) -> Returned:
    # Usually read together with the slot; otherwise it is renewed now, while the slot is held.
    current.live = live = current.live or await live_token(resources, current.connection_id, stale_version=None)
    try:
        return await _ask(resources, current, work, live)
    except Unauthorized:
        current.live = live = await live_token(resources, current.connection_id, stale_version=live.version)
    try:
        return await _ask(resources, current, work, live)
    except Unauthorized as error:
        # A fresh token is refused: by the account's state or by an access policy, which answers 401 as well.
        # docs/facts/servicenow.md#1-9-sso-and-ip-filtering
        await mark_attention(resources, live.connection_id, TOKEN_REFUSED, token_version=live.version)
        raise NotConnected(TOKEN_REFUSED) from error


async def _ask(resources: Resources, current: _Call, work: Work[Returned], live: LiveToken) -> Returned:
    client = ServiceNowClient(resources.servicenow, live.origin, live.access_token)
    answer = await work(client)
    current.hourly_limit = client.hourly_limit
    return answer


async def _finish(resources: Resources, current: _Call) -> None:
    """Give the slot back and record the outcome, in one transaction.

    Never raises for the database: a record just made at ServiceNow must not be taken for a call that failed because our
    own rows could not be written. The lease then ends by itself.
    """
    try:
        async with resources.database.transaction() as session:
            throttle = await throttle_of(session, current.connection_id)
            await release_slot(session, current.connection_id, current.pool, current.lease_id)
            _record_outcome(throttle, current)
            await _describe_connection(session, current)
    except SQLAlchemyError as error:
        log.warning("gateway.outcome.not_recorded", error=type(error).__name__)
    resources.database.notifications.wake(wake_key(current.connection_id, current.pool))
    await keep_calls(resources)


def _record_outcome(throttle: InstanceThrottle, current: _Call) -> None:
    if current.lane is Lane.INTERACTIVE:
        # A person's check may well succeed while the instance still wants to be spared, and one that is refused says
        # nothing of the calls that jobs make.
        return
    if current.trouble is not None:
        record_failure(throttle, current.trouble)
    elif current.answered:
        record_success(throttle, current.hourly_limit)
    elif current.probe_until is not None:
        # Ended by something else than ServiceNow's answer: cancelled, superseded, an error of our own database.
        give_probe_back(throttle, current.probe_until)


async def _describe_connection(session: Session, current: _Call) -> None:
    """What the status page shows: the last success, at most once a minute, and until when we are rate limited."""
    now, live, trouble = clock.now(), current.live, current.trouble
    if isinstance(trouble, Throttled) and trouble.seconds:
        await _update_unless_locked(session, current, throttled_until=now + timedelta(seconds=trouble.seconds))
    elif current.answered and live is not None:
        is_recent = live.last_success_at is not None and now - live.last_success_at < RECORD_SUCCESS_EVERY
        if not is_recent or live.was_throttled:
            await _update_unless_locked(session, current, last_success_at=now, throttled_until=None)


async def _update_unless_locked(session: Session, current: _Call, **values: datetime | None) -> None:
    # A row that another process holds while it renews the token is not waited for: the next call writes this as well.
    free = select(Connection.id).where(Connection.id == current.connection_id).with_for_update(skip_locked=True)
    await session.execute(
        update(Connection).where(Connection.id.in_(free)).values(**values).execution_options(synchronize_session=False)
    )
