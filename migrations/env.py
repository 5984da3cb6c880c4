"""Runs migrations on the connection it is handed; the queue's own tables are left out of every comparison."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.runtime.migration import MigrationContext
from sqlalchemy import pool
from sqlalchemy.engine import Connection, create_engine
from sqlalchemy.schema import SchemaItem

from app.features.models import all_metadata

METADATA = all_metadata()
Kind = Literal["schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint", "check_constraint"]


def ours(_item: SchemaItem, name: str | None, kind: Kind, _reflected: bool, _other: Any) -> bool:  # noqa: ANN401, FBT001 - Alembic's signature.
    """Procrastinate keeps its own tables."""
    return not (kind == "table" and (name or "").startswith("procrastinate_"))


def settle(ctx: MigrationContext, *_args: Any, **_step: Any) -> None:  # noqa: ANN401 - Alembic's signature.
    """Run what triggers have put off: PostgreSQL alters no table for which something waits until the commit."""
    # https://www.postgresql.org/docs/current/sql-set-constraints.html
    if ctx.connection is not None:
        ctx.connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        ctx.connection.exec_driver_sql("SET CONSTRAINTS ALL DEFERRED")


def run(connection: Connection) -> None:
    """All or nothing: PostgreSQL can roll back schema changes too."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        include_object=ours,
        compare_type=True,
        on_version_apply=settle,
    )
    with context.begin_transaction():
        # Two processes that migrate at once take turns.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7240114)")
        # A table that another process holds is not waited for without end: all that asks for it next would queue behind us.
        connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
        context.run_migrations()


handed: Connection | None = context.config.attributes.get("connection")
if handed is not None:
    run(handed)
else:
    url = context.config.get_main_option("sqlalchemy.url")
    if not url:
        raise SystemExit("Run migrations with `python -m app migrate`, which knows the database's address.")
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        run(connection)
        connection.commit()
