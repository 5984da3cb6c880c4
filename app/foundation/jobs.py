"""The only file that knows the queue: jobs go in with the caller's transaction, and retry by the error's verdict."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job
from procrastinate.schema import SchemaManager
from sqlalchemy.ext.asyncio import AsyncSession

from app.foundation.errors import AppError
from app.foundation.logs import bind_correlation_id, get_logger

log = get_logger(__name__)

# A job waits 5, 10, 20 … seconds between attempts, and never more than a quarter of an hour.
FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 900.0
# An error nobody expected is tried again a few times, in case it was a passing one, and then left as failed.
UNEXPECTED_ATTEMPTS = 5
# A worker that has not reported for so long is taken for dead, and its jobs are given to another.
DEAD_AFTER_SECONDS = 30

TaskFunction = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Task:
    """A named piece of background work. Its function takes `resources` and ids, never payloads or secrets."""

    name: str
    function: TaskFunction
    every: str | None = None  # A cron line: the task is also started by the clock.


@dataclass
class TaskGroup:
    """The tasks of one room."""

    room: str
    tasks: list[Task] = field(default_factory=list)

    def task(self, name: str, *, every: str | None = None) -> Callable[[TaskFunction], Task]:
        """Make ``async def f(resources, **ids)`` a task; `every` is a cron line for work the clock starts."""

        def register(function: TaskFunction) -> Task:
            task = Task(name=f"{self.room}.{name}", function=function, every=every)
            self.tasks.append(task)
            return task

        return register


def wait_before(attempt: int, *, asked: float | None = None) -> float:
    """Seconds before the next attempt, with jitter so that a crowd of jobs does not come back at the same moment.

    `attempt` counts from 0; `asked` is what the other side named (Retry-After), and is never undercut.
    """
    usual = min(FIRST_WAIT_SECONDS * 2 ** min(attempt, 20), LONGEST_WAIT_SECONDS)
    jittered = usual * random.uniform(0.75, 1.25)  # noqa: S311 - spreading, not secrecy.
    return jittered if asked is None else asked + random.uniform(0, 0.1 * asked + 1)  # noqa: S311 - spreading.


class RetryByVerdict(procrastinate.BaseRetryStrategy):
    """Asks the error itself whether its job may try again."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> procrastinate.RetryDecision | None:
        """When to run this job again, or None for never."""
        if isinstance(exception, AppError):
            if not exception.retry.allowed:
                return None
            seconds = wait_before(job.attempts, asked=exception.retry.seconds)
        elif job.attempts + 1 < UNEXPECTED_ATTEMPTS:
            seconds = wait_before(job.attempts)
        else:
            return None
        return procrastinate.RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=seconds))


class Queue:
    """Inserts jobs and, in the worker process, runs them. `resources` is what the tasks get as first argument."""

    def __init__(self, database_url: str, groups: Iterable[TaskGroup]) -> None:
        """Opens nothing yet; `database_url` is a plain ``postgresql://`` address."""
        conninfo = database_url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=conninfo, min_size=1, max_size=8)
        )
        tasks = [task for group in groups for task in group.tasks]
        self._by_clock = [(task, task.every) for task in tasks if task.every]
        self._tasks = {task.name: self._register(task) for task in tasks}

    def _register(self, task: Task) -> Any:  # noqa: ANN401 - the queue's own generic type says nothing here.
        async def run(context: procrastinate.JobContext, /, timestamp: int | None = None, **ids: Any) -> None:  # noqa: ANN401, ARG001
            bind_correlation_id(f"job-{context.job.id}-{uuid4().hex[:8]}")
            await task.function(context.additional_context["resources"], **ids)

        return self._app.task(name=task.name, pass_context=True, retry=RetryByVerdict())(run)

    def _start_clockwork(self) -> None:
        """One of a kind at a time: a slow run is not overtaken by the next tick."""
        for task, cron in self._by_clock:
            self._app.periodic(cron=cron, periodic_id=task.name, lock=task.name, queueing_lock=task.name)(
                self._tasks[task.name]
            )

    async def defer(
        self,
        session: AsyncSession,
        task: Task,
        *,
        lock: str | None = None,
        queueing_lock: str | None = None,
        delay: float | None = None,
        **ids: str,
    ) -> bool:
        """Insert a job on the session's own connection: row and job are committed, or rolled back, together.

        `lock` makes jobs that share it run one after the other; `queueing_lock` allows one waiting job at most, and the
        answer is False when there is one already. `delay` is in seconds.
        """
        options: dict[str, Any] = {"lock": lock}
        if queueing_lock:
            options["queueing_lock"] = queueing_lock
        if delay is not None:
            options["schedule_in"] = {"seconds": delay}
        try:
            async with session.begin_nested():
                # Asked for inside the block: the savepoint is only laid when the connection is first used in it.
                raw = await (await session.connection()).get_raw_connection()
                options["connection"] = raw.driver_connection
                await self._tasks[task.name].configure(**options).defer_async(**ids)
        except AlreadyEnqueued:
            return False
        return True

    async def work(self, resources: object, *, concurrency: int = 4) -> None:
        """Run jobs until the process is asked to stop; waits for those in hand."""
        self._start_clockwork()
        async with self._app.open_async():
            rescuer = asyncio.create_task(self._rescue_for_ever())
            try:
                await self._app.run_worker_async(
                    concurrency=concurrency,
                    additional_context={"resources": resources},
                    delete_jobs="successful",
                    shutdown_graceful_timeout=20,
                    stalled_worker_timeout=DEAD_AFTER_SECONDS,
                )
            finally:
                rescuer.cancel()
                await asyncio.gather(rescuer, return_exceptions=True)

    async def drain(self, resources: object) -> None:
        """Run every job that is due and return; what tests use in place of a worker process."""
        async with self._app.open_async():
            await self._app.run_worker_async(
                wait=False,
                concurrency=1,
                listen_notify=False,
                install_signal_handlers=False,
                additional_context={"resources": resources},
                delete_jobs="successful",
            )

    async def _rescue_for_ever(self) -> None:
        """Give the jobs of workers that died to the living, twice a minute."""
        while True:
            for job in await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_SECONDS):
                log.warning("job of a dead worker is run again", job=job.id, task=job.task_name)
                await self._app.job_manager.retry_job(job)
            await asyncio.sleep(DEAD_AFTER_SECONDS / 2)


def queue_schema() -> str:
    """The queue's own tables and functions, as SQL for the migration that creates them."""
    return SchemaManager.get_schema()
