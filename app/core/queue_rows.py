"""Change the queue's rows where no job runs: after a restore, and when failed jobs have been kept long enough."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, text

from app.core.database import Session

# The tables of Procrastinate; app/core/jobs.py has their schema.
QUEUE_TABLES = frozenset({
    "procrastinate_workers", "procrastinate_jobs", "procrastinate_periodic_defers", "procrastinate_events",
    "procrastinate_job_reasons",
})  # fmt: skip
# One waiting job at most may have a queueing lock, so a running one with the lock of a waiting one is that job once more.
TAKE_BACK = (
    "DELETE FROM procrastinate_periodic_defers p USING procrastinate_jobs d WHERE p.job_id = d.id AND d.status = 'doing'",
    """DELETE FROM procrastinate_jobs d USING procrastinate_jobs t
        WHERE d.status = 'doing' AND t.status = 'todo' AND t.queueing_lock = d.queueing_lock""",
    """DELETE FROM procrastinate_jobs d USING procrastinate_jobs e
        WHERE d.status = 'doing' AND e.status = 'doing' AND e.queueing_lock = d.queueing_lock AND e.id < d.id""",
    """UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL, abort_requested = false, scheduled_at = NULL
        WHERE status = 'doing'""",
    "UPDATE procrastinate_jobs SET worker_id = NULL WHERE worker_id IS NOT NULL",
    "DELETE FROM procrastinate_workers",
)
ENDED = "('failed', 'cancelled', 'aborted')"
# When a job ended is known from its newest event; one without any is as old as can be. Periodic jobs are remembered in
# another table, so that a time of the schedule is not queued twice; what is that old is not looked up any more.
OLD_JOBS = text(
    f"""SELECT j.id FROM procrastinate_jobs j
         WHERE j.status IN {ENDED}
           AND NOT EXISTS (SELECT 1 FROM procrastinate_events e WHERE e.job_id = j.id AND e.at >= :moment)
         ORDER BY j.id LIMIT :limit FOR UPDATE OF j SKIP LOCKED"""  # noqa: S608 - a constant of this module.
)
FORGET_SCHEDULE = text("DELETE FROM procrastinate_periodic_defers WHERE job_id = ANY(:ids)")
FORGET_JOBS = text("DELETE FROM procrastinate_jobs WHERE id = ANY(:ids)")


def take_back_running_jobs(connection: Connection) -> int:
    """Let the jobs run again that ran when the backup was made: their workers are not of this database."""
    changed = [connection.execute(text(statement)).rowcount for statement in TAKE_BACK]
    return changed[3]


async def delete_failed_jobs(session: Session, moment: datetime, *, limit: int) -> int:
    """Delete at most `limit` jobs that failed or were canceled before `moment`, and return how many."""
    ids = list((await session.execute(OLD_JOBS, {"moment": moment, "limit": limit})).scalars())
    if not ids:
        return 0
    await session.execute(FORGET_SCHEDULE, {"ids": ids})
    deleted = cast(CursorResult[Any], await session.execute(FORGET_JOBS, {"ids": ids}))
    return deleted.rowcount
