"""Run one job with its log lines bound to what caused it: request id, task, job, attempt and ids. Knows no queue."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from app.core.database_trouble import cause_of, passes
from app.core.errors import AppError
from app.core.logging import bind_correlation_id, bind_fields, current_correlation_id, get_logger
from app.core.tracing import span

log = get_logger(__name__)

# The name under which a job's stored arguments hold the id of the request that deferred it.
REQUEST_ID = "request_id"


@dataclass(frozen=True)
class JobFacts:
    """What is known of a job that starts. `attempt` counts from 1; `tick` is the schedule's moment (Unix time), if it has one."""

    number: int
    task: str
    attempt: int
    request_id: str = ""
    tick: int | None = None
    ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def correlation_id(self) -> str:
        """The request's id, or one of the job's own that all its attempts share."""
        if self.request_id:
            return self.request_id
        # As long and as even as a request's, so that no id is the beginning of another one: a search finds one chain.
        return hashlib.sha256(f"{self.task} {self.number} {self.tick}".encode()).hexdigest()[:16]


def traced(arguments: Mapping[str, str], request_id: str = "") -> dict[str, str]:
    """The arguments of a job with the id of what runs now, or with the given one, for the job's own log lines."""
    of = request_id or current_correlation_id()
    return {**arguments, REQUEST_ID: of} if of else dict(arguments)


async def run_logged(
    job: JobFacts,
    work: Callable[[], Awaitable[None]],
    *,
    will_retry: Callable[[Exception], bool],
    keep_reason: Callable[[Exception], Awaitable[None]],
) -> None:
    """Do the work, and log one line when it is over: `job.done`, with its outcome "done", "again", "failed" or "stopped".

    `keep_reason` is called with the error that ended the job for good, and never with one that `will_retry`.
    """
    bind_correlation_id(job.correlation_id)
    # `ticket_id` becomes `ticket`, as everywhere in the log.
    bind_fields(
        task=job.task,
        job=job.number,
        attempt=job.attempt,
        **{name.removesuffix("_id"): value for name, value in job.ids.items()},
    )
    started = time.monotonic()
    try:
        with span(f"job {job.task}", job_id=job.number):
            await work()
    except Exception as error:
        # SQLAlchemy's stack trace is some 30 kB, and tells nothing of a database that is away or busy.
        is_of_database = passes(error)
        is_expected = isinstance(error, AppError) or is_of_database
        cause = cause_of(error) if is_of_database else getattr(error, "code", None) or type(error).__name__
        facts = {"ms": _since(started), "cause": cause}
        if will_retry(error):
            # An unexpected error is a mistake of ours even when the next attempt succeeds.
            level = logging.INFO if isinstance(error, AppError) else logging.WARNING
            log.log(level, "job.done", outcome="again", exc_info=not is_expected, **facts)
        else:
            log.error("job.done", outcome="failed", exc_info=not is_expected, **facts)
            await keep_reason(error)
        raise
    except BaseException:
        # The worker stops; the job is rescued, and runs again.
        log.info("job.done", outcome="stopped", ms=_since(started))
        raise
    log.info("job.done", outcome="done", ms=_since(started))


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
