"""Wakes waiting code across processes: LISTEN on one lazily opened connection, NOTIFY in the sender's transaction.

Carries no data besides a short key, and promises no delivery: a waiter has to look at the rows again, and needs a timer
for the case that nothing arrives. Never raises for the connection that listens: without it, the timer has to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import text

from app.core.database_trouble import cause_of
from app.core.logging import get_logger

log = get_logger(__name__)

# One channel for everything, told apart by the key: a process then listens once. Names of channels are per database.
CHANNEL = "security_center"
# https://www.postgresql.org/docs/current/sql-notify.html: sent at commit, and not at all when the transaction rolls back.
NOTIFY = text("SELECT pg_notify(:channel, :key)").bindparams(channel=CHANNEL)
# How long a waiter is held up by a connection that is being opened. It usually takes some milliseconds.
OPENING_SECONDS = 1.0
# A server that refuses each connection is asked this often at most, however many wait.
REOPEN_AFTER_SECONDS = 0.5


class Notifications:
    """Events of this process by key, set by `wake` here and by NOTIFY from anywhere."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        """Opens nothing yet; `arguments` are those of ``psycopg.AsyncConnection.connect``, with their time-outs."""
        self._arguments = {**arguments, "autocommit": True}
        self._events: dict[str, set[asyncio.Event]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._reopen_at = 0.0

    @asynccontextmanager
    async def subscribe(self, key: str, *, patience: float = OPENING_SECONDS) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever the key is notified. Listening has begun when the block is entered, if it can.

        So look at the rows again after entering: what happened before is not repeated. `patience`: as `listen` has it.
        """
        event = asyncio.Event()
        self._events.setdefault(key, set()).add(event)
        try:
            await self.listen(patience)
            yield event
        finally:
            waiting = self._events[key]
            waiting.discard(event)
            if not waiting:
                del self._events[key]

    async def listen(self, patience: float = OPENING_SECONDS) -> None:
        """Open the connection that listens, unless it is open. Who waits for long calls this again after each wake.

        Returns after `patience` seconds at the latest; the connection is then opened in the background.
        """
        loop = asyncio.get_running_loop()
        if self._listener is None or self._listener.done():
            if loop.time() < self._reopen_at:
                return
            self._opened = asyncio.Event()
            # A task of its own, because psycopg may take seconds to leave a server that hangs, even when cancelled.
            self._listener = asyncio.create_task(self._receive(self._opened))
        if self._opened.is_set():
            return
        try:
            async with asyncio.timeout(min(patience, OPENING_SECONDS)):
                await self._opened.wait()
        except TimeoutError:
            log.warning("notifications.connection.slow")

    def wake(self, key: str) -> None:
        """Set this process's events of the key at once; for other processes, execute NOTIFY in the transaction."""
        for event in self._events.get(key, ()):
            event.set()

    async def _receive(self, opened: asyncio.Event) -> None:
        """Listen until the connection ends; `opened` is set when listening has begun, or cannot begin."""
        try:
            async with await psycopg.AsyncConnection.connect(**self._arguments) as connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
                opened.set()
                async for notification in connection.notifies():
                    self.wake(notification.payload)
        except (psycopg.Error, OSError) as error:
            # Too many clients, a server that restarts, a name that is not found. The sentence names no password.
            log.warning("notifications.connection.failed", error=type(error).__name__, reason=cause_of(error))
        finally:
            was_open = opened.is_set()
            opened.set()
            if was_open:
                # What is notified from now on is lost, so everything that waits listens and looks at the rows again. Not
                # when connecting failed: the waiter of one key would then wake that of the next, without end.
                # The last thing this task does, so that `listen` finds it done.
                for key in self._events:
                    self.wake(key)
            else:
                self._reopen_at = asyncio.get_running_loop().time() + REOPEN_AFTER_SECONDS

    async def close(self) -> None:
        """Stop listening and give the connection back."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
