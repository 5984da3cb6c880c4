"""Rows of any table for tests of triggers, with an example in each column that must not be empty. No product code runs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

ONE = UUID(int=1)
# The same for all tables, so that a row refers to the rows of other tables that were made before it.
EXAMPLES: dict[str, object] = {
    "uuid": ONE,
    "text": "x",
    "integer": 1,
    "bigint": 1,
    "double precision": 1.0,
    "boolean": False,
    "jsonb": "[]",
    "date": date(2026, 11, 20),
    "timestamp with time zone": datetime(2026, 11, 20, 9, tzinfo=UTC),
}


def add_row(connection: psycopg.Connection[Any], table: str, **given: object) -> None:
    """Insert a row. The rows that it refers to have to be there."""
    columns = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND is_nullable = 'NO'",
        (table,),
    ).fetchall()
    values = {name: EXAMPLES[kind] for name, kind in columns} | given
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        ),
        list(values.values()),
    )


def add_ticket(connection: psycopg.Connection[Any], ticket_id: UUID, **given: object) -> None:
    """Insert a queued change request at the connection `ONE`."""
    known = {"kind": "change", "delivery": "queued", "state": "", "state_label": "", "absence": ""}
    unique = {"id": ticket_id, "form_key": str(ticket_id), "correlation_id": str(ticket_id)}
    add_row(connection, "ticket", **{**known, **unique, **given})


def versions(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Version by topic."""
    return dict(connection.execute("SELECT topic, version FROM page_version").fetchall())


def raised(connection: psycopg.Connection[Any], before: dict[str, int]) -> set[str]:
    """The topics whose version is higher than it was; none may be lower."""
    after = versions(connection)
    assert all(after[topic] >= version for topic, version in before.items())
    return {topic for topic, version in after.items() if version > before.get(topic, 0)}
