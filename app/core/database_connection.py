"""How every connection to PostgreSQL is opened: address, name, sizes and time-outs. Runs no statement of the product.

The engine, the queue and the connection that listens all take their arguments from here, so one address means one thing.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import psycopg
from sqlalchemy import make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.engine.url import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from app.core.errors import AppError
from app.core.messages import T

Value = TypeVar("Value")
# The client waits this much longer than the server is told to work, so that a server that is there ends its statement itself
# and the connection stays usable.
GRACE_SECONDS = 0.5
# A connection from the pool has to answer an empty statement within this time, or another one is opened.
PING_SECONDS = 1.5
# What takes longer counts against a request's patience: many short statements are work, not waiting.
SLOW_SECONDS = 0.25
# psycopg looks up from waiting this often.
TICK_SECONDS = 0.1
# TCP asks a silent peer after 10 s, and again every 5 s. After three questions without an answer the connection is lost.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES
KEEPALIVE = {"keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3"}
# The server's own questions to a silent client, which are up to the client as well. It may have vanished between two messages of
# a pipeline (executemany): then no time-out of statements or idle transactions runs, and its locks would stay for hours.
# https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-TCP-KEEPALIVES-IDLE
SERVER_KEEPALIVE = {f"tcp_{name}": value for name, value in KEEPALIVE.items() if name != "keepalives"}
# A client that stands still between such messages is not gone, and its machine answers those questions. From PostgreSQL 17 on a
# transaction as a whole has an end: https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-TRANSACTION-TIMEOUT
LIMITS_TRANSACTIONS_SINCE = 170_000


@dataclass(frozen=True)
class ConnectionOptions:
    """Sizes and time-outs of one process; times in seconds. The settings DATABASE_… are where they come from."""

    application_name: str = "security-center"
    pool_size: int = 10
    queue_pool_size: int = 4
    pool_seconds: float = 2
    connect_seconds: int = 2
    statement_seconds: float = 15
    idle_in_transaction_seconds: float = 15
    transaction_seconds: float = 60
    network_seconds: float = 15


class UnreadableAddress(AppError):
    """DATABASE_URL is no address of PostgreSQL."""

    default = T(
        "DATABASE_URL cannot be read. Write it like postgresql://user:change-me@host:5432/name; characters such as @ : / # %% "
        "of a name or password are percent-encoded (@ is written %%40)."
    )


class NoAnswer(psycopg.OperationalError):
    """The server accepted the connection, and is silent."""


@dataclass
class Patience:
    """The seconds that a request may still wait for the database."""

    left: float


_patience: ContextVar[Patience | None] = ContextVar("database_patience", default=None)
_pinging: ContextVar[bool] = ContextVar("database_pinging", default=False)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Inside the block, long waits for the database are `seconds` in all; what goes beyond is an OperationalError."""
    token = _patience.set(Patience(seconds))
    try:
        yield
    finally:
        _patience.reset(token)


@contextmanager
def pinging() -> Iterator[None]:
    """Inside the block an answer takes at most PING_SECONDS."""
    token = _pinging.set(True)
    try:
        yield
    finally:
        _pinging.reset(token)


@contextmanager
def counted_wait() -> Iterator[None]:
    """Take a long wait off the patience of the request."""
    started = time.monotonic()
    try:
        yield
    finally:
        current, took = _patience.get(), time.monotonic() - started
        if current is not None and took >= SLOW_SECONDS:
            current.left -= took


async def wait_for_other(work: asyncio.Future[Value]) -> Value:
    """What the work of another task brings. It goes on when the patience of this request ends, which raises NoAnswer."""
    ticks = seconds_left(math.inf) / TICK_SECONDS
    with counted_wait():
        while not work.done():
            if ticks < 0:
                raise NoAnswer("the server does not answer")
            # Ticks, not a deadline: a process that stood still itself has not waited for the server.
            await asyncio.wait((work,), timeout=TICK_SECONDS)
            ticks -= 1
    return work.result()


def seconds_left(seconds: float) -> float:
    """At most these seconds, and what is left of the patience; a moment in any case."""
    current = _patience.get()
    left = seconds if current is None else min(seconds, current.left)
    return max(min(left, PING_SECONDS) if _pinging.get() else left, 2 * TICK_SECONDS)


def _giving_up(waiting: Generator[Any, Any, Value], ticks: int) -> Generator[Any, Any, Value]:
    """The same generator, which raises NoAnswer after so many ticks without anything from the server.

    Ticks, not a deadline: a process that stood still itself has not waited for the server.
    """
    try:
        state = next(waiting)
        while True:
            ready = yield state
            ticks -= not ready
            if ticks < 0:
                raise NoAnswer("the server does not answer")
            state = waiting.send(ready)
    except StopIteration as end:
        value: Value = end.value
        return value


class ImpatientConnection(psycopg.AsyncConnection[Any]):
    """A connection on which no answer is waited for without end: a frozen server enforces no time-out of its own."""

    answer_seconds: float = math.inf
    transaction_seconds: float = 0
    _is_listening = False

    @classmethod
    async def connect(cls, *arguments: Any, **named: Any) -> Self:  # noqa: ANN401 - psycopg's arguments.
        """As the base's, and its transactions end after `transaction_seconds`, where the server can do that and is not told."""
        opened = await super().connect(*arguments, **named)
        is_told = "transaction_timeout" in str(named.get("options", ""))
        if is_told or not cls.transaction_seconds or opened.info.server_version < LIMITS_TRANSACTIONS_SINCE:
            return opened
        try:
            # Not with the other limits in `options`, which an older server would refuse. In a transaction it would be undone.
            usual = opened.autocommit
            await opened.set_autocommit(True)
            await opened.execute(f"SET transaction_timeout = {round(cls.transaction_seconds * 1000)}")
            await opened.set_autocommit(usual)
        except BaseException:
            await opened.close()
            raise
        return opened

    async def wait(
        self,
        gen: Generator[Any, Any, Value],
        interval: float = TICK_SECONDS,
        timeout: float | None = None,  # noqa: ASYNC109 - the base's signature.
    ) -> Value:
        """As the base's. Raises NoAnswer, and the connection is then closed."""
        limit = seconds_left(self.answer_seconds)
        if self._is_listening or math.isinf(limit):
            return await super().wait(gen, interval, timeout)
        try:
            with counted_wait():
                return await super().wait(_giving_up(gen, math.ceil(limit / interval)), interval, timeout)
        except NoAnswer:
            # Whatever it would still answer belongs to a statement that has been given up.
            self.pgconn.finish()
            raise

    async def notifies(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the base's signature.
        stop_after: int | None = None,
    ) -> AsyncGenerator[psycopg.Notify, None]:
        """As the base's: silence is what a listener expects."""
        self._is_listening = True
        try:
            async with aclosing(super().notifies(timeout=timeout, stop_after=stop_after)) as received:
                async for notification in received:
                    yield notification
        finally:
            self._is_listening = False


def connection_class(options: ConnectionOptions) -> type[ImpatientConnection]:
    """The class of connections that give up some time after the server should have."""
    # 0 switches the time-out off, here as at the server.
    seconds = options.statement_seconds + GRACE_SECONDS if options.statement_seconds else math.inf
    limits = {"answer_seconds": seconds, "transaction_seconds": options.transaction_seconds}
    return type("ImpatientConnection", (ImpatientConnection,), limits)


class ImpatientPool(AsyncAdaptedQueuePool):
    """Waiting for a free connection counts against the patience of the request."""

    def _do_get(self) -> ConnectionPoolEntry:
        with counted_wait():
            return super()._do_get()


def creator(options: ConnectionOptions) -> Any:  # noqa: ANN401 - SQLAlchemy's async_creator_fn.
    """Opens a connection for the engine, within what is left of the request's patience."""
    opened_class = connection_class(options)

    async def connect(*arguments: Any, **named: Any) -> ImpatientConnection:  # noqa: ANN401 - psycopg's arguments.
        if _patience.get() is None:
            return await opened_class.connect(*arguments, **named)
        try:
            async with asyncio.timeout(seconds_left(math.inf)):
                return await opened_class.connect(*arguments, **named)
        except TimeoutError as error:
            raise NoAnswer("the server does not answer") from error

    return connect


def ping_in_time(dialect: Dialect) -> None:
    """Let the pool's question whether a connection still answers take PING_SECONDS at most."""
    ask = dialect.do_ping

    def do_ping(connection: DBAPIConnection) -> bool:
        with pinging():
            return bool(ask(connection))

    dialect.do_ping = do_ping  # type: ignore[assignment, method-assign]


SEVERAL_HOSTS = re.compile(
    r"^(?P<scheme>[a-z+]+://)(?P<login>[^/?#]*@)?(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<rest>[/?#].*)?$"
)
HOST_AND_PORT = re.compile(r"^(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:\[\]]*))(?::(?P<port>\d+))?$")


def as_psycopg_url(url: str) -> str:
    """The address with our driver in it. Raises ValueError when it is not PostgreSQL's, or cannot be read."""
    for prefix in ("postgresql+psycopg://", "postgresql://", "postgres://"):
        if url.startswith(prefix):
            return _hosts_as_values("postgresql+psycopg://" + url.removeprefix(prefix))
    raise ValueError("DATABASE_URL must start with postgresql://")


def _hosts_as_values(url: str) -> str:
    """``@h1:1,h2:2/db`` as ``@/db?host=h1,h2&port=1,2``: libpq reads both, SQLAlchemy only the second."""
    found = SEVERAL_HOSTS.match(url)
    if found is None:
        return url
    parts = [HOST_AND_PORT.match(one) for one in found["hosts"].split(",")]
    if not all(parts):
        raise ValueError("DATABASE_URL: write several hosts like host1:5432,host2:5432")
    hosts = ",".join(part["v6"] or part["name"] for part in parts if part)
    ports = ",".join(part["port"] or "5432" for part in parts if part)
    path, _, query = (found["rest"] or "/").partition("?")
    values = f"host={hosts}&port={ports}" + (f"&{query}" if query else "")
    return f"{found['scheme']}{found['login'] or '@'}{path}?{values}"


def complete_url(url: str, options: ConnectionOptions) -> URL:
    """The address with our time-outs in it. What the address itself says goes before them. Raises UnreadableAddress."""
    try:
        read = make_url(as_psycopg_url(url))
    except (ValueError, ArgumentError):
        raise UnreadableAddress from None  # The error repeats pieces of the address, which may be the password.
    given = {name: value if isinstance(value, str) else ",".join(value) for name, value in read.query.items()}
    # https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT, in milliseconds.
    server = {
        "statement_timeout": options.statement_seconds,
        # A client that has vanished holds its locks until then: others wait for the rows that it was about to change.
        "idle_in_transaction_session_timeout": options.idle_in_transaction_seconds,
        "tcp_user_timeout": options.network_seconds,
    }
    milliseconds = {name: str(round(seconds * 1000)) for name, seconds in server.items()}
    ours = " ".join(f"-c {name}={value}" for name, value in (milliseconds | SERVER_KEEPALIVE).items())
    own = given.get("options", "")
    usual = {
        **KEEPALIVE,
        "connect_timeout": str(options.connect_seconds),
        "tcp_user_timeout": str(round(options.network_seconds * 1000)),
        "application_name": options.application_name,
    }
    # Of two `-c` for one name the last one counts. Without ours when they are there: an address may come here twice.
    wanted = own if own.startswith(ours) else f"{ours} {own}".strip()
    added = {name: value for name, value in usual.items() if name not in given}
    return read.update_query_dict({**added, "options": wanted})


def connect_arguments(url: URL) -> dict[str, Any]:
    """The arguments of ``psycopg.connect`` for an address, as the engine has them."""
    # Read by SQLAlchemy's dialect: its way to write an address differs from libpq's.
    _, arguments = url.get_dialect()().create_connect_args(url)
    return dict(arguments)
