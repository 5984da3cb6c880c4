"""When a job that raised an error is tried again: by the error's own verdict, with backoff."""

from __future__ import annotations

import random

import procrastinate
from procrastinate.jobs import Job

from app.core.database_trouble import passes
from app.core.errors import AppError

# Exponential backoff: 5, 10, 20 … seconds between attempts, at most a quarter of an hour.
FIRST_BACKOFF_SECONDS = 5.0
LONGEST_JOB_BACKOFF_SECONDS = 900.0
# An unexpected error is retried a few times, in case it was transient, and the job is then left as failed.
UNEXPECTED_ATTEMPTS = 5


def backoff_seconds(
    attempt: int, *, asked: float | None = None, first: float | None = None, longest: float | None = None
) -> float:
    """Backoff in seconds before the next attempt, with jitter, so that many jobs do not return at the same moment.

    `attempt` counts from 0; `asked` is what the other side named (Retry-After), and is never undercut. `first` and `longest`
    take the place of a job's, before the jitter.
    """
    first, longest = first or FIRST_BACKOFF_SECONDS, longest or LONGEST_JOB_BACKOFF_SECONDS
    usual = min(first * 2 ** min(attempt, 20), longest)
    jittered = usual * random.uniform(0.75, 1.25)  # noqa: S311 - spreading, not secrecy.
    return jittered if asked is None else asked + random.uniform(0, 0.1 * asked + 1)  # noqa: S311 - spreading.


class RetryByError(procrastinate.BaseRetryStrategy):
    """The error decides whether its job is retried (core/errors.py)."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> procrastinate.RetryDecision | None:
        if isinstance(exception, AppError):
            if not exception.retry.allowed:
                return None
            seconds = backoff_seconds(job.attempts, asked=exception.retry.seconds)
        elif passes(exception) or job.attempts + 1 < UNEXPECTED_ATTEMPTS:
            # A database that is away comes back, so the number of attempts does not matter.
            seconds = backoff_seconds(job.attempts)
        else:
            return None
        return procrastinate.RetryDecision(retry_in={"milliseconds": round(seconds * 1000)})
