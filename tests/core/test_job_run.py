"""A job's log lines carry what caused it, and one line says how it ended."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from app.core.database import Database
from app.core.errors import NeedsAttention, RetryLater
from app.core.job_run import JobFacts, run_logged, traced
from app.core.jobs import Queue, TaskGroup
from app.core.logging import bind_correlation_id, get_logger
from tests.factories.logged import Line, logged_lines, of_event

group = TaskGroup("bakery")
log = get_logger(__name__)


@group.task("bake")
async def bake(oven: dict[str, Any], loaf_id: str) -> None:
    log.info("bakery.baking", loaf_of=loaf_id)
    if error := oven.get("error"):
        raise error


@pytest.fixture
def bakery(database_url: str) -> Queue:
    return Queue(database_url, [group])


async def run(database: Database, bakery: Queue, **oven: object) -> list[Line]:
    with logged_lines() as lines:
        bind_correlation_id("0123456789abcdef")
        async with database.transaction() as session:
            await bakery.defer(session, "bakery.bake", loaf_id="rye")
            await bakery.defer_many(session, "bakery.bake", [{"loaf_id": "oat"}])
        bind_correlation_id("another")
        await bakery.drain(oven)
    return lines


async def test_every_line_of_a_job_carries_the_id_of_what_deferred_it(database: Database, bakery: Queue) -> None:
    lines = await run(database, bakery)
    assert [line["event"] for line in lines] == ["bakery.baking", "job.done"] * 2
    for line, loaf in zip(lines, ["rye", "rye", "oat", "oat"], strict=True):
        assert (line["correlation_id"], line["task"], line["attempt"], line["loaf"]) == (
            "0123456789abcdef",
            "bakery.bake",
            1,
            loaf,
        )
    assert {line["outcome"] for line in of_event(lines, "job.done")} == {"done"}


@pytest.mark.parametrize(
    ("error", "outcome", "level", "cause"),
    [
        (RetryLater(60), "again", "info", "RetryLater"),
        (NeedsAttention(), "failed", "error", "NeedsAttention"),
        (LookupError("odd"), "again", "warning", "LookupError"),
    ],
)
async def test_how_a_job_ended_is_one_line(
    database: Database, bakery: Queue, error: Exception, outcome: str, level: str, cause: str
) -> None:
    for line in of_event(await run(database, bakery, error=error), "job.done"):
        assert (line["outcome"], line["log_level"], line["cause"]) == (outcome, level, cause)
        assert isinstance(line["ms"], int)
        # A stack trace is for what no one expected.
        assert bool(line.get("exc_info")) is isinstance(error, LookupError)


async def test_a_job_without_a_request_has_an_id_of_its_own_for_all_its_attempts() -> None:
    seen = []
    for attempt, tick in ((1, 1700000000), (2, 1700000000), (1, 1700000060)):
        with logged_lines() as lines:
            await run_logged(
                JobFacts(7, "bakery.open", attempt, tick=tick),
                _nothing,
                will_retry=lambda _error: False,
                keep_reason=_no_reason,
            )
        seen.append(lines[0]["correlation_id"])
    assert seen[0] == seen[1] != seen[2]
    assert {len(one) for one in seen} == {16}


def test_an_id_that_is_given_counts_more_than_that_of_what_runs_now() -> None:
    bind_correlation_id("sweep")
    assert traced({"loaf_id": "rye"}, "share") == {"loaf_id": "rye", "request_id": "share"}
    assert traced({"loaf_id": "rye"}) == {"loaf_id": "rye", "request_id": "sweep"}


@pytest.mark.parametrize("will_retry", [True, False])
async def test_a_database_that_is_away_is_one_line_and_no_stack_trace(will_retry: bool) -> None:
    async def fails() -> None:
        raise OperationalError("SELECT 1", {}, psycopg.errors.ConnectionTimeout("connection timeout expired"))

    with logged_lines() as lines, pytest.raises(OperationalError):
        await run_logged(
            JobFacts(7, "bakery.open", 1), fails, will_retry=lambda _error: will_retry, keep_reason=_no_reason
        )
    (line,) = lines
    assert (line["cause"], line["exc_info"]) == ("connection timeout expired", False)
    assert line["log_level"] == ("warning" if will_retry else "error")


async def _nothing() -> None:
    """A job that does nothing."""


async def _no_reason(_error: Exception) -> None:
    """It does not fail."""
