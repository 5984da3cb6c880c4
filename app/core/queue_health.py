"""Read from the queue's tables whether jobs get done. Defers nothing and runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from app.core.database import Session

# Workers send a heartbeat every ten seconds (core/jobs.py); one that has been silent for longer than this is gone.
ALIVE_SECONDS = 60
QUERY = text(
    """
    SELECT (SELECT count(*) FROM procrastinate_workers
             WHERE last_heartbeat > now() - make_interval(secs => :alive)) AS workers,
           count(*) FILTER (WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())) AS due,
           count(*) FILTER (WHERE status = 'todo' AND scheduled_at > now()) AS later,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           (SELECT min(coalesce(jobs.scheduled_at, events.at))
              FROM procrastinate_jobs jobs JOIN procrastinate_events events
                ON events.job_id = jobs.id AND events.type = 'deferred'
             WHERE jobs.status = 'todo' AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())) AS oldest
      FROM procrastinate_jobs
    """
)
# Whether a worker runs is told by the queue's own heartbeat and not by running_process: the heartbeat also decides when a
# job of a dead worker is handed to another one (core/jobs.py), so pages and queue can never disagree. A worker whose loop
# hangs keeps its heartbeat; that one is told by core/pulse.py, in its own process.
ANY_WORKER = text(
    "SELECT EXISTS (SELECT FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => :alive))"
)


@dataclass(frozen=True)
class QueueHealth:
    """Counts of live workers and of due, later and failed jobs; `oldest` is since when the oldest due job has waited."""

    workers: int
    due: int
    later: int
    failed: int
    oldest: datetime | None


async def queue_health(session: Session) -> QueueHealth:
    row = (await session.execute(QUERY, {"alive": ALIVE_SECONDS})).one()
    return QueueHealth(row.workers, row.due, row.later, row.failed, row.oldest)


async def has_worker(session: Session) -> bool:
    """Whether any worker has sent a heartbeat within ALIVE_SECONDS."""
    return bool((await session.execute(ANY_WORKER, {"alive": ALIVE_SECONDS})).scalar_one())
