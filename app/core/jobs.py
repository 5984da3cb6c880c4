"""The job queue (Procrastinate): a transactional outbox and its worker. Only it and its job_* modules import procrastinate."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.schema import SchemaManager
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.job_failures import NOTE_REASON, reason_json
from app.core.job_rescue import JobRescuer
from app.core.job_retry import RetryByError
from app.core.job_run import REQUEST_ID, JobFacts, run_logged, traced
from app.core.logging import get_logger

log = get_logger(__name__)

# A worker without a heartbeat for this long is dead, and its jobs go to another one.
# https://procrastinate.readthedocs.io/en/stable/howto/production/retry_stalled_jobs.html
DEAD_AFTER_SECONDS = 30
# NOTIFY wakes the worker for new jobs; scheduled jobs and retries are found by polling at this interval.
DUE_JOBS_POLL_SECONDS = 5.0
# After losing its database, the worker restarts at this interval until the database answers.
RESTART_PAUSE_SECONDS = 2.0

JOBS_OF_TASK = text(
    "SELECT args ->> :name FROM procrastinate_jobs WHERE task_name = :task AND status IN ('todo', 'doing')"
)

TaskFunction = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Task:
    """A named function for the worker. It takes `resources` and ids, never payloads or secrets: arguments are stored."""

    name: str
    function: TaskFunction
    every: str | None = None  # A cron line (five fields): the task is also started on a schedule.


@dataclass
class TaskGroup:
    """The tasks of one feature; their names start with its name."""

    feature: str
    tasks: list[Task] = field(default_factory=list)

    def task(self, name: str, *, every: str | None = None) -> Callable[[TaskFunction], Task]:
        """Make ``async def f(resources, **ids)`` a task. `every` is a cron line."""

        def register(function: TaskFunction) -> Task:
            task = Task(name=f"{self.feature}.{name}", function=function, every=every)
            self.tasks.append(task)
            return task

        return register


class Queue:
    """Inserts jobs and, in the worker process, runs them. Tasks get `resources` as their first argument."""

    def __init__(self, database_url: str, groups: Iterable[TaskGroup]) -> None:
        # Connects to nothing yet.
        conninfo = database_url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=conninfo, min_size=1, max_size=8)
        )
        tasks = [task for group in groups for task in group.tasks]
        self._periodic = [(task, task.every) for task in tasks if task.every]
        self._tasks = {task.name: self._register(task) for task in tasks}
        self._rescuer = JobRescuer(self._app)

    @property
    def task_names(self) -> list[str]:
        """The tasks that this version knows."""
        return list(self._tasks)

    def _register(self, task: Task) -> Any:  # noqa: ANN401 - the queue's own generic type says nothing here.
        async def run(context: procrastinate.JobContext, /, timestamp: int | None = None, **ids: Any) -> None:  # noqa: ANN401
            job, request_id = context.job, ids.pop(REQUEST_ID, "")
            facts = JobFacts(job.id or 0, task.name, job.attempts + 1, request_id, timestamp, ids)
            with self._rescuer.holding(job):
                await run_logged(
                    facts,
                    partial(task.function, context.additional_context["resources"], **ids),
                    will_retry=lambda error: retry.get_retry_decision(exception=error, job=job) is not None,
                    keep_reason=partial(self._keep_reason, facts.number),
                )

        retry = RetryByError()
        return self._app.task(name=task.name, pass_context=True, retry=retry)(run)

    async def _keep_reason(self, number: int, error: Exception) -> None:
        with contextlib.suppress(ConnectorException):  # Then its page says that no reason was kept.
            await self._app.connector.execute_query_async(NOTE_REASON, job_id=number, reason=reason_json(error))

    def _register_periodic(self) -> None:
        # lock: a slow run is not overtaken by the next tick. queueing_lock: ticks do not pile up behind it.
        for task, cron in self._periodic:
            self._app.periodic(cron=cron, periodic_id=task.name, lock=task.name, queueing_lock=task.name)(
                self._tasks[task.name]
            )

    async def defer(
        self,
        session: AsyncSession,
        task: str,
        *,
        lock: str | None = None,
        queueing_lock: str | None = None,
        delay: float | None = None,
        priority: int = 0,
        request_id: str = "",
        **ids: str,
    ) -> bool:
        """Insert a job for the task of this name, in the caller's transaction: row and job are committed, or vanish, together.

        By name, so that a feature need not import what runs the job. An unknown name raises KeyError.

        Jobs with the same `lock` run one after the other. `queueing_lock` allows one waiting job at most (deduplication);
        the result is False when there is one already. `delay` is in seconds. Jobs with a higher `priority` run first,
        so bulk work has a negative one. `request_id` is what the job's log lines carry; by default the id of what runs now.
        """
        options: dict[str, Any] = {"lock": lock, "priority": priority}
        if queueing_lock:
            options["queueing_lock"] = queueing_lock
        if delay is not None:
            options["schedule_in"] = {"seconds": delay}
        try:
            async with session.begin_nested():
                # Inside the block, because SQLAlchemy emits the SAVEPOINT when the connection is first used in it.
                raw = await (await session.connection()).get_raw_connection()
                options["connection"] = raw.driver_connection
                await self._tasks[task].configure(**options).defer_async(**traced(ids, request_id))
        except AlreadyEnqueued:
            return False
        return True

    async def defer_many(
        self, session: AsyncSession, task: str, jobs: Sequence[Mapping[str, str]], *, priority: int = 0
    ) -> None:
        """Insert a job for each of these arguments in one statement, in the caller's transaction; none for an empty list."""
        if not jobs:
            return
        # Without a queueing lock no job can be refused as a duplicate, hence no savepoint as in `defer`.
        raw = await (await session.connection()).get_raw_connection()
        deferrer = self._tasks[task].configure(priority=priority, connection=raw.driver_connection)
        await deferrer.batch_defer_async(*(traced(arguments) for arguments in jobs))

    async def unfinished_values(self, session: AsyncSession, task: str, name: str) -> set[str]:
        """The values of this argument in all jobs of the task that wait or run."""
        rows = await session.execute(JOBS_OF_TASK, {"task": task, "name": name})
        return set(rows.scalars())

    async def work(self, resources: object, *, concurrency: int = 4) -> None:
        """Run jobs until SIGTERM or SIGINT; waits for the running ones.

        A database that goes away for a while does not end the worker: it restarts until the database answers.
        """
        self._register_periodic()
        async with self._app.open_async():
            rescuer = asyncio.create_task(self._rescuer.rescue_regularly(DEAD_AFTER_SECONDS))
            try:
                with _stop_event() as stop:
                    while not stop.is_set():
                        await self._work_until(stop, resources, concurrency)
            finally:
                rescuer.cancel()
                await asyncio.gather(rescuer, return_exceptions=True)

    async def _work_until(self, stop: asyncio.Event, resources: object, concurrency: int) -> None:
        """Run one Procrastinate worker until it is asked to stop or loses the database."""
        worker = asyncio.create_task(
            self._app.run_worker_async(
                concurrency=concurrency,
                install_signal_handlers=False,
                additional_context={"resources": resources},
                # Retention: a finished job is deleted at once; a failed one stays, and a page lists it (core/job_failures.py).
                delete_jobs="successful",
                shutdown_graceful_timeout=20,
                fetch_job_polling_interval=DUE_JOBS_POLL_SECONDS,
                update_heartbeat_interval=DEAD_AFTER_SECONDS / 3,
                stalled_worker_timeout=DEAD_AFTER_SECONDS,
            )
        )
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({worker, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if stop.is_set():
            worker.cancel()
        (outcome,) = await asyncio.gather(worker, return_exceptions=True)
        if isinstance(outcome, BaseException) and not isinstance(outcome, ConnectorException | asyncio.CancelledError):
            raise outcome
        if not stop.is_set():
            log.warning("worker.restarted", why=repr(outcome))
            await asyncio.sleep(RESTART_PAUSE_SECONDS)

    async def drain(self, resources: object) -> None:
        """Run every due job and return; tests use this in place of a worker process."""
        async with self._app.open_async():
            await self._app.run_worker_async(
                wait=False,
                concurrency=1,
                listen_notify=False,
                install_signal_handlers=False,
                additional_context={"resources": resources},
                delete_jobs="successful",
            )


@contextlib.contextmanager
def _stop_event() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set for as long as the block lasts."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    try:
        for number in signals:
            loop.add_signal_handler(number, stop.set)
    except NotImplementedError:  # The event loop of Windows has no signal handlers.
        for number in signals:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    try:
        yield stop
    finally:
        with contextlib.suppress(NotImplementedError):
            for number in signals:
                loop.remove_signal_handler(number)


def queue_schema() -> str:
    """The tables and functions of the queue, as SQL for the migration that creates them."""
    return SchemaManager.get_schema()
