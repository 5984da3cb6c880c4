"""A PostgreSQL that gets into trouble: a proxy that refuses, freezes or cuts, backends that are stopped, held and killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import psycopg

from app.core.database import Database, make_engine
from app.core.database_connection import ConnectionOptions
from app.core.migrations import expected_revision
from tests.factories.system import System


@dataclass
class Proxy:
    """Passes bytes between us and PostgreSQL until it is told otherwise."""

    target: tuple[str, int] | str
    port: int = 0
    frozen: asyncio.Event = field(default_factory=asyncio.Event)
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Accept connections, on the same port as before."""
        self.flowing.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Close the port and cut every connection, as a server that was stopped."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0)

    def freeze(self) -> None:
        """Pass nothing on, in either direction, and close nothing: lost packets, or a machine that hangs."""
        self.flowing.clear()

    def thaw(self) -> None:
        """Pass on what was held back, and what comes."""
        self.flowing.set()

    async def stop(self) -> None:
        """End everything."""
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if isinstance(self.target, str):
            other = await asyncio.open_unix_connection(self.target)
        else:
            other = await asyncio.open_connection(*self.target)
        self._writers |= {writer, other[1]}
        for source, sink in ((reader, other[1]), (other[0], writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while received := await source.read(65536):
                await self.flowing.wait()
                sink.write(received)
                await sink.drain()
        sink.close()


def server_of(url: str) -> tuple[str, int] | str:
    """Where the server listens: host and port, or the path of its socket."""
    parts = urlsplit(url)
    folder = parse_qs(parts.query).get("host", [""])[0]
    if folder.startswith("/"):
        return f"{folder}/.s.PGSQL.{parts.port or 5432}"
    return parts.hostname or "127.0.0.1", parts.port or 5432


def through(url: str, port: int) -> str:
    """The same database by way of a port on this machine."""
    parts = urlsplit(url)
    login = f"{quote(parts.username or 'postgres')}{':' + parts.password if parts.password else ''}"
    return f"postgresql://{login}@127.0.0.1:{port}{parts.path}"


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the database, and the address that leads through it."""
    proxy = Proxy(server_of(url))
    await proxy.start()
    try:
        yield proxy, through(url, proxy.port)
    finally:
        await proxy.stop()


@asynccontextmanager
async def with_database_at(system: System, url: str, options: ConnectionOptions) -> AsyncIterator[System]:
    """The same system whose web application reaches its database at another address, or with other limits."""
    own = system.app.state.resources
    database = Database(make_engine(url, options))
    system.app.state.resources = replace(own, database=database)
    try:
        yield replace(system, resources=system.app.state.resources)
    finally:
        system.app.state.resources = own
        await database.close()


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """These backends of PostgreSQL stand still (SIGSTOP) until the block ends."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def backends(url: str, name: str = "") -> list[int]:
    """The process ids of the other connections to this database whose application_name begins so."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND application_name LIKE %s",
            [f"{name}%"],
        )
        return [row[0] for row in rows]


def kill_backends(url: str) -> int:
    """How many connections to this database were ended, as an administrator would."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    return len(rows)


@contextmanager
def idle_holder(url: str, table: str) -> Iterator[None]:
    """A transaction that locked the whole table, and does nothing more."""
    with psycopg.connect(url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


@contextmanager
def full_disk(url: str, *tables: str) -> Iterator[None]:
    """Every new row of these tables is answered as PostgreSQL answers without space (53100)."""
    function = (
        "CREATE OR REPLACE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING "
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"{function} ERRCODE = '53100', MESSAGE = 'could not extend file: No space left on device'; END $$"
        )
        for table in tables:
            connection.execute(f"CREATE TRIGGER no_space BEFORE INSERT ON {table} EXECUTE FUNCTION no_space()")
    try:
        yield
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP FUNCTION no_space CASCADE")


@contextmanager
def marked_as(url: str, revision: str | None) -> Iterator[None]:
    """The database says that its tables are of this migration; None: of none."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM alembic_version")
        if revision is not None:
            connection.execute("INSERT INTO alembic_version VALUES (%s)", [revision])
        try:
            yield
        finally:
            connection.execute("DELETE FROM alembic_version")
            connection.execute("INSERT INTO alembic_version VALUES (%s)", [expected_revision()])


@contextmanager
def missing(url: str, table: str) -> Iterator[None]:
    """The table has another name for a while."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO {table}_of_old")
        try:
            yield
        finally:
            connection.execute(f"ALTER TABLE {table}_of_old RENAME TO {table}")


def assert_unavailable(answer: httpx.Response) -> None:
    """The page of an outage: 503, when to come back, and no talk of a mistake of ours."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert "our mistake" not in answer.text
