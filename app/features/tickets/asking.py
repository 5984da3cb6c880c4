"""Asks ServiceNow something for the refresh: in its turn, within the budget, and with the outcome noted. Repeats nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

from app.features.connection.access import with_client
from app.features.tickets.models import Pace
from app.features.tickets.pace import (
    Stop,
    count,
    give_back,
    note_success,
    note_trouble,
    pace_of,
    take_place,
    why_not_now,
)
from app.foundation import clock
from app.foundation.database import Session
from app.foundation.errors import AppError
from app.foundation.text import T
from app.remote.errors import RemoteError
from app.remote.servicenow.client import ServiceNowClient
from app.resources import Resources

Answer = TypeVar("Answer")
# How long one waits for a place, and how often it looks.
TURN_SECONDS = 0.25
TURNS_WAITED_FOR = 40


class Paused(AppError):
    """We do not ask just now."""

    default = T("We are waiting before we ask ServiceNow again.")

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.reason)
        self.seconds = stop.seconds


@asynccontextmanager
async def a_place(resources: Resources, connection_id: UUID) -> AsyncIterator[None]:
    """One of the few places for calls under way, over all processes; waits for one. Raises Paused when none gets free."""
    place = await _wait_for_place(resources, connection_id, take_place)
    try:
        yield
    finally:
        async with resources.database.transaction() as session:
            give_back(await pace_of(session, connection_id), place)


async def ask(
    resources: Resources, connection_id: UUID, question: Callable[[ServiceNowClient], Awaitable[Answer]]
) -> Answer:
    """The answer. Raises Paused before anything is sent, NotConnected, and whatever the question raises."""
    place = await _wait_for_place(resources, connection_id, _take_unless_paused)
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
            pace = await pace_of(session, connection_id)
            give_back(pace, place)
            if trouble is not None:
                note_trouble(pace, trouble)
            elif answered:
                note_success(pace, limit)
    return answer


async def _wait_for_place(
    resources: Resources, connection_id: UUID, take: Callable[[Session, Pace], Awaitable[str | None]]
) -> str:
    for _ in range(TURNS_WAITED_FOR):
        async with resources.database.transaction() as session:
            place = await take(session, await pace_of(session, connection_id))
        if place is not None:
            return place
        await clock.sleep(TURN_SECONDS)
    raise Paused(Stop(TURN_SECONDS, None))


async def _take_unless_paused(session: Session, pace: Pace) -> str | None:
    """A place, and the request counted. Raises Paused."""
    place = await take_place(session, pace)
    if place is not None:
        stop = why_not_now(pace, requests=1)
        if stop is not None:
            raise Paused(stop)
        count(pace)
    return place
