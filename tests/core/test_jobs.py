"""The queue's promises: row and job together, one waiting job at most, retry by the error's verdict."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.core.database import Database
from app.core.errors import NeedsAttention, Retry
from app.core.jobs import LONGEST_JOB_BACKOFF_SECONDS, Queue, TaskGroup, backoff_seconds
from app.integrations.http.errors import Throttled, Unreachable

group = TaskGroup("bakery")


@group.task("bake")
async def bake(oven: dict[str, Any], loaf: str) -> None:
    """Do what the oven says."""
    oven["baked"].append(loaf)
    if error := oven.get("error"):
        raise error


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


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unreachable(), ("todo", 1, True)),
        (Throttled(seconds=90), ("todo", 1, True)),
        (NeedsAttention(), ("failed", 1, False)),
        (LookupError("nobody expected this"), ("todo", 1, True)),
    ],
)
async def test_the_error_decides_whether_its_job_runs_again(
    database: Database, bakery: Queue, error: Exception, expected: tuple[str, int, bool]
) -> None:
    async with database.transaction() as session:
        await bakery.defer(session, "bakery.bake", loaf="rye")
    await bakery.drain({"baked": [], "error": error})
    assert await jobs(database) == [expected]


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (OperationalError("SELECT 1", None, Exception("server closed the connection unexpectedly")), "todo"),
        (LookupError("nobody expected this"), "failed"),
    ],
)
async def test_a_job_that_waited_its_turn_often_survives_a_database_that_goes_away(
    database: Database, bakery: Queue, error: Exception, end: str
) -> None:
    async with database.transaction() as session:
        await bakery.defer(session, "bakery.bake", loaf="rye")
        await session.execute(text("UPDATE procrastinate_jobs SET attempts = 40"))
    await bakery.drain({"baked": [], "error": error})
    assert [job[0] for job in await jobs(database)] == [end]


def test_waits_grow_up_to_a_ceiling_and_never_undercut_what_was_asked() -> None:
    assert 3.75 <= backoff_seconds(0) <= 6.25
    assert backoff_seconds(50) <= LONGEST_JOB_BACKOFF_SECONDS * 1.25
    assert 90 <= backoff_seconds(0, asked=90) <= 100
    assert Retry.after(90).seconds == 90


async def test_work_in_bulk_lets_single_work_go_first(database: Database, bakery: Queue) -> None:
    async with database.transaction() as session:
        for loaf in ("bulk 1", "bulk 2"):
            await bakery.defer(session, "bakery.bake", priority=-10, loaf=loaf)
        await bakery.defer(session, "bakery.bake", loaf="single")
    oven: dict[str, Any] = {"baked": []}
    await bakery.drain(oven)
    assert oven["baked"] == ["single", "bulk 1", "bulk 2"]


async def abandon(database: Database) -> None:
    """A worker took the oldest job, and was killed."""
    async with database.transaction() as session:
        worker = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id"
        number = (await session.execute(text(worker))).scalar_one()
        await session.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker"), {"worker": number}
        )


async def test_the_job_of_a_killed_worker_is_run_by_another(database: Database, bakery: Queue) -> None:
    async with database.transaction() as session:
        await bakery.defer(session, "bakery.bake", loaf="rye")
    await abandon(database)
    oven: dict[str, Any] = {"baked": []}
    async with bakery._app.open_async():
        await bakery.rescue()
    await bakery.drain(oven)
    assert oven["baked"] == ["rye"]


async def test_a_killed_job_whose_successor_waits_gives_way_to_it(database: Database, bakery: Queue) -> None:
    """Work that the clock starts: the dead run's lock must not block all later ones."""
    async with database.transaction() as session:
        await bakery.defer(session, "bakery.bake", lock="rye", queueing_lock="rye", loaf="old")
    await abandon(database)
    async with database.transaction() as session:
        assert await bakery.defer(session, "bakery.bake", lock="rye", queueing_lock="rye", loaf="new")
    oven: dict[str, Any] = {"baked": []}
    await bakery.drain(oven)
    assert oven["baked"] == []
    async with bakery._app.open_async():
        await bakery.rescue()
    await bakery.drain(oven)
    assert oven["baked"] == ["new"]
    assert await jobs(database) == []


async def test_an_own_job_whose_end_was_not_written_down_is_run_again(database: Database, bakery: Queue) -> None:
    """The database was away when the job ended; its worker lives, so it is not taken for dead."""
    async with database.transaction() as session:
        await bakery.defer(session, "bakery.bake", loaf="rye")
        worker = "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"
        number = (await session.execute(text(worker))).scalar_one()
        await session.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker"), {"worker": number}
        )
    bakery._own_workers.add(number)
    async with bakery._app.open_async():
        await bakery.rescue()
        assert [status for status, *_ in await jobs(database)] == ["doing"]
        await bakery.rescue()
    assert [status for status, *_ in await jobs(database)] == ["todo"]
