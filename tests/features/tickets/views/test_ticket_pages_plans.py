"""How PostgreSQL reads pages of many tickets: by index, and no more rows than a page and its bounds need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from app.core.database import Database, Session
from app.features.tickets.views.outcomes import ticket_results
from app.features.tickets.views.ticket_classes import Filters
from app.features.tickets.views.ticket_list import list_tickets
from app.features.tickets.views.ticket_pages import Bounds
from app.features.tickets.views.tickets_of_actions import actions_with_tickets, newest_by_action, numbers_by_action
from tests.factories.database import fresh_database, kept_engine
from tests.factories.plans import check_reads
from tests.factories.rows import add_row
from tests.factories.ticket_rows import add_connection, add_tickets, any_row, chance_of

pytestmark = pytest.mark.thorough
TICKETS, ACTIONS = 20_000, 40
BOUNDS = Bounds(nearest=400, nearest_of_classes=200, named=2_000)
BATCH = "b" * 32


@pytest.fixture(scope="module")
def many(postgres: str) -> Iterator[str]:
    """A database with many tickets, of which a thousandth are rare in one way or the other."""
    with fresh_database(postgres) as url:
        asyncio.run(_fill(url))
        yield url


async def _fill(url: str) -> None:
    database, chance = Database(kept_engine(url)), chance_of(2)
    connections = [await add_connection(database), await add_connection(database, name="old", status="removed")]
    for start in range(0, TICKETS, 2_000):
        rows = []
        for number in range(start, start + 2_000):
            rare = {"delivery": "held", "state": ""} if number % 1_000 == 7 else {}
            name = "Nadelheu" if number in (9, 11_000) else "Frequent phrase"
            rows.append(any_row(chance, connections[number < 2_000 :][:1], name=name, **rare))
        await add_tickets(database, rows)
    # In parts: at each commit the search texts of all its tickets are written.
    for start in range(0, TICKETS, 2_000):
        async with database.transaction() as session:
            await session.execute(
                text(
                    "INSERT INTO ticket_action (ticket_id, control_id, title)"
                    " SELECT id, 'C' || (row_number() OVER ()) % :actions, 'Title'"
                    " FROM (SELECT id FROM ticket ORDER BY id OFFSET :start LIMIT 2000) AS part"
                ),
                {"actions": ACTIONS, "start": start},
            )
    async with database.transaction() as session:
        await session.execute(
            text("UPDATE ticket SET batch_id = :batch WHERE id IN (SELECT id FROM ticket LIMIT 100)"), {"batch": BATCH}
        )
    async with database.engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text("VACUUM (ANALYZE) ticket, ticket_action, ticket_search"))
    await database.close()


@pytest.mark.parametrize(
    ("filters", "most"),
    [
        ({}, 110),
        ({"at": "oldest"}, 110),
        ({"at": "before.2026-11-03T09:00:00.000000Z.80000000000000000000000000000000"}, 110),
        ({"at": "after.2026-11-27T09:00:00.000000Z.80000000000000000000000000000000"}, 110),
        ({"at": "after.2026-11-29T09:00:00.000000Z.80000000000000000000000000000000"}, 110),
        ({"at": "before.2020-11-03T09:00:00.000000Z.80000000000000000000000000000000"}, 110),
        ({"state": "L2"}, 400),
        ({"delivery": "held"}, 600),
        ({"state_category": "open"}, 1_500),
        ({"state_category": "archived"}, 2_500),
        ({"kind": "change"}, 2_500),
        ({"search": "nadelheu"}, 420),
        ({"search": "phrase frequent"}, 420),
        ({"search": "xyzzy"}, 420),
        ({"search": "megan"}, 500),
        # The newest tickets once more, for the number.
        ({"search": "megan", "at": "before.2026-11-13T09:00:00.000000Z.80000000000000000000000000000000"}, 900),
        ({"search": "nadelheu", "at": "before.2026-11-13T09:00:00.000000Z.80000000000000000000000000000000"}, 820),
        ({"search": "megan", "at": "after.2026-11-29T09:00:00.000000Z.80000000000000000000000000000000"}, 6_000),
        ({"search": "nadelheu", "state_category": "open"}, 12_000),
        ({"search": "xyzzy", "kind": "change"}, 12_000),
    ],
)
def test_a_page_reads_what_it_shows_and_no_table_as_a_whole(many: str, filters: dict[str, str], most: int) -> None:
    async def page(session: Session) -> None:
        assert (await list_tickets(session, Filters(**filters), BOUNDS)).total >= 0  # type: ignore[arg-type]

    asyncio.run(check_reads(many, page, most))


def test_tickets_of_actions_are_read_off_the_index(many: str) -> None:
    ids = [f"C{number}" for number in range(ACTIONS)]
    asyncio.run(check_reads(many, lambda session: newest_by_action(session, ids, 2), ACTIONS * 30))
    asyncio.run(check_reads(many, lambda session: actions_with_tickets(session, ids), ACTIONS))
    asyncio.run(check_reads(many, lambda session: numbers_by_action(session, ids), ACTIONS * 30))


def test_tickets_of_actions_are_read_once_however_few_connections_are_believed_to_be(many: str) -> None:
    """Where it is believed that there is one, their rows would be read again for each of two."""
    ids = [f"C{number}" for number in range(ACTIONS)]
    with psycopg.connect(many, autocommit=True) as rows:
        rows.execute("ANALYZE connection, state_name")
        rows.execute("UPDATE pg_class SET reltuples = 1, relpages = 1 WHERE relname = 'connection'")
        try:
            asyncio.run(check_reads(many, lambda session: newest_by_action(session, ids, 2), ACTIONS * 30))
        finally:
            rows.execute("ANALYZE connection, state_name")


def test_the_newest_ticket_of_each_action_is_read_off_the_index_of_tables_that_were_never_analyzed(many: str) -> None:
    """As after a restore: the home page's results read all tickets for each action, and were given up after 4 s."""
    with psycopg.connect(many, autocommit=True) as rows:
        for number in range(ACTIONS):
            add_row(rows, "improvement_action", tenant_id="t", control_id=f"C{number}")
        (connection_id,) = (
            rows.execute("SELECT connection_id FROM ticket GROUP BY 1 ORDER BY count(*) DESC").fetchone() or ()
        )
        rows.execute("DELETE FROM pg_statistic WHERE starelid IN ('ticket'::regclass, 'ticket_action'::regclass)")
        rows.execute("UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relname IN ('ticket', 'ticket_action')")
        try:
            asyncio.run(check_reads(many, lambda session: ticket_results(session, "t", connection_id), ACTIONS * 20))
        finally:
            rows.execute("VACUUM (ANALYZE) ticket, ticket_action")


def test_a_bulk_share_is_read_as_such_of_tables_that_were_never_analyzed(many: str) -> None:
    with psycopg.connect(many, autocommit=True) as rows:
        rows.execute("DELETE FROM pg_statistic WHERE starelid IN ('ticket'::regclass, 'ticket_search'::regclass)")
        try:
            for filters in ({"kind": "change"}, {"kind": "change", "search": "frequent"}):

                async def page(session: Session, filters: dict[str, str] = filters) -> None:
                    assert (await list_tickets(session, Filters(batch=BATCH, **filters), BOUNDS)).total  # type: ignore[arg-type]

                asyncio.run(check_reads(many, page, 400))
        finally:
            rows.execute("ANALYZE ticket, ticket_search")
