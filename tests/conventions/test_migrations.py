"""The migrations lead to the very tables that the models describe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from app.core import migrations
from app.core.database import as_psycopg_url
from app.features.models import all_metadata
from tests.factories.database import with_database

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """A database without any table."""
    name = f"migrated_{uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        yield with_database(postgres, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {str(row[0]) for row in rows}


def test_models_equal_migrations(empty_database: str) -> None:
    migrations.migrate(empty_database)
    with create_engine(as_psycopg_url(empty_database), poolclass=NullPool).connect() as connection:
        command.check(migrations.alembic_config(connection))  # Raises when a migration is missing.
        assert migrations.current_revision(connection) == migrations.expected_revision()
    assert set(all_metadata().tables) <= _tables(empty_database)
    assert "procrastinate_jobs" in _tables(empty_database)


def test_migrating_twice_changes_nothing(empty_database: str) -> None:
    migrations.migrate(empty_database)
    before = _tables(empty_database)
    migrations.migrate(empty_database)
    assert _tables(empty_database) == before


def test_each_migration_can_be_taken_back(empty_database: str) -> None:
    """Down to the first tables and up again; what earlier tables hold stays."""
    migrations.migrate(empty_database)
    newest = _tables(empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute(
            "INSERT INTO person (id, tid, oid, display_name, email, last_signed_in_at)"
            " VALUES (gen_random_uuid(), 't', 'o', 'Lee', 'lee@contoso.example', now())"
        )
        connection.execute("INSERT INTO home_layout SELECT id, '[\"score\"]' FROM person")
    with create_engine(as_psycopg_url(empty_database), poolclass=NullPool).connect() as connection:
        command.downgrade(migrations.alembic_config(connection), "0001")
        connection.commit()
        assert migrations.current_revision(connection) == "0001"
    assert newest - _tables(empty_database) == {
            "home_layout", "instance_throttle", "poll_cursor", "diagnosis_run", "call_lease",
        }  # fmt: skip
    migrations.migrate(empty_database)
    assert _tables(empty_database) == newest
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM person").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM home_layout").fetchone() == (0,)


def test_there_is_one_line_of_migrations() -> None:
    assert len(ScriptDirectory.from_config(migrations.alembic_config()).get_heads()) == 1


def test_stored_sentences_that_logic_needs_get_their_codes(empty_database: str) -> None:
    """Events and warnings written before messages had codes; other sentences stay as they were."""
    migrations.migrate(empty_database)
    with create_engine(as_psycopg_url(empty_database), poolclass=NullPool).connect() as connection:
        command.downgrade(migrations.alembic_config(connection), "0006")
        connection.commit()
    deleted = "Deleted in ServiceNow: it counts no such record any more. (A rule that hides records …)"
    duplicate = "ServiceNow holds more than one record of this ticket. We follow %(number)s; close %(other)s there."
    warnings = [{"message": "Cut.", "values": {}}, {"message": duplicate, "values": {"other": "INC2"}}]
    with psycopg.connect(empty_database) as connection:
        # The rows alone, without the connection and the person that they belong to.
        connection.execute("SET session_replication_role = replica")
        columns = connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_name = 'ticket' AND is_nullable = 'NO'"
        ).fetchall()
        values = {name: _EXAMPLES[kind] for name, kind in columns} | {"warnings": json.dumps(warnings)}
        connection.execute(
            sql.SQL("INSERT INTO ticket ({}) VALUES ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(sql.Placeholder() * len(values))
            ),
            list(values.values()),
        )
        for event_type, sentence in (("hidden", deleted), ("changed", deleted), ("hidden", "Something else.")):
            connection.execute(
                "INSERT INTO ticket_event (ticket_id, occurred_at, event_type, message, actor)"
                " VALUES (gen_random_uuid(), now(), %s, jsonb_build_object('message', %s::text), '')",
                (event_type, sentence),
            )
    migrations.migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        codes = connection.execute("SELECT message->>'code' FROM ticket_event ORDER BY id").fetchall()
        stored = connection.execute("SELECT warnings FROM ticket").fetchone()
    assert codes == [("ticket.record_deleted",), (None,), (None,)]
    assert stored == ([warnings[0], warnings[1] | {"code": "ticket.duplicate_records"}],)


_EXAMPLES = {
    "uuid": "00000000-0000-4000-8000-000000000001",
    "text": "x",
    "integer": 1,
    "boolean": True,
    "date": "2026-11-20",
    "timestamp with time zone": "2026-11-20 09:00:00+00",
    "jsonb": "{}",
}
