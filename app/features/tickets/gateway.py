"""Asks ServiceNow something for the refresh: in its turn, within the budget, and with the outcome noted. Repeats nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError
from app.core.messages import T
from app.features.connection.tokens import with_client
from app.features.tickets.models import InstanceThrottle
from app.features.tickets.throttle import (
    Deferral,
    acquire_slot,
    check_allowed,
    count_request,
    record_failure,
    record_success,
    release_slot,
    throttle_of,
)
from app.integrations.http.errors import RemoteError
from app.integrations.servicenow.client import ServiceNowClient
from app.resources import Resources

Answer = TypeVar("Answer")
# How long one waits for a place, and how often it looks.
TURN_SECONDS = 0.25
TURNS_WAITED_FOR = 40


class InstancePaused(AppError):
    """We do not ask just now."""

    default = T("We are waiting before we ask ServiceNow again.")

    def __init__(self, stop: Deferral) -> None:
        super().__init__(stop.reason)
        self.seconds = stop.seconds


@asynccontextmanager
async def slot(resources: Resources, connection_id: UUID) -> AsyncIterator[None]:
    """One of the few places for calls under way, over all processes; waits for one. Raises Paused when none gets free."""
    place = await _wait_for_slot(resources, connection_id, acquire_slot)
    try:
        yield
    finally:
        async with resources.database.transaction() as session:
            release_slot(await throttle_of(session, connection_id), place)


async def call(
    resources: Resources, connection_id: UUID, question: Callable[[ServiceNowClient], Awaitable[Answer]]
) -> Answer:
    """The answer. Raises Paused before anything is sent, NotConnected, and whatever the question raises."""
    place = await _wait_for_slot(resources, connection_id, _acquire_unless_paused)
    limit: int | None = None
    trouble: RemoteError | None = None

    async def asked(client: ServiceNowClient) -> Answer:
        nonlocal limit
        answer = await question(client)
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


async def _acquire_unless_paused(session: Session, throttle: InstanceThrottle) -> str | None:
    """A place, and the request counted. Raises Paused."""
    place = await acquire_slot(session, throttle)
    if place is not None:
        stop = check_allowed(throttle, requests=1)
        if stop is not None:
            raise InstancePaused(stop)
        count_request(throttle)
    return place
