"""Asks ServiceNow something for the refresh: in its turn, within the budget, and with the outcome noted. Repeats nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from app.features.connection.access import with_client
from app.features.tickets.pace import Stop, count, note_success, note_trouble, pace_of, why_not_now
from app.foundation.errors import AppError
from app.foundation.text import T
from app.remote.errors import RemoteError
from app.remote.servicenow.client import ServiceNowClient
from app.resources import Resources

Answer = TypeVar("Answer")


class Paused(AppError):
    """We do not ask just now."""

    default = T("We are waiting before we ask ServiceNow again.")

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.reason)
        self.seconds = stop.seconds


async def ask(
    resources: Resources, connection_id: UUID, question: Callable[[ServiceNowClient], Awaitable[Answer]]
) -> Answer:
    """The answer. Raises Paused before anything is sent, NotConnected, and whatever the question raises."""
    async with resources.database.transaction() as session:
        pace = await pace_of(session, connection_id)
        stop = why_not_now(pace, requests=1)
        if stop is None:
            count(pace)
        was_well = pace.failures == 0
    if stop is not None:
        raise Paused(stop)
    limit: int | None = None

    async def asked(client: ServiceNowClient) -> Answer:
        nonlocal limit
        answer = await question(client)
        limit = client.hourly_limit
        return answer

    try:
        answer = await with_client(resources, asked, connection_id=connection_id)
    except RemoteError as error:
        async with resources.database.transaction() as session:
            note_trouble(await pace_of(session, connection_id), error)
        raise
    if limit is not None or not was_well:
        async with resources.database.transaction() as session:
            note_success(await pace_of(session, connection_id), limit)
    return answer
