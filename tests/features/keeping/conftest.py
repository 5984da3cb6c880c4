"""A database without any table, and one that says which migration it has."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from app.core.migrations import expected_revision
from tests.factories.database import with_database
from tests.factories.outages import marked_as


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """The address of a database without any table."""
    name = f"empty_{uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        yield with_database(postgres, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def stamped_url(database_url: str) -> Iterator[str]:
    """The address of the test's database, which names the newest migration again when the test has ended."""
    with marked_as(database_url, expected_revision()):
        yield database_url
