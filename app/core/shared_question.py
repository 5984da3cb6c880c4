"""Asks the database one question for many callers: those who come during a round trip share the next one.

Keeps no answer: each caller gets one that was asked for after it came. Holds one connection, opened on first use.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psycopg

from app.core.database_connection import (
    TICK_SECONDS,
    ImpatientConnection,
    NoAnswer,
    counted_wait,
    patience,
    pinging,
    seconds_left,
)
from app.core.database_trouble import cause_of
from app.core.logging import get_logger

log = get_logger(__name__)

Answer = TypeVar("Answer")
Read = TypeVar("Read", covariant=True)
# Kept with its connection: a new cursor for each statement, with names to translate, costs a third of a round trip's work.
Cursor = psycopg.AsyncRawCursor[Any]
# In one round trip. 500 keys of 64 characters are 32 KiB, and take the server a few milliseconds.
MOST_KEYS = 500
# Callers at once, some 1 KiB each; the rest is refused at once. A server that answers needs ten round trips for so many.
MOST_WAITING = 5_000
# A kept plan that is outdated, after a migration under a running process, or a statement that was deallocated.
# https://www.postgresql.org/docs/current/sql-prepare.html
OUTDATED = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)


class TooManyWaiting(psycopg.OperationalError):
    """More callers wait for the database than it can answer soon."""

    sqlstate = psycopg.errors.TooManyConnections.sqlstate


class AcceptsAndIsSilent(psycopg.OperationalError):
    """The server accepts connections, but did not answer in time: another transaction holds a table, or it is overloaded."""

    sqlstate = psycopg.errors.QueryCanceled.sqlstate


@dataclass(frozen=True)
class KeyedQuery(Generic[Read]):
    """A statement that only reads, with the keys as `$1`, a list of texts. `read` makes the key and its answer of one row."""

    statement: str
    read: Callable[[Sequence[Any]], tuple[str, Read]]


@dataclass(eq=False, slots=True)
class _Waiter:
    """`ticks`: for how many more this caller waits."""

    query: KeyedQuery[Any]
    key: str
    answer: asyncio.Future[Any]
    ticks: float


class SharedQuestion:
    """Callers await `ask`; a task of its own asks for all that wait, so that none of them can end it for the others."""

    def __init__(self, connect: Callable[[], Awaitable[ImpatientConnection]]) -> None:
        """Opens nothing yet. `connect` opens a connection with autocommit, within the patience of its context."""
        self._connect = connect
        self._cursor: Cursor | None = None
        self._is_let_in = False
        self._waiting: list[_Waiter] = []
        self._asked: list[_Waiter] = []
        self._asking: asyncio.Task[None] | None = None
        self._ticking: asyncio.TimerHandle | None = None

    async def ask(self, query: KeyedQuery[Answer], key: str) -> Answer | None:
        """The answer for this key; None when the database has none. Raises psycopg.Error, also when patience ends."""
        if len(self._waiting) + len(self._asked) >= MOST_WAITING:
            raise TooManyWaiting("too many requests wait for the database")
        loop = asyncio.get_running_loop()
        waiter = _Waiter(query, key, loop.create_future(), seconds_left(math.inf) / TICK_SECONDS)
        self._waiting.append(waiter)
        # An empty context: what is asked for many has neither the patience nor the correlation ID of the one who came first.
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all(), context=Context())
        if self._ticking is None:
            self._ticking = loop.call_later(TICK_SECONDS, self._tick, context=Context())
        with counted_wait():
            found: Answer | None = await waiter.answer
        return found

    async def close(self) -> None:
        """Give the connection back. Callers that still wait get an error."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
            # A task that is cancelled before its first step runs no line, so it cannot do this itself.
            self._asking = None
        _refuse((*self._asked, *self._waiting), psycopg.OperationalError("the connection is closed"))
        self._asked, self._waiting = [], []
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        await self._drop_connection()

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                await self._ask_some()
        finally:
            # No await since the list was looked at: the next caller starts the next task.
            self._asking = None

    async def _ask_some(self) -> None:
        """One round trip for those who wait with the same query."""
        # A caller that was cancelled has cancelled its own future, and no other.
        waiting = [waiter for waiter in self._waiting if not waiter.answer.done()]
        batch = [waiter for waiter in waiting if waiter.query is waiting[0].query][:MOST_KEYS]
        taken = set(batch)
        self._waiting, self._asked = [waiter for waiter in waiting if waiter not in taken], batch
        if not batch:
            return
        left = max(waiter.ticks for waiter in batch) * TICK_SECONDS
        try:
            with nullcontext() if math.isinf(left) else patience(left):
                answers = await self._answers(batch[0].query, sorted({waiter.key for waiter in batch}))
        # Whatever it is, it belongs to those who asked: the next round trip has another chance.
        except Exception as error:
            _refuse(batch, error)
        else:
            for waiter in batch:
                if not waiter.answer.done():
                    waiter.answer.set_result(answers.get(waiter.key))
        self._asked = []

    async def _answers(self, query: KeyedQuery[Answer], keys: list[str]) -> Mapping[str, Answer]:
        """Answers by key. A connection that was lost or went silent while idle is replaced, and the question asked again."""
        held, self._is_let_in = self._cursor, False
        if held is not None and not _is_lost(held):
            try:
                with pinging():
                    return await self._send(held, query, keys)
            except psycopg.Error as error:
                if not _is_lost(held) and not isinstance(error, OUTDATED):
                    raise
                log.info("database.question.connection_replaced", cause=cause_of(error))
        await self._drop_connection()
        self._cursor = psycopg.AsyncRawCursor(await self._connect())
        self._is_let_in = True
        try:
            return await self._send(self._cursor, query, keys)
        except NoAnswer as error:
            raise self._silence() from error

    async def _send(self, cursor: Cursor, query: KeyedQuery[Answer], keys: list[str]) -> Mapping[str, Answer]:
        # Prepared once per connection: PgBouncer's session mode, which the listener needs as well, keeps it.
        # https://www.psycopg.org/psycopg3/docs/advanced/prepare.html
        await cursor.execute(query.statement, (keys,), prepare=True)
        return dict(query.read(row) for row in await cursor.fetchall())

    async def _drop_connection(self) -> None:
        held, self._cursor = self._cursor, None
        if held is not None:
            await held.connection.close()

    def _tick(self) -> None:
        """End the waits that are over: a caller may have come long before its question is sent."""
        waiting = [waiter for waiter in (*self._asked, *self._waiting) if not waiter.answer.done()]
        for waiter in waiting:
            # Ticks, not a deadline: a process that stood still itself has not waited for the server.
            waiter.ticks -= 1
        _refuse((waiter for waiter in waiting if waiter.ticks < 0), self._silence())
        # Who waits no more takes no one's place, however long the round trip before them takes.
        self._waiting = [waiter for waiter in self._waiting if not waiter.answer.done()]
        again = asyncio.get_running_loop().call_later
        self._ticking = again(TICK_SECONDS, self._tick, context=Context()) if waiting else None

    def _silence(self) -> psycopg.OperationalError:
        kind = AcceptsAndIsSilent if self._is_let_in else NoAnswer
        return kind("the server does not answer")


def _is_lost(cursor: Cursor) -> bool:
    return cursor.connection.closed


def _refuse(waiters: Iterable[_Waiter], error: Exception) -> None:
    """Tell each of them. An exception object of its own: the traceback of a shared one would grow with every caller."""
    for waiter in waiters:
        if not waiter.answer.done():
            own = copy.copy(error) if isinstance(error, psycopg.Error) else error
            if own is not error:
                own.__cause__ = error
            waiter.answer.set_exception(own)
