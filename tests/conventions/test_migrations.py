"""The migrations lead to the very tables that the models describe."""

from __future__ import annotations

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
from app.core.database_connection import as_psycopg_url
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


TRIGGERS = """
SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE NOT t.tgisinternal AND c.relname NOT LIKE 'procrastinate%' ORDER BY 1
"""
FUNCTIONS = """
SELECT proname, regexp_replace(prosrc, '\\s+', ' ', 'g') FROM pg_proc
 WHERE pronamespace = 'public'::regnamespace AND proname NOT LIKE 'procrastinate%' ORDER BY 1
"""


def test_models_have_the_triggers_of_the_migrations(empty_database: str, database_url: str) -> None:
    """Alembic compares no triggers, and other tests run on tables that are made of the models."""
    migrations.migrate(empty_database)
    found = []
    for url in (empty_database, database_url):
        with psycopg.connect(url) as connection:
            found.append([connection.execute(query).fetchall() for query in (TRIGGERS, FUNCTIONS)])
    assert found[0] == found[1]
    assert len(found[0][0]) > 50


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
            "home_layout", "instance_throttle", "poll_cursor", "diagnosis_run", "call_lease", "own_sys_id_rule",
            "control_rename", "running_process", "unsent_form", "audit_checkpoint", "procrastinate_job_reasons",
            "page_version", "ticket_tally", "ticket_search",
        }  # fmt: skip
    migrations.migrate(empty_database)
    assert _tables(empty_database) == newest
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM person").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM home_layout").fetchone() == (0,)


def test_there_is_one_line_of_migrations() -> None:
    assert len(ScriptDirectory.from_config(migrations.alembic_config()).get_heads()) == 1
