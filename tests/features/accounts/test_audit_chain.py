"""The audit log's chain: whole under concurrency, rollback, retention and erasure."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

from app.core import clock
from app.core.clock import SetClock
from app.core.database import Database
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.accounts.audit_chain import BEGINNING, ERASED, canonical, erase_person, prune_before
from app.features.accounts.audit_verify import verify_chain
from app.features.accounts.models import AuditCheckpoint, AuditEntry
from tests.factories.audit import entries, report_of, write
from tests.factories.system import System

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


async def test_each_entry_follows_the_one_before_it(database: Database) -> None:
    await write(database, 3)
    await write(database, 2)
    rows = await entries(database)
    assert [row.previous_hash for row in rows] == [BEGINNING, *(row.hash for row in rows[:-1])]
    report = await report_of(database)
    assert (report.entries, report.breaks, report.head) == (5, [], rows[-1].hash)


async def test_transactions_that_commit_at_once_chain_well(database: Database) -> None:
    await asyncio.gather(*(write(database, 2) for _ in range(20)))
    report = await report_of(database)
    assert (report.entries, report.breaks) == (40, [])


async def test_the_end_of_the_chain_is_locked_at_the_commit_only(database: Database) -> None:
    """A long transaction with an audited action keeps no other one waiting."""
    async with database.transaction() as slow:
        await log_action(slow, None, T("Slow"))
        async with asyncio.timeout(20):
            await write(database, 1)
    assert [row.action["message"] for row in await entries(database)] == ["Something", "Slow"]


async def test_a_savepoint_that_is_rolled_back_takes_its_entries_along(database: Database) -> None:
    async with database.transaction() as session:
        await log_action(session, None, T("Before"))
        with suppress(LookupError):
            async with session.begin_nested():
                await log_action(session, None, T("Inside"))
                raise LookupError
        async with session.begin_nested():
            await log_action(session, None, T("Kept"))
    assert [row.action["message"] for row in await entries(database)] == ["Before", "Kept"]
    assert (await report_of(database)).breaks == []


@given(JSON)
def test_a_value_has_one_canonical_form_however_its_names_are_ordered(value: object) -> None:
    backwards = dict(reversed(value.items())) if isinstance(value, dict) else value
    assert canonical(value) == canonical(backwards)


async def test_what_jsonb_writes_differently_is_verified(database: Database) -> None:
    async with database.transaction() as session:
        await log_action(session, None, T("%(a)s %(b)s %(c)s", a=1e16, b=-0.0, c="é\u2028"), note="ü")
    assert (await report_of(database)).breaks == []


async def test_pruned_entries_leave_a_chain_that_is_whole(database: Database, still_clock: SetClock) -> None:
    await write(database, 4)
    still_clock.move(10 * 24 * 3600)
    await write(database, 3)
    async with database.transaction() as session:
        assert await prune_before(session, clock.now() - timedelta(days=1)) == 4
    report = await report_of(database)
    assert (report.entries, report.removed, report.breaks) == (3, 4, [])
    await write(database, 1)
    async with database.transaction() as session:
        assert await prune_before(session, clock.now() + timedelta(days=1)) == 4
        assert await prune_before(session, clock.now() + timedelta(days=1)) == 0
    await write(database, 2)
    report = await report_of(database)
    assert (report.entries, report.removed, report.breaks) == (2, 8, [])


async def test_pruning_in_portions_leaves_a_whole_chain_each_time(database: Database) -> None:
    await write(database, 5)
    for left in (3, 1, 0, 0):
        async with database.transaction() as session:
            await prune_before(session, clock.now() + timedelta(days=1), limit=2)
        report = await report_of(database)
        assert (report.entries, report.entries + report.removed, report.breaks) == (left, 5, [])


async def test_an_erased_person_is_gone_from_entries_that_stay_verified(system: System) -> None:
    database = system.resources.database
    for role in ("manager", "viewer"):
        browser = await system.signed_in(role)
        await browser.post("/sign-out")
    before = await entries(database)
    async with database.transaction() as session:
        assert before[0].person_id is not None
        assert await erase_person(session, before[0].person_id) == 1
    erased, kept = await entries(database)
    assert {name: getattr(erased, name) for name in ERASED} == ERASED
    assert kept.person_name == before[1].person_name
    report = await report_of(database)
    assert (report.entries, report.erased, report.breaks) == (2, 1, [])


@pytest.mark.parametrize(
    "statement",
    [
        update(AuditEntry).values(address="192.0.2.1"),
        update(AuditEntry).values(at=datetime(2020, 1, 1, tzinfo=UTC)),
        delete(AuditEntry),
        text("UPDATE audit_entry SET facts = '{}'"),
    ],
)
async def test_the_database_refuses_to_change_an_entry(database: Database, statement: object) -> None:
    await write(database, 1)
    with pytest.raises(DBAPIError, match="neither changed nor deleted"):
        async with database.transaction() as session:
            await session.execute(statement)  # type: ignore[call-overload]


async def test_a_person_who_is_deleted_leaves_the_entries_as_they_are(system: System) -> None:
    database = system.resources.database
    browser = await system.signed_in("viewer")
    await browser.post("/sign-out")
    async with database.transaction() as session:
        await session.execute(text("DELETE FROM person"))
    [row] = await entries(database)
    assert (row.person_id, row.person_name != "") == (None, True)
    assert (await report_of(database)).breaks == []


async def test_the_checkpoint_counts_what_was_written(database: Database) -> None:
    await write(database, 3)
    async with database.transaction() as session:
        checkpoint = (await session.execute(select(AuditCheckpoint))).scalar_one()
        assert (checkpoint.entries, checkpoint.removed) == (3, 0)
        assert checkpoint.last_hash == (await entries(database))[-1].hash
        assert (await verify_chain_elsewhere(database)) == checkpoint.last_hash


async def verify_chain_elsewhere(database: Database) -> str:
    async with database.transaction() as session:
        return (await verify_chain(session)).head
