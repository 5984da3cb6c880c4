"""A second system over a restored database, and a database that says which migration it has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from sqlalchemy import text

from app.core.migrations import expected_revision
from app.core.table_copy import connect
from tests.factories.system import System, open_system


@contextmanager
def stamped(database_url: str) -> Iterator[None]:
    """Write Alembic's table into a database that the tests made from the models, and drop it at the end of the block."""
    connection = connect(database_url)
    with connection.begin():
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.exec_driver_sql("DELETE FROM alembic_version")
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": expected_revision()})
    yield
    with connection.begin():
        connection.exec_driver_sql("DROP TABLE alembic_version")
    connection.close()


@asynccontextmanager
async def system_over(database_url: str, like: System) -> AsyncIterator[System]:
    """The product over another database, with the keys and the sandbox of this system."""
    async with open_system(database_url, like.microsoft, like.servicenow) as opened:
        opened.resources = replace(opened.resources, vault=like.resources.vault)
        opened.app.state.resources = opened.resources
        yield opened
    like.app.state.resources = like.resources
