"""Wakes waiting code across processes: LISTEN on one lazily opened connection, NOTIFY in the sender's transaction.

Carries no data besides a short key, and promises no delivery: a waiter has to look at the rows again, and needs a timer
for the case that nothing arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import sql
from sqlalchemy import text

from app.core.logging import get_logger

log = get_logger(__name__)

# One channel for everything, told apart by the key: a process then listens once. Names of channels are per database.
CHANNEL = "security_center"
# https://www.postgresql.org/docs/current/sql-notify.html: sent at commit, and not at all when the transaction rolls back.
NOTIFY = text("SELECT pg_notify(:channel, :key)").bindparams(channel=CHANNEL)


class Notifications:
    """Events of this process by key, set by `wake` here and by NOTIFY from anywhere."""

    def __init__(self, conninfo: str) -> None:
        """Opens nothing yet; `conninfo` is a plain ``postgresql://`` address."""
        self._conninfo = conninfo
        self._events: dict[str, set[asyncio.Event]] = {}
        self._opening = asyncio.Lock()
        self._listener: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def subscribe(self, key: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever the key is notified. Listening has begun when the block is entered.

        So look at the rows again after entering: what happened before is not repeated.
        """
        event = asyncio.Event()
        self._events.setdefault(key, set()).add(event)
        try:
            await self._listen()
            yield event
        finally:
            waiting = self._events[key]
            waiting.discard(event)
            if not waiting:
                del self._events[key]

    def wake(self, key: str) -> None:
        """Set this process's events of the key at once; for other processes, execute NOTIFY in the transaction."""
        for event in self._events.get(key, ()):
            event.set()

    async def _listen(self) -> None:
        async with self._opening:
            if self._listener is None or self._listener.done():
                connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
                self._listener = asyncio.create_task(self._receive(connection))

    async def _receive(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        async with connection:
            try:
                async for notification in connection.notifies():
                    self.wake(notification.payload)
            except psycopg.OperationalError as error:
                log.warning("notifications.connection_lost", error=str(error))
            finally:
                # Whatever was notified in the meantime is lost, so everything that waits looks at the rows again.
                for key in self._events:
                    self.wake(key)

    async def close(self) -> None:
        """Stop listening and give the connection back."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
