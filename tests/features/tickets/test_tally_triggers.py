"""The tally equals a count after every commit, and stamps rise when something shown changed: by any statements, in any order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from app.features.tickets.models import Ticket
from app.features.tickets.tally_triggers import SHOWN
from tests.factories.rows import ONE, add_row, add_ticket, raised, versions

TALLY = "SELECT connection_id, kind, delivery, state, state_label, shown, n FROM ticket_tally"
COUNT = "SELECT connection_id, kind, delivery, state, state_label, absence = '', count(*) FROM ticket GROUP BY 1, 2, 3, 4, 5, 6"
# Columns that no card, list or result shows, and the key.
QUIET = {
    "id", "form_key", "description", "requested_by_id", "requested_by_oid", "record", "warnings", "correlation_id",
    "own_sys_id", "sent_plain", "remote_updated_at", "verified_at", "has_marker", "differences", "journal",
    "journal_read_at", "journal_problem", "attempts", "refusals", "refusal_cause", "refused_at", "turned_away", "failures",
    "failure_text", "force_retry", "attempted_at", "sent_at", "uncertain_until", "in_flight_since", "next_try_at",
    "request_id", "has_own_job",
}  # fmt: skip
CHANGES: dict[str, list[object]] = {
    "kind": ["change", "incident"],
    "delivery": ["queued", "held", "shared", "given_up"],
    "state": ["", "1", "7"],
    "state_label": ["", "New", 'In "work", done'],
    "absence": ["", "deleted"],
    "number": ["", "CHG1"],
    "verified_at": ["2026-11-20", "2026-11-21"],
    "attempts": [0, 1],
}
PER_SIDE = 4
Step = tuple[int, str, list[int], str, object]
numbers = st.lists(st.integers(0, PER_SIDE - 1), min_size=1, max_size=PER_SIDE, unique=True)
columns = st.sampled_from(sorted(CHANGES)).flatmap(
    lambda column: st.tuples(st.just(column), st.sampled_from(CHANGES[column]))
)
VERBS = (
    "insert",
    "insert",
    "update",
    "update",
    "update",
    "delete",
    "savepoint",
    "undo",
    "release",
    "commit",
    "rollback",
)
steps = st.builds(
    lambda side, verb, chosen, change: (side, verb, chosen, *change),
    st.integers(0, 1), st.sampled_from(VERBS), numbers, columns,
)  # fmt: skip


def is_right(connection: psycopg.Connection[Any]) -> bool:
    """Whether the tally equals a count."""
    return set(connection.execute(TALLY).fetchall()) == set(connection.execute(COUNT).fetchall())


class Side:
    """One of two transactions that go on at once, with tickets of its own, and which kinds it has changed."""

    def __init__(self, url: str, number: int) -> None:
        self.connection = psycopg.connect(url)
        self.ids = [UUID(int=100 * (number + 1) + index) for index in range(PER_SIDE)]
        self.touched: set[str] = set()
        self.savepoints: list[set[str]] = []

    def do(self, verb: str, chosen: list[int], column: str, value: object) -> None:
        before = self._shown()
        ids = [self.ids[index] for index in chosen]
        if verb == "insert":
            for one in ids:
                if one not in before:
                    given = {column: value} if column != "verified_at" else {}
                    add_ticket(self.connection, one, **given)
        elif verb == "update":
            change = sql.SQL("UPDATE ticket SET {} = %s WHERE id = ANY(%s)").format(sql.Identifier(column))
            self.connection.execute(change, (value, ids))
        elif verb == "delete":
            self.connection.execute("DELETE FROM ticket WHERE id = ANY(%s)", (ids,))
        elif verb == "savepoint":
            self.connection.execute(f"SAVEPOINT s{len(self.savepoints)}")
            self.savepoints.append(set(self.touched))
        elif self.savepoints:
            self.connection.execute(f"{'ROLLBACK TO' if verb == 'undo' else 'RELEASE'} s{len(self.savepoints) - 1}")
            before = self._shown()
            if verb == "undo":
                self.touched = set(self.savepoints[-1])
            else:
                self.savepoints.pop()
        after = self._shown()
        changed = [one for one in {*before, *after} if before.get(one) != after.get(one)]
        self.touched |= {rows[one][0] for rows in (before, after) for one in changed if one in rows}

    def end(self, verb: str) -> set[str]:
        """Commit or roll back; the topics whose versions have to rise."""
        rises = {f"tickets.{kind}" for kind in self.touched} if verb == "commit" else set()
        self.connection.execute(verb)
        self.touched, self.savepoints = set(), []
        return rises

    def _shown(self) -> dict[UUID, tuple[Any, ...]]:
        names = sql.SQL(", ").join(map(sql.Identifier, ("id", "kind", *SHOWN)))
        query = sql.SQL("SELECT {} FROM ticket WHERE id = ANY(%s)").format(names)
        return {row[0]: row[1:] for row in self.connection.execute(query, (self.ids,)).fetchall()}


@pytest.fixture
def looker(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that sees what others have committed."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_row(connection, "connection", status="removed")
        yield connection


@contextmanager
def both_sides(url: str) -> Iterator[list[Side]]:
    sides = [Side(url, number) for number in range(2)]
    try:
        yield sides
    finally:
        for side in sides:
            side.connection.close()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(steps, min_size=10, max_size=40))
def test_the_tally_is_right_after_any_changes(
    looker: psycopg.Connection[Any], database_url: str, taken: list[Step]
) -> None:
    looker.execute("DELETE FROM ticket")
    assert looker.execute(TALLY).fetchall() == []
    with both_sides(database_url) as sides:
        every = list(range(PER_SIDE))
        begins: list[Step] = [(number, "insert", every, "state", "1") for number in range(2)]
        ends: list[Step] = [(number, "commit", every, "state", "1") for number in range(2)]
        for number, verb, chosen, column, value in [*begins, *taken, *ends]:
            before, rises = versions(looker), set()
            if verb in {"commit", "rollback"}:
                rises = sides[number].end(verb)
                assert is_right(looker)
            else:
                sides[number].do(verb, chosen, column, value)
            assert raised(looker, before) == rises


def test_every_column_of_a_ticket_is_decided_about() -> None:
    assert set(SHOWN) | QUIET == set(Ticket.__table__.columns.keys())
    assert not set(SHOWN) & QUIET


def test_a_transaction_writes_each_row_of_the_tally_once(looker: psycopg.Connection[Any], database_url: str) -> None:
    """However many tickets it changes: a row that was changed a thousand times has a thousand versions to step over."""
    writes = """
        SELECT c::regclass::text, pg_stat_get_xact_tuples_inserted(c) + pg_stat_get_xact_tuples_updated(c)
               + pg_stat_get_xact_tuples_deleted(c)
          FROM unnest(ARRAY['ticket_tally'::regclass::oid, 'page_version'::regclass::oid]) AS c
    """
    for number in range(1, 6):
        add_ticket(looker, UUID(int=number))
    with psycopg.connect(database_url) as other:
        for number in range(10, 110):
            add_ticket(other, UUID(int=number))
        other.execute("UPDATE ticket SET delivery = 'shared', state = '1'")
        other.execute("UPDATE ticket SET state = '7' WHERE id > %s", (UUID(int=50),))
        assert dict(other.execute(writes).fetchall()) == {"ticket_tally": 0, "page_version": 0}
        other.execute("SET CONSTRAINTS ALL IMMEDIATE")
        # Queued: no more. Shared in state 1 and in state 7: new.
        assert dict(other.execute(writes).fetchall()) == {"ticket_tally": 3, "page_version": 1}
    assert is_right(looker)


def test_many_labels_in_one_transaction_are_noted_in_many_settings(
    looker: psycopg.Connection[Any], database_url: str
) -> None:
    """Each change reads and writes one whole setting, so none may hold a large part of what was noted."""
    labels = [f"Label {number}" for number in range(500)]
    with psycopg.connect(database_url) as other:
        for number, label in enumerate(labels):
            add_ticket(other, UUID(int=100 + number), state_label=label)
        other.execute("SAVEPOINT one")
        other.execute("UPDATE ticket SET state_label = state_label || '!'")
        sizes = other.execute(
            "SELECT count(*) FROM generate_series(0, 255) AS part,"
            " jsonb_object_keys(current_setting('security_center.tally_' || part, true)::jsonb) GROUP BY part"
        ).fetchall()
        assert sum(size for (size,) in sizes) == 2 * len(labels)
        assert max(size for (size,) in sizes) < len(labels) / 20
        other.execute("ROLLBACK TO one")
        other.execute("UPDATE ticket SET state_label = 'Label 7' WHERE id < %s", (UUID(int=107),))
    assert is_right(looker)
    assert {row[4]: row[-1] for row in looker.execute(TALLY).fetchall()} == {
        **dict.fromkeys(labels[8:], 1), "Label 7": 8,
    }  # fmt: skip


def test_a_table_that_is_emptied_has_no_tally(looker: psycopg.Connection[Any], database_url: str) -> None:
    add_ticket(looker, ONE)
    before = versions(looker)
    with psycopg.connect(database_url) as other:
        other.execute("TRUNCATE ticket CASCADE")
        add_ticket(other, UUID(int=2), kind="incident")
    assert raised(looker, before) >= {"tickets.change", "tickets.incident"}
    assert looker.execute(TALLY).fetchall() == [(ONE, "incident", "queued", "", "", True, 1)]


@pytest.mark.parametrize("harm", ["DELETE FROM ticket_tally", "UPDATE ticket_tally SET n = 1"])
def test_a_tally_that_is_too_low_stops_no_ticket(looker: psycopg.Connection[Any], harm: str) -> None:
    """It becomes no negative number, and is found and repaired by a recount."""
    for number in range(1, 4):
        add_ticket(looker, UUID(int=number))
    looker.execute(harm)
    looker.execute("DELETE FROM ticket WHERE id <> %s", (ONE,))
    assert looker.execute(TALLY).fetchall() == []
    looker.execute("UPDATE ticket SET state = '1'")
    assert [row[-1] for row in looker.execute(TALLY).fetchall()] == [1]


async def test_many_writers_at_once_neither_block_one_another_for_good_nor_miscount(
    looker: psycopg.Connection[Any], database_url: str
) -> None:
    """Each locks its tickets in one order, as the product does, and changes rows of all topics in an order of its own."""
    writers, rounds, shared = 24, 6, [UUID(int=number) for number in range(1, 13)]
    for one in shared:
        add_ticket(looker, one, kind="change" if one.int % 2 else "incident")
    for writer in range(writers):
        add_row(looker, "poll_cursor", kind=str(writer))
    # Ahead of the clock, where a version rises by one at a time.
    ahead = 10**17
    looker.execute("INSERT INTO page_version VALUES ('plans', %s)", (ahead,))
    before = versions(looker)

    async def write(writer: int) -> None:
        chance = random.Random(writer)  # noqa: S311 - which rows, not a secret.
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as own:
            for number in range(rounds):
                chosen = sorted(chance.sample(shared, chance.randint(1, 6)))
                changes: list[tuple[str, tuple[object, ...]]] = [
                    ("UPDATE ticket SET state = %s WHERE id = %s", (chance.choice("123"), one)) for one in chosen
                ]
                changes += [
                    ("UPDATE poll_cursor SET succeeded_at = now() WHERE kind = %s", (str(writer),)),
                    ("INSERT INTO action_tag VALUES ('t', %s, %s)", (str(writer), str(number))),
                    ("INSERT INTO state_name VALUES (%s, %s, %s, '', '')", (ONE, str(writer), str(number))),
                ]
                chance.shuffle(changes)
                async with own.transaction():
                    await own.execute("SELECT FROM ticket WHERE id = ANY(%s) ORDER BY id FOR UPDATE", (chosen,))
                    for statement, values in changes:
                        await own.execute(statement, values)

    await asyncio.gather(*(write(writer) for writer in range(writers)))
    assert is_right(looker)
    # A stamp for each commit: none is lost where two transactions read the same number.
    assert versions(looker)["plans"] == ahead + writers * rounds
    assert raised(looker, before) == {"tickets.change", "tickets.incident", "poll", "plans", "connection"}
    assert looker.execute("SELECT count(*) FROM action_tag").fetchone() == (writers * rounds,)
