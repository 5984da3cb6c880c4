"""What all tables share: constraint names, column types, engine and transaction scope. Defines no table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID, uuid4

from sqlalchemy import DateTime, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

from app.core.database_connection import (
    ConnectionOptions,
    ImpatientPool,
    complete_url,
    connect_arguments,
    creator,
    ping_in_time,
)
from app.core.notifications import Notifications
from app.core.shared_question import SharedQuestion

# A value that PostgreSQL rejects in any column, such as text with a NUL byte. Named here so that web/ need not
# import SQLAlchemy.
UnusableValue = DataError
# The engine's execution option that holds the ConnectionOptions it was made with.
OPTIONS = "connection_options"
# Predictable constraint names, so that a migration can name what it drops.
# https://docs.sqlalchemy.org/en/21/core/constraints.html#configuring-constraint-naming-conventions
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Instant(TypeDecorator[datetime]):
    """A timestamp column: only aware times go in, UTC comes out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base's signature.
        # PostgreSQL would read a time without a zone in the zone of its own session.
        if value is not None and value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base's signature.
        return None if value is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this as a class attribute.
        datetime: Instant(),
        str: Text(),
        UUID: Uuid(),
        # Without none_as_null, None is stored as JSON null, which `IS NULL` does not find.
        # https://docs.sqlalchemy.org/en/21/core/type_basics.html#sqlalchemy.types.JSON.params.none_as_null
        dict[str, Any]: JSONB(none_as_null=True),
        list[Any]: JSONB(none_as_null=True),
        list[str]: JSONB(none_as_null=True),
    }


Id = Annotated[UUID, mapped_column(Uuid(), primary_key=True, default=uuid4)]


def make_engine(url: str, options: ConnectionOptions | None = None) -> AsyncEngine:
    """An engine for ``postgresql+psycopg``; accepts the short ``postgresql://`` as well. Connects to nothing yet.

    Raises UnreadableAddress.
    """
    chosen = options or ConnectionOptions()
    # pool_pre_ping: a database that was restarted leaves dead connections in the pool.
    # https://docs.sqlalchemy.org/en/21/core/pooling.html#disconnect-handling-pessimistic
    # hide_parameters: errors end up in logs, and the values of a statement may be personal or secret.
    engine = create_async_engine(
        complete_url(url, chosen),
        poolclass=ImpatientPool,
        pool_size=chosen.pool_size,
        max_overflow=0,
        pool_timeout=chosen.pool_seconds,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"async_creator_fn": creator(chosen)},
        execution_options={OPTIONS: chosen},
    )
    ping_in_time(engine.dialect)
    return engine


# A function that takes `session` reads or writes rows and never touches the network. Named here so that web/ need not
# import SQLAlchemy.
Session = AsyncSession


class Database:
    """The engine and its transactions; one per process."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        # Rows stay readable after the commit (expire_on_commit), and nothing is written before it is flushed on purpose.
        self._sessions = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
        # The arguments that the engine itself connects with. An address made from its URL would write spaces as "+", which
        # libpq does not read: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
        arguments = connect_arguments(engine.url)
        self.notifications = Notifications(arguments)
        options = engine.sync_engine.get_execution_options().get(OPTIONS, ConnectionOptions())
        self.shared_question = SharedQuestion(partial(creator(options), **arguments, autocommit=True))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends well, rolled back when it does not."""
        async with self._sessions() as session, session.begin():
            yield session

    async def close(self) -> None:
        await self.shared_question.close()
        await self.notifications.close()
        await self.engine.dispose()
