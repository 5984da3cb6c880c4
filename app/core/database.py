"""Tables' common ground: naming rules, column types, engine and transaction scope. Knows no table of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from sqlalchemy import DateTime, MetaData, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DataError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

from app.core.notifications import Notifications

# A value that PostgreSQL does not take, whatever column it was meant for.
UnusableValue = DataError
# Predictable names for every constraint, so that a migration can name what it drops.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Instant(TypeDecorator[datetime]):
    """A moment: only aware times go in, UTC comes out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base's signature.
        """Refuse a time without a zone, which would be read in the server's own."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base's signature.
        """Whatever the connection's zone, UTC."""
        return None if value is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The parent of every table."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this as a class attribute.
        datetime: Instant(),
        str: Text(),
        UUID: Uuid(),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
        list[str]: JSONB(),
    }


Id = Annotated[UUID, mapped_column(Uuid(), primary_key=True, default=uuid4)]


def make_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for ``postgresql+psycopg``; accepts the short ``postgresql://`` as well.

    Connections are tested before use, because a database that was restarted leaves dead ones in the pool. Errors do not
    repeat the values of a statement: they end in logs.
    """
    return create_async_engine(
        as_psycopg_url(url), pool_size=pool_size, max_overflow=5, pool_pre_ping=True, hide_parameters=True
    )


def as_psycopg_url(url: str) -> str:
    """The address with the driver we use named in it."""
    for prefix in ("postgresql+psycopg://", "postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    raise ValueError("DATABASE_URL must start with postgresql://")


# What a function that reads or writes rows is handed; named here so that the pages need not know SQLAlchemy.
Session = AsyncSession


class Database:
    """The engine with its two scopes; opened once per process."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
        address = engine.url.set(drivername="postgresql")
        self.notifications = Notifications(address.render_as_string(hide_password=False))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends well, rolled back when it does not."""
        async with self._sessions() as session, session.begin():
            yield session

    async def close(self) -> None:
        """Give back every connection."""
        await self.notifications.close()
        await self.engine.dispose()


async def is_ready(database: Database, expected_revision: str | None) -> str:
    """An empty text when the database answers and has seen the newest migration, otherwise what is wrong."""
    try:
        async with database.transaction() as session:
            found = await session.execute(text("SELECT version_num FROM alembic_version"))
            revision = found.scalar_one_or_none()
    except ProgrammingError:
        return "the database has no tables yet: run the migrations"
    except SQLAlchemyError:
        return "the database does not answer"
    if expected_revision is not None and revision != expected_revision:
        return "the database is of another version: run the migrations"
    return ""
