"""A topic's version rises in the transaction that changes what is shown of it, once, and with no other change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from app.core.database import Base, Database
from app.features.connection.models import SHOWN, Connection, InstanceThrottle
from app.features.tickets.models import PollCursor
from tests.factories.rows import ONE, add_row, add_ticket, raised, versions

# Topic, table, a change that is shown, one that is not.
BUMPING = [
    ("connection", "connection", "status = 'connected'", "last_success_at = now()"),
    (
        "connection",
        "connection",
        "attention = '{}'",
        "access_token = 'y', access_expires_at = now(), token_version = 9",
    ),
    ("connection", "ticket_preferences", "group_name = 'Desktop'", "group_id = group_id"),
    ("connection", "state_name", "own_label = 'Done'", "category = category"),
    ("connection", "state_choice", "label = 'Done'", "label = label"),
    ("connection", "provisioning_step", "finding = '{}'", "state = state"),
    ("poll", "poll_cursor", "succeeded_at = now()", "tried_at = now(), watermark = now(), last_scan_at = now()"),
    ("poll", "poll_cursor", "problem = '{}'", "choices_read_at = now(), last_change_at = now()"),
    ("poll", "poll_cursor", "changes_refused = 9", "changes_refused_at = now(), last_closed_scan_at = now()"),
    ("poll", "instance_throttle", "paused_until = now()", "requests = 9, last_viewed_at = now()"),
    (
        "poll",
        "instance_throttle",
        "reason = '{}', hourly_limit = 9",
        "clock_ahead_seconds = 9, failures = 9, hour = now()",
    ),
    ("poll", "instance_throttle", "paused_until = now()", "probe_until = now(), slot_wanted_until = now()"),
    ("score", "score_snapshot", "points = 9", "points = points"),
    ("score", "control_score", "points = 9", "points = points"),
    ("score", "improvement_action", "title = 'y'", "title = title"),
    ("score", "score_change", "kind = 'y'", "kind = kind"),
    ("score", "control_rename", "new_id = 'y'", "new_id = new_id"),
    ("score", "score_zones", "good_from = 9", "good_from = good_from"),
    ("score", "import_run", "stage = 'y'", "stage = stage"),
    ("plans", "action_plan", "status = 'y'", "status = status"),
    ("plans", "status_change", "reason = 'y'", "reason = reason"),
    ("plans", "action_tag", "tag = 'y'", "tag = tag"),
    ("plans", "ticket_action", "title = 'y'", "title = title"),
]
KEYS = {"connection_id", "kind"}
# Columns of `connection` that no card shows.
QUIET = {
    "id", "client_secret", "access_token", "access_granted_at", "access_expires_at", "refresh_token",
    "refresh_answer_lost_at", "token_version", "renewal_refusals", "last_success_at",
}  # fmt: skip


@pytest.fixture
def rows(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that commits each statement, to a database with one row that others may refer to in each table."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_row(connection, "connection", status="removed")
        add_row(connection, "score_snapshot")
        add_ticket(connection, ONE)
        yield connection


@pytest.mark.parametrize(("topic", "table", "shown", "quiet"), BUMPING)
def test_what_is_shown_of_a_table_raises_its_topic_and_nothing_else_does(
    rows: psycopg.Connection[Any], topic: str, table: str, shown: str, quiet: str
) -> None:
    name = sql.Identifier(table)
    if table not in {"connection", "score_snapshot"}:
        before = versions(rows)
        add_row(rows, table)
        assert raised(rows, before) == {topic}
    for change, expected in ((shown, {topic}), (quiet, set())):
        before = versions(rows)
        done = rows.execute(sql.SQL("UPDATE {} SET {}").format(name, sql.SQL(change)))
        assert done.rowcount == 1
        assert raised(rows, before) == expected
    before = versions(rows)
    rows.execute("DELETE FROM ticket")
    rows.execute(sql.SQL("DELETE FROM {}").format(name))
    assert topic in raised(rows, before)
    before = versions(rows)
    rows.execute(sql.SQL("TRUNCATE {} CASCADE").format(name))
    assert topic in raised(rows, before)


def test_every_column_of_a_connection_is_decided_about() -> None:
    assert set(SHOWN) | QUIET == set(Connection.__table__.columns.keys())
    assert not set(SHOWN) & QUIET


@pytest.mark.parametrize("table", [InstanceThrottle, PollCursor])
def test_every_column_that_polls_and_calls_write_is_decided_about(table: type[Base]) -> None:
    name = table.__tablename__
    changes = " ".join(f"{shown}, {quiet}" for _, named, shown, quiet in BUMPING if named == name)
    tried = set(re.findall(r"(\w+) =", changes))
    assert {column.name for column in table.__table__.columns} - tried <= KEYS


def test_every_table_with_a_stamp_is_tested(rows: psycopg.Connection[Any]) -> None:
    query = "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgfoid = 'bump_topic'::regproc"
    assert {table for (table,) in rows.execute(query).fetchall()} == {table for _, table, _, _ in BUMPING}


def test_a_version_rises_with_the_commit_once_however_much_changed(
    rows: psycopg.Connection[Any], database_url: str
) -> None:
    before = versions(rows)
    with psycopg.connect(database_url) as other:
        for number in range(50):
            add_row(other, "action_tag", tag=str(number))
        assert raised(other, before) == set()
        other.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert raised(other, before) == {"plans"}
        assert raised(rows, before) == set()
        stamp = versions(other)["plans"]
        add_row(other, "action_tag", tag="late")
        written = "SELECT pg_stat_get_xact_tuples_inserted(c) + pg_stat_get_xact_tuples_updated(c)"
        assert other.execute(f"{written} FROM (SELECT 'page_version'::regclass::oid AS c) AS t").fetchone() == (1,)
    assert versions(rows)["plans"] == stamp


def test_a_savepoint_takes_its_stamp_along(rows: psycopg.Connection[Any], database_url: str) -> None:
    """Also one that was written within it: the transaction goes on, and raises the version when it commits."""
    for settle in (True, False):
        for later in (True, False):
            before = versions(rows)
            with psycopg.connect(database_url) as other:
                other.execute("SAVEPOINT undone")
                add_row(other, "action_tag", tag=f"{settle} {later}")
                if settle:
                    other.execute("SET CONSTRAINTS ALL IMMEDIATE")
                other.execute("ROLLBACK TO SAVEPOINT undone")
                if later:
                    add_row(other, "action_tag", tag=f"{settle} {later}")
            assert raised(rows, before) == ({"plans"} if later else set()), (settle, later)


def test_stamps_of_different_topics_take_turns(rows: psycopg.Connection[Any], database_url: str) -> None:
    """Else two transactions could each hold a stamp that the other one wants."""
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        add_row(first, "action_tag")
        first.execute("SET CONSTRAINTS ALL IMMEDIATE")
        add_row(second, "state_name")
        second.execute("SET LOCAL lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            second.execute("SET CONSTRAINTS ALL IMMEDIATE")
        second.rollback()


async def test_a_transaction_that_is_rolled_back_raises_nothing(
    rows: psycopg.Connection[Any], database: Database
) -> None:
    before = versions(rows)
    for fails in (True, False):
        try:
            async with database.transaction() as session:
                await session.execute(text("INSERT INTO action_tag VALUES ('t', 'c', 'tag')"))
                if fails:
                    raise LookupError
        except LookupError:
            assert raised(rows, before) == set()
    assert raised(rows, before) == {"plans"}


def test_a_database_that_was_set_back_gives_no_version_out_again(rows: psycopg.Connection[Any]) -> None:
    """As after a restore of its files: a process may remember what it made of the versions between."""
    with rows.transaction():
        add_row(rows, "action_tag")
    seen = versions(rows)["plans"]
    for loss in ("DELETE FROM page_version", "UPDATE page_version SET version = version - 3600000000"):
        rows.execute(loss)
        rows.execute("UPDATE action_tag SET tag = tag || 'x'")
        assert versions(rows)["plans"] > seen
        seen = versions(rows)["plans"]
