"""Run and write Alembic migrations. Starts no server and reads no row of the product."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from app.core.database_connection import ConnectionOptions, complete_url

ROOT = Path(__file__).resolve().parents[2]


def alembic_config(connection: Connection | None = None) -> Config:
    """The project's Alembic configuration; migrations/env.py takes the connection from its attributes."""
    config = Config(ROOT / "alembic.ini")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


@contextmanager
def connected(database_url: str, options: ConnectionOptions | None = None) -> Iterator[Connection]:
    """One connection, on which a statement may take as long as it needs."""
    # 0 switches a time-out of the server off. How long a lock is waited for: migrations/env.py
    patient = replace(
        options or ConnectionOptions(), statement_seconds=0, idle_in_transaction_seconds=0, transaction_seconds=0
    )
    with create_engine(complete_url(database_url, patient), poolclass=NullPool).connect() as connection:
        yield connection


def upgrade(connection: Connection) -> None:
    """Run every migration that has not run yet."""
    command.upgrade(alembic_config(connection), "head")
    connection.commit()


def migrate(database_url: str) -> None:
    """The same for an address, whatever server and tables are there (`schema_guard.migrate` asks first)."""
    with connected(database_url) as connection:
        upgrade(connection)


def write_migration(database_url: str, message: str) -> None:
    """Write a migration file with what differs between the models and the database."""
    with connected(database_url) as connection:
        command.revision(alembic_config(connection), message=message, autogenerate=True)


@cache
def expected_revision() -> str | None:
    """The newest migration of this version."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


@cache
def known_revisions() -> frozenset[str]:
    """Every migration of this version, the oldest too."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions())


def current_revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
