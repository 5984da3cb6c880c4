"""The tally is read for some connections and kinds, compared with a count, and rebuilt while others change tickets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from app.core.database import Database
from app.features.tickets.views.ticket_tally import (
    TallyDifference,
    TallyRow,
    read_tally,
    rebuild_tally,
    recount_tally,
)
from tests.factories.rows import ONE, add_row, add_ticket, raised, versions
from tests.factories.statements import counted

OTHER = UUID(int=2)


@pytest.fixture
def filled(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Two connections with three tickets: two queued changes at ONE, and an absent incident at OTHER."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for number, one in enumerate((ONE, OTHER)):
            add_row(connection, "connection", id=one, status="removed", origin=str(number))
        add_ticket(connection, UUID(int=11))
        add_ticket(connection, UUID(int=12))
        incident = {"kind": "incident", "delivery": "shared", "state": "2", "state_label": "In Progress"}
        add_ticket(connection, UUID(int=13), connection_id=OTHER, absence="deleted", **incident)
        yield connection


QUEUED = TallyRow(ONE, "change", "queued", "", "", shown=True, n=2)
ABSENT = TallyRow(OTHER, "incident", "shared", "2", "In Progress", shown=False, n=1)


async def test_the_tally_of_some_connections_and_kinds_is_one_statement(
    filled: psycopg.Connection[Any], database: Database
) -> None:
    async with database.transaction() as session:
        with counted(database) as statements:
            assert await read_tally(session) == [QUEUED, ABSENT]
            assert await read_tally(session, ONE) == [QUEUED]
            assert await read_tally(session, OTHER, ["change"]) == []
            assert await read_tally(session, kinds=["incident"]) == [ABSENT]
            assert await read_tally(session, kinds=[]) == []
    assert len(statements) == 5


async def test_what_differs_from_a_count_is_told_and_repaired(
    filled: psycopg.Connection[Any], database: Database
) -> None:
    async with database.transaction() as session:
        assert await recount_tally(session) == []
    filled.execute("UPDATE ticket_tally SET n = 7 WHERE kind = 'change'")
    filled.execute("DELETE FROM ticket_tally WHERE kind = 'incident'")
    filled.execute("INSERT INTO ticket_tally VALUES (%s, 'change', 'held', '', '', true, 4)", (OTHER,))
    wrong = [
        TallyDifference(QUEUED, kept=7),
        TallyDifference(TallyRow(OTHER, "change", "held", "", "", shown=True, n=0), kept=4),
        TallyDifference(ABSENT, kept=0),
    ]
    before = versions(filled)
    async with database.transaction() as session:
        assert await recount_tally(session) == wrong
    async with database.transaction() as session:
        assert await rebuild_tally(session) == wrong
    # A card that is kept with the wrong number is over.
    assert raised(filled, before) == {"tickets.change", "tickets.incident"}
    async with database.transaction() as session:
        assert await read_tally(session) == [QUEUED, ABSENT]


async def test_tickets_that_change_during_a_rebuild_are_counted_once(
    filled: psycopg.Connection[Any], database: Database, database_url: str
) -> None:
    """Those of the rebuilding transaction, before and after it, and those of another one that commits later."""
    with psycopg.connect(database_url) as other:
        other.execute("UPDATE ticket SET state = '3' WHERE kind = 'incident'")
        async with database.transaction() as session:
            await session.execute(text("UPDATE ticket SET delivery = 'held' WHERE id = :id"), {"id": UUID(int=11)})
            assert await rebuild_tally(session) == []
            await session.execute(text("UPDATE ticket SET delivery = 'held' WHERE id = :id"), {"id": UUID(int=12)})
    async with database.transaction() as session:
        assert await recount_tally(session) == []
        assert [(row.delivery, row.state, row.n) for row in await read_tally(session)] == [
            ("held", "", 2),
            ("shared", "3", 1),
        ]
