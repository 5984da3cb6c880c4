"""The error's verdict decides whether and when its job runs again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.core.database import Database
from app.core.errors import NeedsAttention, Retry
from app.core.job_retry import LONGEST_JOB_BACKOFF_SECONDS, backoff_seconds
from app.core.jobs import Queue, TaskGroup
from app.integrations.http.errors import Throttled, Unreachable

group = TaskGroup("pottery")


@group.task("fire")
async def fire(kiln: dict[str, Any], pot: str) -> None:
    """Do what the kiln says."""
    kiln["fired"].append(pot)
    raise kiln["error"]


@pytest.fixture
def pottery(database_url: str) -> Queue:
    return Queue(database_url, [group])


async def jobs(database: Database) -> list[tuple[str, int, bool]]:
    async with database.transaction() as session:
        rows = await session.execute(
            text("SELECT status::text, attempts, scheduled_at > now() FROM procrastinate_jobs ORDER BY id")
        )
        return [(row[0], row[1], bool(row[2])) for row in rows]


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
    database: Database, pottery: Queue, error: Exception, expected: tuple[str, int, bool]
) -> None:
    async with database.transaction() as session:
        await pottery.defer(session, "pottery.fire", pot="vase")
    await pottery.drain({"fired": [], "error": error})
    assert await jobs(database) == [expected]


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (OperationalError("SELECT 1", None, Exception("server closed the connection unexpectedly")), "todo"),
        (LookupError("nobody expected this"), "failed"),
    ],
)
async def test_a_job_that_waited_its_turn_often_survives_a_database_that_goes_away(
    database: Database, pottery: Queue, error: Exception, end: str
) -> None:
    async with database.transaction() as session:
        await pottery.defer(session, "pottery.fire", pot="vase")
        await session.execute(text("UPDATE procrastinate_jobs SET attempts = 40"))
    await pottery.drain({"fired": [], "error": error})
    assert [job[0] for job in await jobs(database)] == [end]


def test_waits_grow_up_to_a_ceiling_and_never_undercut_what_was_asked() -> None:
    assert 3.75 <= backoff_seconds(0) <= 6.25
    assert backoff_seconds(50) <= LONGEST_JOB_BACKOFF_SECONDS * 1.25
    assert 90 <= backoff_seconds(0, asked=90) <= 100
    assert Retry.after(90).seconds == 90
