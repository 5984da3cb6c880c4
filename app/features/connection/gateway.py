"""The only way from a feature to ServiceNow's Table API: token, pause, slot, hourly budget, outcome, call log.

`call` is the whole interface. Nothing else in `app` may build a ServiceNowClient (an import contract in pyproject.toml).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select, update

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected, usable_connection
from app.features.connection.call_log import keep_calls
from app.features.connection.models import Connection, InstanceThrottle
from app.features.connection.throttle import (
    Deferral,
    acquire_slot,
    check_allowed,
    count_request,
    record_failure,
    record_success,
    release_slot,
    throttle_of,
)
from app.features.connection.tokens import TOKEN_REFUSED, LiveToken, live_token, mark_attention
from app.integrations.http.errors import RemoteError, Throttled, Unauthorized
from app.integrations.servicenow.client import ServiceNowClient
from app.resources import Resources

__all__ = ["InstancePaused", "Lane", "NotConnected", "ServiceNowClient", "call"]

Returned = TypeVar("Returned")
# How often a success is written down: often enough for a person, seldom enough to cost nothing.
NOTE_SUCCESS_EVERY = timedelta(seconds=60)
# How long one waits for a place, and how often it looks.
TURN_SECONDS = 0.25
TURNS_WAITED_FOR = 40


class Lane(StrEnum):
    """Who waits for the answer. Decides which slots a call may take, and what may hold it back.

    BACKGROUND: polling and what else runs by the clock. Held back by a pause of the instance and by the hourly budget.
    DELIVERY: tickets and notes that a person has sent. The same slots and pauses; counted, never stopped by the budget.
    INTERACTIVE: a person waits for the answer. A slot of its own; not held back by pause or budget.
    """

    BACKGROUND = "background"
    DELIVERY = "delivery"
    INTERACTIVE = "interactive"


class InstancePaused(AppError):
    """Not called just now, and nothing was sent: a pause, the budget, or no slot became free.

    `seconds` is when to try again; `reason` is for people, None when it is only a matter of taking turns.
    """

    default = T("We are waiting before we ask ServiceNow again.")

    def __init__(self, deferral: Deferral) -> None:
        super().__init__(deferral.reason)
        self.seconds = deferral.seconds
        self.reason: Message | None = deferral.reason


async def call(
    resources: Resources,
    work: Callable[[ServiceNowClient], Awaitable[Returned]],
    *,
    connection_id: UUID | None = None,
    lane: Lane = Lane.BACKGROUND,
) -> Returned:
    """The answer of `work`, called with a client whose token is live; `connection_id` insists on that connection.

    A 401 is believed once: the token is renewed and `work` called a second time from its beginning, so let it be one
    call, or repeatable; a call that was refused with 401 was not done.

    Raises InstancePaused and NoToken (nothing was sent), NotConnected (also when renewing is refused: the connection
    then needs attention), and whatever `work` raises.
    """
    if lane is Lane.INTERACTIVE:
        return await with_client(resources, work, connection_id=connection_id)
    async with resources.database.transaction() as session:
        connection_id = (await usable_connection(session, connection_id)).id
    place = await _wait_for_slot(resources, connection_id, _acquirer(lane))
    limit: int | None = None
    trouble: RemoteError | None = None

    async def asked(client: ServiceNowClient) -> Returned:
        nonlocal limit
        answer = await work(client)
        limit = client.hourly_limit
        return answer

    answered = False
    try:
        answer = await with_client(resources, asked, connection_id=connection_id)
        answered = True
    except RemoteError as error:
        trouble = error
        raise
    finally:
        async with resources.database.transaction() as session:
            throttle = await throttle_of(session, connection_id)
            release_slot(throttle, place)
            if trouble is not None:
                record_failure(throttle, trouble)
            elif answered:
                record_success(throttle, limit)
    return answer


@asynccontextmanager
async def slot(resources: Resources, connection_id: UUID) -> AsyncIterator[None]:
    """One of the few places for calls under way, over all processes; waits for one. Raises InstancePaused."""
    place = await _wait_for_slot(resources, connection_id, acquire_slot)
    try:
        yield
    finally:
        async with resources.database.transaction() as session:
            release_slot(await throttle_of(session, connection_id), place)


async def _wait_for_slot(
    resources: Resources, connection_id: UUID, take: Callable[[Session, InstanceThrottle], Awaitable[str | None]]
) -> str:
    for _ in range(TURNS_WAITED_FOR):
        async with resources.database.transaction() as session:
            place = await take(session, await throttle_of(session, connection_id))
        if place is not None:
            return place
        await clock.sleep(TURN_SECONDS)
    raise InstancePaused(Deferral(TURN_SECONDS, None))


def _acquirer(lane: Lane) -> Callable[[Session, InstanceThrottle], Awaitable[str | None]]:
    budgeted = 1 if lane is Lane.BACKGROUND else 0

    async def acquire_unless_paused(session: Session, throttle: InstanceThrottle) -> str | None:
        place = await acquire_slot(session, throttle)
        if place is not None:
            stop = check_allowed(throttle, requests=budgeted)
            if stop is not None:
                raise InstancePaused(stop)
            count_request(throttle)
        return place

    return acquire_unless_paused


async def with_client(
    resources: Resources, work: Callable[[ServiceNowClient], Awaitable[Returned]], *, connection_id: UUID | None = None
) -> Returned:
    """As `call`, without slot, pause and budget: on its way out, use `call`."""
    try:
        return await _answer(resources, work, connection_id)
    finally:
        await keep_calls(resources)


async def _answer(
    resources: Resources, work: Callable[[ServiceNowClient], Awaitable[Returned]], connection_id: UUID | None
) -> Returned:
    live = await live_token(resources, connection_id, stale_version=None)
    try:
        answer = await _tried(resources, live, work)
    except Unauthorized:
        live = await live_token(resources, live.connection_id, stale_version=live.version)
        try:
            answer = await _tried(resources, live, work)
        except Unauthorized as error:
            await mark_attention(resources, live.connection_id, TOKEN_REFUSED, token_version=live.version)
            raise NotConnected(TOKEN_REFUSED) from error
    await _note_success(resources, live)
    return answer


async def _tried(
    resources: Resources, live: LiveToken, work: Callable[[ServiceNowClient], Awaitable[Returned]]
) -> Returned:
    try:
        return await work(ServiceNowClient(resources.servicenow, live.origin, live.access_token))
    except Throttled as error:
        if error.seconds:
            await _note_throttled(resources, live.connection_id, error.seconds)
        raise


async def _note_success(resources: Resources, live: LiveToken) -> None:
    """Write down, once a minute at most, that ServiceNow answers; a row that is being renewed is not waited for."""
    now = clock.now()
    is_recent = live.last_success_at is not None and now - live.last_success_at < NOTE_SUCCESS_EVERY
    if is_recent and not live.was_throttled:
        return
    await _update_unless_locked(resources, live.connection_id, last_success_at=now, throttled_until=None)


async def _note_throttled(resources: Resources, connection_id: UUID, seconds: float) -> None:
    until = clock.now() + timedelta(seconds=seconds)
    await _update_unless_locked(resources, connection_id, throttled_until=until)


async def _update_unless_locked(resources: Resources, connection_id: UUID, **values: datetime | None) -> None:
    free = select(Connection.id).where(Connection.id == connection_id).with_for_update(skip_locked=True)
    async with resources.database.transaction() as session:
        await session.execute(
            update(Connection)
            .where(Connection.id.in_(free))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
