"""Which tickets are read next, compared with a look at every row; and that it does not take one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core import clock
from app.core.clock import SetClock
from app.core.database import Database, Session
from app.features.tickets.polling.poll_plan import Scans, plan_poll, scans_of
from app.features.tickets.polling.scan_order import (
    Scanned,
    count,
    read_longest_ago,
    read_without_marker,
    states_in_use,
)
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.protocol import IDS_PER_CALL
from app.resources import Resources
from tests.factories.database import fresh_database, kept_engine
from tests.factories.plans import check_reads
from tests.factories.ticket_rows import add_connection, add_tickets, any_row, chance_of, ticket_row

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
CLOSED = ("7", "-5")
# Read at moments that no two share, and one never; changed up to two years ago; every eighth has lost its marker.
SHARED = text(
    """
    UPDATE ticket SET sys_id = md5(id::text), shared_at = created_at, has_marker = r % 8 <> 0,
        verified_at = CASE WHEN r > 1 THEN CAST(:now AS timestamptz) - r * interval '1 second' END,
        state_since = CAST(:now AS timestamptz) - (r * 7919 % 730) * interval '1 day'
      FROM (SELECT id AS one, row_number() OVER (ORDER BY md5(id::text)) AS r FROM ticket WHERE delivery = 'shared') AS numbered
     WHERE id = one
    """
)


@pytest.fixture
def today() -> Iterator[None]:
    before = clock.use(SetClock(NOW))
    yield
    clock.use(before)


async def _scans(session: Session, connection_id: UUID) -> Scans:
    in_state = await states_in_use(session, connection_id, TicketKind.INCIDENT)
    return scans_of(connection_id, TicketKind.INCIDENT, in_state, CLOSED)


async def _expected(session: Session, connection_id: UUID, those: Scanned) -> list[str]:
    """Of a look at every row."""
    rows = await session.execute(
        text(
            "SELECT sys_id, state, state_since, connection_id, kind FROM ticket WHERE sys_id <> ''"
            " ORDER BY verified_at NULLS FIRST, id"
        )
    )
    return [
        row.sys_id
        for row in rows
        if (row.connection_id, row.kind) == (connection_id, "incident")
        and (
            (row.state not in CLOSED and bool(those.in_open))
            or (
                row.state in CLOSED
                and those.closed_after is not None
                and those.closed_after < row.state_since <= those.closed_until
            )
        )
    ]


async def _filled(database: Database, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), 2_000):
        await add_tickets(database, rows[start : start + 2_000])
    async with database.transaction() as session:
        await session.execute(SHARED, {"now": NOW})


@pytest.mark.usefixtures("today")
@pytest.mark.parametrize("seed", range(3))
async def test_those_read_longest_ago_are_read_first(database: Database, seed: int) -> None:
    chance = chance_of(seed)
    mine, other = [await add_connection(database), await add_connection(database, name="old", status="removed")]
    await _filled(database, [any_row(chance, [mine, mine, other]) for _ in range(1_200)])
    async with database.transaction() as session:
        scans = await _scans(session, mine)
        for those in (scans.open, scans.followed, scans.closed, scans.closed_earlier):
            expected = await _expected(session, mine, those)
            assert len(expected) > 5
            assert await count(session, those) == len(expected) <= those.most
            for most in (0, 1, 7, 1_000):
                found = [one.sys_id for one in await read_longest_ago(session, those, most)]
                assert found == expected[:most]
        assert scans.open.most == await count(session, scans.open), "open ones are counted by the tally alone"


@pytest.mark.usefixtures("today")
async def test_only_open_tickets_that_are_shown_are_read_for_their_lost_marker(database: Database) -> None:
    mine = await add_connection(database)
    rows = [ticket_row(mine, state=state, absence=absence) for state in ("2", "7") for absence in ("", "deleted")]
    await _filled(database, rows)
    async with database.transaction() as session:
        await session.execute(text("UPDATE ticket SET has_marker = false"))
        found = await read_without_marker(session, (await _scans(session, mine)).open, 10)
        wanted = text("SELECT sys_id FROM ticket WHERE kind = 'incident' AND state = '2' AND absence = ''")
        assert [one.sys_id for one in found] == list((await session.execute(wanted)).scalars())


async def test_a_connection_without_shared_tickets_has_nothing_to_scan(database: Database) -> None:
    mine = await add_connection(database)
    await add_tickets(database, [ticket_row(mine, delivery="held", state="")])
    async with database.transaction() as session:
        assert await states_in_use(session, mine, TicketKind.INCIDENT) == {}
        scans = await _scans(session, mine)
        for those in (scans.open, scans.followed, scans.closed, scans.closed_earlier):
            assert await count(session, those) == 0
            assert await read_longest_ago(session, those, 5) == []


@pytest.mark.thorough
def test_a_poll_reads_no_table_as_a_whole(postgres: str) -> None:
    """Closed ones are counted where they are due, and are nearly all: off the index, as everything."""
    with fresh_database(postgres) as url:
        asyncio.run(_check_polls(url))


async def _check_polls(url: str) -> None:
    database, chance = Database(kept_engine(url)), chance_of(3)
    mine = await add_connection(database)
    rows = [ticket_row(mine, state=chance.choice(["1", *["7"] * 19])) for _ in range(20_000)]
    await _filled(database, rows)
    async with database.engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text("VACUUM (ANALYZE) ticket"))
    resources = cast(Resources, SimpleNamespace(database=database))

    async def poll(_: Session) -> None:
        (plan,) = [plan async for plan in plan_poll(resources)]
        assert len(plan.scan) > IDS_PER_CALL

    # Three calls of open ones or without marker, one of closed ones.
    await check_reads(url, poll, 20_000 + 6 * IDS_PER_CALL)
    async with database.transaction() as session:
        await session.execute(text("UPDATE poll_cursor SET tried_at = tried_at - interval '1 hour'"))
    await check_reads(url, poll, 3 * IDS_PER_CALL)
    await database.close()
