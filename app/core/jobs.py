"""The job queue (Procrastinate): a transactional outbox and its worker. Only it and its job_* modules import procrastinate."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import procrastinate
import psycopg
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.schema import SchemaManager
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database_connection import ConnectionOptions, complete_url, connect_arguments, connection_class
from app.core.database_trouble import cause_of
from app.core.job_failures import NOTE_REASON, reason_json
from app.core.job_rescue import JobRescuer
from app.core.job_retry import RetryByError
from app.core.job_run import REQUEST_ID, JobFacts, run_logged, traced
from app.core.logging import get_logger
from app.core.metrics import measured_job
from app.core.pulse import Pulse

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

# Locked until the caller's transaction ends: no worker takes the job before what it has to find is committed, and then the
# notification wakes one, as that of a new job does. A job that waits for its time is due at once.
PULL_FORWARD = text(
    """WITH waiting AS (
        UPDATE procrastinate_jobs SET scheduled_at = NULL
         WHERE queueing_lock = :queueing_lock AND status = 'todo' RETURNING id, queue_name)
    SELECT pg_notify(channel, json_build_object('type', 'job_inserted', 'job_id', id)::text)
      FROM waiting, unnest(ARRAY['procrastinate_any_queue_v1', 'procrastinate_queue_v1#' || queue_name]) AS channel"""
)
# As above, of a job that would otherwise start later than that.
BEGIN_SOONER = text(
    """UPDATE procrastinate_jobs SET scheduled_at = now() + make_interval(secs => :delay)
        WHERE queueing_lock = :queueing_lock AND status = 'todo' AND scheduled_at > now() + make_interval(secs => :delay)"""
)
# A job that another transaction inserts is committed, or taken by a worker, in between: rarely twice in a row.
MOST_TRIES_TO_WAKE = 5

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


class _WatchedJobManager(JobManager):
    """Notes each time that the worker's loop asks for a job."""

    def __init__(self, connector: BaseConnector, pulse: Pulse) -> None:
        super().__init__(connector)
        self._pulse = pulse

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        self._pulse.asked()
        job = await super().fetch_job(queues, worker_id)
        self._pulse.answered()
        return job


class Queue:
    """Inserts jobs and, in the worker process, runs them. Tasks get `resources` as their first argument."""

    def __init__(
        self, database_url: str, groups: Iterable[TaskGroup], options: ConnectionOptions | None = None
    ) -> None:
        # Connects to nothing yet.
        self._options = options or ConnectionOptions()
        self._arguments = connect_arguments(complete_url(database_url, self._options))
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(
                kwargs=self._arguments,
                connection_class=connection_class(self._options),
                min_size=1,
                max_size=self._options.queue_pool_size,
                # The worker is started again when it got no connection, and says why; the pool's own attempts, which
                # become rarer and rarer, are not waited for.
                timeout=self._options.pool_seconds + self._options.connect_seconds,
                reconnect_timeout=RESTART_PAUSE_SECONDS,
            )
        )
        self.pulse = Pulse()
        # Whether this process's worker was asked to stop: a long job then ends between two steps.
        self.is_stopping = False
        self._app.job_manager = _WatchedJobManager(self._app.connector, self.pulse)
        tasks = [task for group in groups for task in group.tasks]
        self._periodic = [(task, task.every) for task in tasks if task.every]
        self._tasks = {task.name: self._register(task) for task in tasks}
        self._rescuer = JobRescuer(self._app, self.pulse)

    @property
    def task_names(self) -> list[str]:
        """The tasks that this version knows."""
        return list(self._tasks)

    def _register(self, task: Task) -> Any:  # noqa: ANN401 - the queue's own generic type says nothing here.
        async def run(context: procrastinate.JobContext, /, timestamp: int | None = None, **ids: Any) -> None:  # noqa: ANN401
            job, request_id = context.job, ids.pop(REQUEST_ID, "")
            facts = JobFacts(job.id or 0, task.name, job.attempts + 1, request_id, timestamp, ids)
            with self._rescuer.holding(job), measured_job(task.name):
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
            async with _as_of_the_engine(), session.begin_nested():
                # Inside the block, because SQLAlchemy emits the SAVEPOINT when the connection is first used in it.
                raw = await (await session.connection()).get_raw_connection()
                options["connection"] = raw.driver_connection
                await self._tasks[task].configure(**options).defer_async(**traced(ids, request_id))
        except AlreadyEnqueued:
            return False
        return True

    async def wake(self, session: AsyncSession, task: str) -> None:
        """See that a job of this task without arguments starts after the caller's transaction is committed.

        One such job at most waits. Unlike `defer` with a queueing lock, it is surely not one that starts, and looks for
        what there is to do, before the commit.
        """
        for _ in range(MOST_TRIES_TO_WAKE):
            if (await session.execute(PULL_FORWARD, {"queueing_lock": task})).first() is not None:
                return
            if await self.defer(session, task, queueing_lock=task):
                return

    async def wake_in(self, session: AsyncSession, task: str, seconds: float, *, queueing_lock: str) -> None:
        """See that a job of this task without arguments starts after so many seconds, or before. One such job at most waits."""
        if not await self.defer(session, task, queueing_lock=queueing_lock, delay=seconds):
            await session.execute(BEGIN_SOONER, {"queueing_lock": queueing_lock, "delay": seconds})

    async def defer_many(
        self, session: AsyncSession, task: str, jobs: Sequence[Mapping[str, str]], *, priority: int = 0
    ) -> None:
        """Insert a job for each of these arguments in one statement, in the caller's transaction; none for an empty list.

        An argument `request_id` is what the job's log lines carry.
        """
        if not jobs:
            return
        # Without a queueing lock no job can be refused as a duplicate, hence no savepoint as in `defer`.
        raw = await (await session.connection()).get_raw_connection()
        deferrer = self._tasks[task].configure(priority=priority, connection=raw.driver_connection)
        async with _as_of_the_engine():
            await deferrer.batch_defer_async(*(traced(each, each.get(REQUEST_ID, "")) for each in jobs))

    async def unfinished_values(self, session: AsyncSession, task: str, name: str) -> set[str]:
        """The values of this argument in all jobs of the task that wait or run."""
        rows = await session.execute(JOBS_OF_TASK, {"task": task, "name": name})
        return set(rows.scalars())

    async def work(self, resources: object, *, concurrency: int = 4, stop: asyncio.Event | None = None) -> None:
        """Run jobs until SIGTERM or SIGINT, or until `stop` is set; waits for the running ones.

        A database that goes away for a while does not end the worker: it restarts until the database answers.
        """
        self._register_periodic()
        self.is_stopping = False
        self.pulse.slots = concurrency
        async with self._app.open_async():
            rescuer = asyncio.create_task(self._rescuer.rescue_regularly(DEAD_AFTER_SECONDS))
            try:
                with _stop_event(stop) as stop:
                    while not stop.is_set():
                        await self._work_until(stop, resources, concurrency)
            finally:
                self.pulse.stopped()
                rescuer.cancel()
                await asyncio.gather(rescuer, return_exceptions=True)

    async def _work_until(self, stop: asyncio.Event, resources: object, concurrency: int) -> None:
        """Run one Procrastinate worker until it is asked to stop or loses the database."""
        self.pulse.asked()
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
            self.is_stopping = True
            worker.cancel()
        (outcome,) = await asyncio.gather(worker, return_exceptions=True)
        if isinstance(outcome, BaseException) and not isinstance(outcome, ConnectorException | asyncio.CancelledError):
            raise outcome
        if not stop.is_set():
            log.warning("worker.restarted", why=await self._why_lost(outcome))
            await asyncio.sleep(RESTART_PAUSE_SECONDS)

    async def _why_lost(self, outcome: BaseException | None) -> str:
        """The database's own words. The queue says "Database error.", and its pool only that no connection was free."""
        try:
            async with await connection_class(self._options).connect(**self._arguments) as connection:
                await connection.execute("SELECT 1")
        except (psycopg.Error, OSError) as error:
            return cause_of(error)
        return "the worker ended by itself" if outcome is None else cause_of(outcome)

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


@contextlib.asynccontextmanager
async def _as_of_the_engine() -> AsyncIterator[None]:
    """A connection that is lost while a job is inserted raises what it raises for any other row."""
    try:
        yield
    except ConnectorException as error:
        if isinstance(error, UniqueViolation) or not isinstance(error.__cause__, Exception):
            raise
        raise OperationalError("INSERT INTO procrastinate_jobs", None, error.__cause__) from error


@contextlib.contextmanager
def _stop_event(given: asyncio.Event | None = None) -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set for as long as the block lasts; the given one, or a new one."""
    stop, loop = given or asyncio.Event(), asyncio.get_running_loop()
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
