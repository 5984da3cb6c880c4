"""Jobs that fail for good keep their reason, are counted, and are taken back once."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from sqlalchemy import text

from app.core.database import Database
from app.core.errors import NeedsAttention, RetryLater
from app.core.job_failures import (
    failed_job_count,
    is_under_way,
    newest_failed_jobs,
    reason_json,
    take_failed_jobs,
)
from app.core.job_retry import UNEXPECTED_ATTEMPTS
from app.core.jobs import Queue, TaskGroup
from app.core.logging import bind_correlation_id
from app.core.messages import Message, T
from tests.factories.logged import logged_lines, of_event

group = TaskGroup("workshop")


@group.task("plane")
async def plane(bench: dict[str, Any], board: str) -> None:
    """Fail as the bench says."""
    bench["done"].append(board)
    if error := bench.get("error"):
        raise error


@pytest.fixture
def workshop(database_url: str) -> Queue:
    return Queue(database_url, [group])


async def fail(database: Database, queue: Queue, error: Exception, *boards: str, runs: int = 1) -> None:
    async with database.transaction() as session:
        for board in boards:
            await queue.defer(session, "workshop.plane", queueing_lock=f"plane {board}", priority=3, board=board)
    for _ in range(runs):
        async with database.transaction() as session:
            await session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"))
        await queue.drain({"done": [], "error": error})


async def test_an_expected_refusal_is_kept_with_its_sentence(
    database: Database, workshop: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    # The queue logs the error's text, and pytest's processes hand over no log that is not UTF-8.
    caplog.set_level(logging.CRITICAL, logger="procrastinate")
    await fail(database, workshop, NeedsAttention(T("Ask %(who)s.", who="Lee\0\ud800")), "oak")
    async with database.transaction() as session:
        [job] = await newest_failed_jobs(session, 10)
        assert await failed_job_count(session) == 1
    assert (job.task, job.ids) == ("workshop.plane", {"board": "oak"})
    assert job.failed_at is not None
    assert job.reason is not None
    assert str(job.reason).startswith("Ask Lee")


async def test_a_surprise_is_kept_by_its_kind_without_its_text_or_trace(database: Database, workshop: Queue) -> None:
    await fail(database, workshop, ValueError("a secret of someone"), "oak", runs=UNEXPECTED_ATTEMPTS)
    async with database.transaction() as session:
        [job] = await newest_failed_jobs(session, 10)
        stored = (await session.execute(text("SELECT reason::text FROM procrastinate_job_reasons"))).scalar_one()
    assert "(ValueError)" in str(job.reason)
    assert "secret" not in stored
    assert "Traceback" not in stored


@pytest.mark.parametrize("error", [ValueError("once"), RetryLater(5)])
async def test_nothing_is_kept_of_what_is_tried_again(database: Database, workshop: Queue, error: Exception) -> None:
    await fail(database, workshop, error, "oak")
    async with database.transaction() as session:
        assert await failed_job_count(session) == 0
        kept = await session.execute(text("SELECT count(*) FROM procrastinate_job_reasons"))
        assert kept.scalar_one() == 0


async def test_of_two_who_take_a_job_one_gets_it_and_its_reason_goes_with_it(
    database: Database, workshop: Queue
) -> None:
    await fail(database, workshop, NeedsAttention(), "oak", "elm")

    async def take() -> int:
        async with database.transaction() as session:
            return len(await take_failed_jobs(session, workshop.task_names))

    assert sorted(await asyncio.gather(take(), take())) == [0, 2]
    async with database.transaction() as session:
        kept = await session.execute(text("SELECT count(*) FROM procrastinate_job_reasons"))
        assert kept.scalar_one() == 0


async def test_a_rolled_back_transaction_leaves_the_job_where_it_was(database: Database, workshop: Queue) -> None:
    await fail(database, workshop, NeedsAttention(), "oak")

    async def take_and_fail() -> None:
        async with database.transaction() as session:
            assert len(await take_failed_jobs(session, workshop.task_names)) == 1
            raise LookupError

    with pytest.raises(LookupError):
        await take_and_fail()
    async with database.transaction() as session:
        assert await failed_job_count(session) == 1


async def test_one_job_is_taken_as_it_was_queued_and_no_other_task(database: Database, workshop: Queue) -> None:
    await fail(database, workshop, NeedsAttention(), "oak", "elm")
    async with database.transaction() as session:
        newest, oldest = await newest_failed_jobs(session, 10)
        assert await take_failed_jobs(session, ["another.task"]) == []
        assert await take_failed_jobs(session, workshop.task_names, number=2**62) == []
        [taken] = await take_failed_jobs(session, workshop.task_names, number=oldest.number)
        assert (taken.ids, taken.queueing_lock, taken.priority) == ({"board": "oak"}, "plane oak", 3)
        assert [job.number for job in await newest_failed_jobs(session, 10)] == [newest.number]


async def test_another_job_for_the_same_thing_is_seen(database: Database, workshop: Queue) -> None:
    async with database.transaction() as session:
        await workshop.defer(session, "workshop.plane", board="oak")
        assert await is_under_way(session, "workshop.plane", {"board": "oak"})
        assert not await is_under_way(session, "workshop.plane", {"board": "elm"})


async def test_a_taken_job_carries_the_id_of_its_log_lines(database: Database, workshop: Queue) -> None:
    """That of its request, which is none of its ids; or the one that all its attempts share."""
    bind_correlation_id("0123456789abcdef")
    await fail(database, workshop, NeedsAttention(), "oak")
    bind_correlation_id("")
    with logged_lines() as lines:
        await fail(database, workshop, NeedsAttention(), "elm")
    async with database.transaction() as session:
        assert [job.ids for job in await newest_failed_jobs(session, 10)] == [{"board": "elm"}, {"board": "oak"}]
        oak, elm = await take_failed_jobs(session, workshop.task_names)
    assert (oak.ids, oak.correlation_id) == ({"board": "oak"}, "0123456789abcdef")
    [done] = of_event(lines, "job.done")
    assert elm.correlation_id == done["correlation_id"] != oak.correlation_id


async def test_two_requests_for_the_same_thing_are_one_thing(database: Database, workshop: Queue) -> None:
    async with database.transaction() as session:
        await workshop.defer(session, "workshop.plane", request_id="another", board="oak")
        assert await is_under_way(session, "workshop.plane", {"board": "oak"})


def test_every_reason_can_be_stored() -> None:
    odd = NeedsAttention(T("%(a)s %(b)s", a="\0\ud800", b=T("inner %(c)s", c="\udfff")))
    written = reason_json(odd)
    assert "\\u0000" not in written
    written.encode()
    assert Message.from_json(json.loads(written)).message == "%(a)s %(b)s"
