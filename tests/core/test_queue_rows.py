"""Failed jobs go by age; what waits or runs stays, and the schedule does not start again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from app.core.database import Session
from app.core.queue_rows import delete_failed_jobs

NOW = datetime.now(UTC)


async def _job(db: Session, status: str, days: int) -> int:
    """A job that got this status so many days ago."""
    added = await db.execute(
        text("INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('q', 't', 'todo') RETURNING id")
    )
    number: int = added.scalar_one()
    begun = text("UPDATE procrastinate_events SET at = :at WHERE job_id = :id")
    await db.execute(begun, {"at": NOW - timedelta(days=days + 200), "id": number})
    change = text("UPDATE procrastinate_jobs SET status = CAST(:status AS procrastinate_job_status) WHERE id = :id")
    for step in ("doing", status):
        await db.execute(change, {"status": step, "id": number})
    ended = text("UPDATE procrastinate_events SET at = :at WHERE job_id = :id AND type <> 'deferred'")
    await db.execute(ended, {"at": NOW - timedelta(days=days), "id": number})
    return number


async def test_only_what_failed_long_ago_goes(db: Session) -> None:
    old = [await _job(db, "failed", 100) for _ in range(3)]
    young, waiting, running = await _job(db, "failed", 5), await _job(db, "todo", 100), await _job(db, "doing", 100)
    await db.execute(
        text("INSERT INTO procrastinate_periodic_defers (task_name, defer_timestamp, job_id) VALUES ('t', 1, :id)"),
        {"id": old[0]},
    )
    moment = NOW - timedelta(days=90)
    assert await delete_failed_jobs(db, moment, limit=2) == 2
    assert await delete_failed_jobs(db, moment, limit=2) == 1
    assert await delete_failed_jobs(db, moment, limit=2) == 0
    left = (await db.execute(text("SELECT id FROM procrastinate_jobs ORDER BY id"))).scalars()
    assert list(left) == [young, waiting, running]
