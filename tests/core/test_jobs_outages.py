"""A worker whose database is in trouble says why, comes back by itself, and loses no job."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from app.core import jobs
from app.core.database import Database, make_engine
from app.core.database_connection import ConnectionOptions
from app.core.jobs import Queue, TaskGroup
from tests.factories.outages import full_disk, kill_backends, proxied

group = TaskGroup("mill")
OPTIONS = ConnectionOptions("security-center worker", statement_seconds=1, pool_seconds=1)


@group.task("grind")
async def grind(ground: Counter[str], sack: str) -> None:
    """Count the sack."""
    ground[sack] += 1


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once."""
    monkeypatch.setattr(jobs, "RESTART_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(jobs, "DUE_JOBS_POLL_SECONDS", 0.2)


@asynccontextmanager
async def working(address: str, ground: Counter[str]) -> AsyncIterator[None]:
    """A worker, until the block ends."""
    stop = asyncio.Event()
    worker = asyncio.create_task(Queue(address, [group], OPTIONS).work(ground, stop=stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await worker


async def order(database: Database, queue: Queue, *sacks: str) -> None:
    async with database.transaction() as session:
        await queue.defer_many(session, "mill.grind", [{"sack": sack} for sack in sacks])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - two workers and a log have no common event.
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("trouble", "why"), [("refuse", "Connection refused"), ("freeze", "does not answer|timeout expired")]
)
async def test_a_worker_that_lost_its_database_says_why_and_goes_on(
    database: Database, database_url: str, trouble: str, why: str
) -> None:
    ground, queue = Counter[str](), Queue(database_url, [group])
    async with proxied(database_url) as (proxy, address), working(address, ground):
        await order(database, queue, "before")
        await until(lambda: ground["before"] == 1)
        with capture_logs() as lines:
            if trouble == "refuse":
                await proxy.refuse()
            else:
                proxy.freeze()
            await order(database, queue, "meanwhile")
            await until(lambda: any(line["event"] == "worker.restarted" for line in lines))
        said = next(line["why"] for line in lines if line["event"] == "worker.restarted")
        assert any(part in said for part in why.split("|")), said
        if trouble == "refuse":
            await proxy.start()
        else:
            proxy.thaw()
        await until(lambda: ground["meanwhile"] == 1)
    assert ground == {"before": 1, "meanwhile": 1}


async def test_a_worker_whose_backends_are_killed_goes_on(database: Database, database_url: str) -> None:
    ground, queue = Counter[str](), Queue(database_url, [group])
    async with working(database_url, ground):
        await order(database, queue, "before")
        await until(lambda: ground["before"] == 1)
        assert kill_backends(database_url) > 0
        await order(database, queue, "after")
        await until(lambda: ground["after"] == 1)


async def test_a_burst_of_two_thousand_jobs_is_stored_whole_by_one_statement(
    database: Database, database_url: str
) -> None:
    await order(database, Queue(database_url, [group]), *(str(number) for number in range(2000)))
    async with database.transaction() as session:
        stored = await session.execute(text("SELECT count(DISTINCT args ->> 'sack') FROM procrastinate_jobs"))
        assert stored.scalar_one() == 2000


@pytest.mark.thorough
async def test_a_burst_of_two_thousand_jobs_is_done_whole_though_backends_are_killed(
    database: Database, database_url: str
) -> None:
    ground: Counter[str] = Counter()
    await order(database, Queue(database_url, [group]), *(str(number) for number in range(2000)))
    async with working(database_url, ground):
        await until(lambda: len(ground) > 500)
        kill_backends(database_url)
        async with asyncio.timeout(120):
            while len(ground) < 2000:  # noqa: ASYNC110 - as above.
                await asyncio.sleep(0.1)
    assert set(ground) == {str(number) for number in range(2000)}


async def test_a_job_that_cannot_be_stored_takes_its_row_with_it_and_is_told_as_an_outage(
    database: Database, database_url: str
) -> None:
    queue = Queue(database_url, [group])
    with full_disk(database_url, "procrastinate_jobs"):
        for defer in (order_one, order):
            with pytest.raises(OperationalError, match="No space left on device"):
                await defer(database, queue, "rye")
    async with database.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM procrastinate_jobs"))).scalar_one() == 0


async def order_one(database: Database, queue: Queue, sack: str) -> None:
    async with database.transaction() as session:
        await queue.defer(session, "mill.grind", sack=sack)


async def test_the_engine_of_a_killed_backend_is_used_again(database_url: str) -> None:
    database = Database(make_engine(database_url))
    held: Any = await database.engine.connect()
    await held.execute(text("SELECT 1"))
    kill_backends(database_url)
    with pytest.raises(OperationalError):
        await held.execute(text("SELECT 1"))
    await held.close()
    async with database.transaction() as session:
        assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()
