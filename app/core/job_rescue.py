"""Jobs that stand as running though no worker runs them go back into the queue. Runs none of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import procrastinate
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status

from app.core.database_trouble import cause_of
from app.core.logging import get_logger
from app.core.pulse import Pulse

log = get_logger(__name__)

# What the queue's function procrastinate_retry_job raises.
NOT_RUNNING = "invalid status to retry"


class JobRescuer:
    """Knows which jobs run in this process, and finds those in the queue's tables that run nowhere."""

    def __init__(self, app: procrastinate.App, pulse: Pulse) -> None:
        self._app = app
        self._pulse = pulse
        # The jobs that run in this process, and the ids of its workers in the queue's tables.
        self.running: set[int] = set()
        self._own_workers: set[int] = set()
        self._maybe_lost: set[int] = set()

    @contextlib.contextmanager
    def holding(self, job: Job) -> Iterator[None]:
        """While the block lasts, the job runs here."""
        number = job.id or 0
        self.running.add(number)
        self._pulse.running = len(self.running)
        if job.worker_id is not None:
            self._own_workers.add(job.worker_id)
        try:
            yield
        finally:
            self.running.discard(number)
            self._pulse.running = len(self.running)

    async def rescue_regularly(self, dead_after: float) -> None:
        """Rescue until canceled; `dead_after` as in `rescue`."""
        while True:
            try:
                await self.rescue(dead_after)
            except ConnectorException as error:
                log.warning("worker.rescue.failed", why=cause_of(error))
            await asyncio.sleep(dead_after / 2)

    async def rescue(self, dead_after: float) -> None:
        """Requeue jobs of dead workers, and our own jobs whose end could not be stored because the database was away.

        A worker without a heartbeat for `dead_after` seconds is dead.
        """
        manager = self._app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=dead_after):
            await self._requeue(job)
        lost = {
            job.id: job
            for job in await manager.list_jobs_async(status=Status.DOING.value)
            if job.id not in self.running and job.worker_id in self._own_workers
        }
        # Only when seen twice in a row: a job that just ended may not be stored as ended yet.
        for number in self._maybe_lost & lost.keys():
            await self._requeue(lost[number])
        self._maybe_lost = {number for number in lost if number is not None} - self._maybe_lost

    async def _requeue(self, job: Job) -> None:
        # Where a newer job with the same queueing lock waits already, it takes the place of this one.
        log.warning("worker.job.rescued", job=job.id, task=job.task_name)
        try:
            await self._app.job_manager.retry_job(job)
        except UniqueViolation:
            await self._app.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)
        except ConnectorException as error:
            # Another worker was faster. The others of the list must not wait for the next round because of that.
            if NOT_RUNNING not in str(error.__cause__ or error):
                raise
