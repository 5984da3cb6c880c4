"""Jobs that failed for good: noted with their reason, listed, counted and taken back. Runs none of them.

Beside the queue's own tables stands `procrastinate_job_reasons`, because the queue keeps no reason; a row of it is deleted
with its job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from app.core.bounds import UNSTORABLE
from app.core.database import Session
from app.core.errors import AppError
from app.core.job_run import REQUEST_ID, JobFacts
from app.core.messages import Message, T
from app.core.unforeseen import kind_of

# As the migrations lay it (migrations/versions/0020_bounds.py).
REASONS_TABLE = """
CREATE TABLE procrastinate_job_reasons (
    job_id bigint PRIMARY KEY REFERENCES procrastinate_jobs ON DELETE CASCADE,
    reason jsonb NOT NULL
)
"""
# With the queue's own placeholders, because the worker notes it over the queue's connection.
NOTE_REASON = """
INSERT INTO procrastinate_job_reasons (job_id, reason) VALUES (%(job_id)s, %(reason)s::jsonb)
ON CONFLICT (job_id) DO UPDATE SET reason = excluded.reason
"""
COUNT = text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'")
NEWEST = text(
    """
    SELECT job.id, job.task_name, job.args, job.attempts, reasons.reason,
           (SELECT max(at) FROM procrastinate_events WHERE job_id = job.id AND type = 'failed') AS failed_at
      FROM procrastinate_jobs job LEFT JOIN procrastinate_job_reasons reasons ON reasons.job_id = job.id
     WHERE job.status = 'failed' ORDER BY job.id DESC LIMIT :most
    """
)
TAKE = text(
    """
    DELETE FROM procrastinate_jobs WHERE id IN (
      SELECT id FROM procrastinate_jobs
       WHERE status = 'failed' AND task_name = ANY(:tasks) AND (CAST(:number AS bigint) IS NULL OR id = :number)
       ORDER BY id LIMIT :most FOR UPDATE)
    RETURNING id, task_name, args, attempts, lock, queueing_lock, priority
    """
)
UNDER_WAY = text(
    "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing') AND task_name = :task"
    " AND args - CAST(:others AS text[]) = CAST(:args AS jsonb))"
)
# What the queue adds to the arguments of a job that was made on a schedule.
SCHEDULED = "timestamp"
# Arguments that say where a job came from, and not what it is for.
NO_IDS = (SCHEDULED, REQUEST_ID)


@dataclass(frozen=True)
class FailedJob:
    """A job that is not tried again by itself; `ids` are its arguments, `reason` is None for one of an earlier version."""

    number: int
    task: str
    ids: Mapping[str, str]
    attempts: int
    failed_at: datetime | None
    reason: Message | None


@dataclass(frozen=True)
class TakenJob:
    """A failed job that is the caller's now: it is gone from the queue, in the caller's transaction.

    `correlation_id` is what its log lines carried: the id of its request, or one of its own.
    """

    number: int
    task: str
    ids: Mapping[str, str]
    lock: str | None
    queueing_lock: str | None
    priority: int
    correlation_id: str


def reason_json(error: BaseException) -> str:
    """Why it failed, as it is stored: the sentence of an expected error, and the kind of any other. Never a stack trace."""
    message = error.message if isinstance(error, AppError) else _unforeseen(error)
    written = json.dumps(message.to_json(), ensure_ascii=False, default=str)
    return UNSTORABLE.sub("\ufffd", written).replace("\\u0000", "")


def _unforeseen(error: BaseException) -> Message:
    return T(
        "Something happened that we did not foresee (%(kind)s). An operator finds it in the worker’s log under the number of "
        "this job.",
        kind=kind_of(error),
        code="job.unforeseen",
    )


async def failed_job_count(session: Session) -> int:
    """How many jobs have failed for good."""
    return int((await session.execute(COUNT)).scalar_one())


async def newest_failed_jobs(session: Session, most: int) -> list[FailedJob]:
    """The newest first, so many at most."""
    return [
        FailedJob(
            number=row.id,
            task=row.task_name,
            ids=_ids(row.args),
            attempts=row.attempts,
            failed_at=row.failed_at,
            reason=Message.from_json(row.reason) if row.reason else None,
        )
        for row in await session.execute(NEWEST, {"most": most})
    ]


async def take_failed_jobs(
    session: Session, tasks: Sequence[str], *, number: int | None = None, most: int = 1000
) -> list[TakenJob]:
    """Take this job, or all, of these tasks out of the queue. Of two callers at once, one gets each job."""
    rows = await session.execute(TAKE, {"tasks": list(tasks), "number": number, "most": most})
    return sorted(
        (
            TakenJob(
                number=row.id,
                task=row.task_name,
                ids=_ids(row.args),
                lock=row.lock,
                queueing_lock=row.queueing_lock,
                priority=row.priority,
                correlation_id=_facts(row.id, row.task_name, row.attempts, row.args).correlation_id,
            )
            for row in rows
        ),
        key=lambda job: job.number,
    )


async def is_under_way(session: Session, task: str, ids: Mapping[str, str]) -> bool:
    """Whether another job for the same thing waits or runs."""
    wanted = {"task": task, "args": json.dumps(dict(ids)), "others": list(NO_IDS)}
    return bool((await session.execute(UNDER_WAY, wanted)).scalar_one())


def _ids(arguments: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in arguments.items() if name not in NO_IDS}


def _facts(number: int, task: str, attempts: int, arguments: Mapping[str, Any]) -> JobFacts:
    return JobFacts(number, task, attempts, str(arguments.get(REQUEST_ID, "")), arguments.get(SCHEDULED))
