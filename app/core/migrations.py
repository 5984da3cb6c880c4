"""Run and write Alembic migrations. Starts no server and reads no row of the product."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from app.core.database import as_psycopg_url

ROOT = Path(__file__).resolve().parents[2]


def alembic_config(connection: Connection | None = None) -> Config:
    """The project's Alembic configuration; migrations/env.py takes the connection from its attributes."""
    config = Config(ROOT / "alembic.ini")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def migrate(database_url: str) -> None:
    """Run every migration that has not run yet."""
    with create_engine(as_psycopg_url(database_url), poolclass=NullPool).connect() as connection:
        command.upgrade(alembic_config(connection), "head")
        connection.commit()


def write_migration(database_url: str, message: str) -> None:
    """Write a migration file with what differs between the models and the database."""
    with create_engine(as_psycopg_url(database_url), poolclass=NullPool).connect() as connection:
        command.revision(alembic_config(connection), message=message, autogenerate=True)


def expected_revision() -> str | None:
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def current_revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
