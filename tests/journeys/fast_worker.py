"""The product's own worker process with its waits shortened, for runs under faults: `python -m tests.journeys.fast_worker`.

Nothing but waits is changed. Each stays in the order it has to the others: an attempt is taken for dead after the client
has given up, and a lost create counts as landed only after the slowest one can have landed.
"""

from __future__ import annotations

import httpx

from app.bootstrap import open_resources, run_async
from app.core import job_retry, jobs
from app.core.logging import configure_logs
from app.features.connection import slots, throttle
from app.features.tickets.delivery import circuit_breaker, outbound, prepared
from app.settings import Settings

ANSWER_SECONDS = 3.0
SLOWEST_LANDING_SECONDS = 5.0


def hurry() -> None:
    """Shorten the waits of the modules that use them."""
    job_retry.FIRST_BACKOFF_SECONDS, job_retry.LONGEST_JOB_BACKOFF_SECONDS = 0.3, 4.0
    jobs.DUE_JOBS_POLL_SECONDS = 0.3
    jobs.DEAD_AFTER_SECONDS, jobs.RESTART_PAUSE_SECONDS = 4, 0.5
    landing, attempt = ANSWER_SECONDS + SLOWEST_LANDING_SECONDS, 3 * ANSWER_SECONDS
    outbound.UNCERTAIN_SECONDS, outbound.LOOKUP_INTERVAL_SECONDS = landing, 1.0
    outbound.ATTEMPT_SECONDS = attempt
    # With the slowest landing, as long as a lost create is uncertain; with the whole answer, less than an attempt.
    outbound.LEAVES_WITHIN_SECONDS = prepared.READY_FOR_SECONDS = ANSWER_SECONDS
    slots.LEASE_SECONDS, slots.EXTEND_EVERY_SECONDS = attempt, attempt / 3
    circuit_breaker.PROBE_CHECK_INTERVAL_SECONDS = 1.0
    throttle.LONGEST_PAUSE_SECONDS, throttle.LONGEST_WAIT_FOR_PROBE_SECONDS = 2.0, 2 * ANSWER_SECONDS


async def work(settings: Settings, database_url: str) -> None:
    """Run jobs until SIGTERM."""
    async with open_resources(settings, database_url) as resources:
        resources.servicenow._client.timeout = httpx.Timeout(ANSWER_SECONDS, connect=2.0)
        resources.servicenow.whole_seconds = ANSWER_SECONDS + 0.5
        await resources.queue.work(resources)


def main() -> None:
    """Read everything from the environment, as the real worker does."""
    settings = Settings(_env_file=None)
    if settings.database_url is None:
        raise SystemExit("DATABASE_URL is needed")
    configure_logs(level=settings.log_level)
    hurry()
    address = settings.database_url.get_secret_value()
    run_async(lambda: work(settings, address))


if __name__ == "__main__":
    main()
