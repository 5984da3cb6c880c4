"""The queue's promises: row and job together, one waiting job at most, single work first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from app.core.database import Database
from app.core.jobs import Queue, TaskGroup

group = TaskGroup("bakery")


@group.task("bake")
async def bake(oven: dict[str, Any], loaf: str) -> None:
    """Note the loaf."""
    oven["baked"].append(loaf)


@pytest.fixture
def bakery(database_url: str) -> Queue:
    return Queue(database_url, [group])


async def jobs(database: Database) -> list[tuple[str, int, bool]]:
    async with database.transaction() as session:
        rows = await session.execute(
            text("SELECT status::text, attempts, scheduled_at > now() FROM procrastinate_jobs ORDER BY id")
        )
        return [(row[0], row[1], bool(row[2])) for row in rows]


async def test_a_committed_job_runs_once_and_leaves_nothing(database: Database, bakery: Queue) -> None:
    async with database.transaction() as session:
        assert await bakery.defer(session, "bakery.bake", loaf="rye")
    oven: dict[str, Any] = {"baked": []}
    await bakery.drain(oven)
    assert oven["baked"] == ["rye"]
    assert await jobs(database) == []


async def test_each_fetch_of_a_job_is_noted_in_the_pulse(bakery: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[str] = []
    monkeypatch.setattr(bakery.pulse, "asked", lambda: noted.append("asked"))
    monkeypatch.setattr(bakery.pulse, "answered", lambda: noted.append("answered"))
    await bakery.drain({"baked": []})
    assert noted[:2] == ["asked", "answered"]


async def test_while_the_database_is_away_the_loop_asks_and_gets_no_answer(
    monkeypatch: pytest.MonkeyPatch, bakery: Queue
) -> None:
    async def away(*_args: object, **_named: object) -> None:
        raise ConnectionError

    noted: list[str] = []
    monkeypatch.setattr(bakery.pulse, "asked", lambda: noted.append("asked"))
    monkeypatch.setattr(bakery.pulse, "answered", lambda: noted.append("answered"))
    monkeypatch.setattr(bakery._app.connector, "execute_query_one_async", away)
    with pytest.raises(ConnectionError):
        await bakery._app.job_manager.fetch_job(None, 1)
    assert noted == ["asked"]


async def test_running_jobs_are_counted_in_the_pulse(database: Database, database_url: str) -> None:
    counting = TaskGroup("counting")
    seen: list[int] = []

    @counting.task("count")
    async def count(_resources: object) -> None:
        seen.append(queue.pulse.running)

    queue = Queue(database_url, [counting])
    async with database.transaction() as session:
        await queue.defer(session, "counting.count")
    await queue.drain({})
    assert (seen, queue.pulse.running) == ([1], 0)


async def test_a_rolled_back_transaction_takes_its_job_with_it(database: Database, bakery: Queue) -> None:
    async def order_and_fail() -> None:
        async with database.transaction() as session:
            await bakery.defer(session, "bakery.bake", loaf="rye")
            raise LookupError

    with pytest.raises(LookupError):
        await order_and_fail()
    assert await jobs(database) == []


async def test_many_jobs_are_inserted_at_once_and_vanish_with_their_transaction(
    database: Database, bakery: Queue
) -> None:
    async def order(*loaves: str, fail: bool = False) -> None:
        async with database.transaction() as session:
            await bakery.defer_many(session, "bakery.bake", [{"loaf": loaf} for loaf in loaves], priority=-1)
            if fail:
                raise LookupError

    await order()
    with pytest.raises(LookupError):
        await order("rye", "spelt", fail=True)
    assert await jobs(database) == []
    await order("rye", "spelt")
    oven: dict[str, Any] = {"baked": []}
    await bakery.drain(oven)
    assert oven["baked"] == ["rye", "spelt"]


async def test_a_second_waiting_job_with_the_same_queueing_lock_is_refused_and_spares_the_transaction(
    database: Database, bakery: Queue
) -> None:
    async with database.transaction() as session:
        assert await bakery.defer(session, "bakery.bake", queueing_lock="rye", loaf="rye")
        assert not await bakery.defer(session, "bakery.bake", queueing_lock="rye", loaf="rye")
        assert await bakery.defer(session, "bakery.bake", loaf="wheat")
    assert len(await jobs(database)) == 2


async def test_work_in_bulk_lets_single_work_go_first(database: Database, bakery: Queue) -> None:
    async with database.transaction() as session:
        for loaf in ("bulk 1", "bulk 2"):
            await bakery.defer(session, "bakery.bake", priority=-10, loaf=loaf)
        await bakery.defer(session, "bakery.bake", loaf="single")
    oven: dict[str, Any] = {"baked": []}
    await bakery.drain(oven)
    assert oven["baked"] == ["single", "bulk 1", "bulk 2"]


@group.task("clean")
async def clean(oven: dict[str, Any]) -> None:
    """Note that it was done."""
    oven["baked"].append("clean")


async def test_waking_a_job_many_times_makes_one(database: Database, bakery: Queue) -> None:
    async with database.transaction() as session:
        for _ in range(3):
            await bakery.wake(session, "bakery.clean")
    async with database.transaction() as session:
        await bakery.wake(session, "bakery.clean")
    assert await jobs(database) == [("todo", 0, False)]


async def test_a_job_that_waits_for_its_time_is_woken_before_it(database: Database, bakery: Queue) -> None:
    async with database.transaction() as session:
        await bakery.defer(session, "bakery.clean", queueing_lock="bakery.clean", delay=600)
    async with database.transaction() as session:
        await bakery.wake(session, "bakery.clean")
    assert await jobs(database) == [("todo", 0, False)]


async def test_a_woken_job_is_not_taken_before_what_it_has_to_find_is_committed(
    database: Database, bakery: Queue
) -> None:
    """It would look, find nothing, and end; what is committed a moment later would lie there."""
    async with database.transaction() as session:
        await bakery.wake(session, "bakery.clean")
    oven: dict[str, Any] = {"baked": []}
    async with database.transaction() as session:
        await bakery.wake(session, "bakery.clean")
        await bakery.drain(oven)
        assert oven["baked"] == []
    await bakery.drain(oven)
    assert oven["baked"] == ["clean"]


async def test_a_job_is_woken_while_another_one_of_its_kind_runs(database: Database, bakery: Queue) -> None:
    async with database.transaction() as session:
        await bakery.wake(session, "bakery.clean")
        await session.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    async with database.transaction() as session:
        await bakery.wake(session, "bakery.clean")
    assert [row[0] for row in await jobs(database)] == ["doing", "todo"]


async def test_two_transactions_that_wake_it_at_once_both_succeed(database: Database, bakery: Queue) -> None:
    async def wake() -> None:
        async with database.transaction() as session:
            await bakery.wake(session, "bakery.clean")

    await asyncio.gather(*(wake() for _ in range(8)))
    assert await jobs(database) == [("todo", 0, False)]
