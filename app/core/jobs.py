"""The only file that knows the queue: jobs go in with the caller's transaction, and retry by the error's verdict."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.schema import SchemaManager
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import AppError
from app.core.logging import bind_correlation_id, get_logger

log = get_logger(__name__)

# A job waits 5, 10, 20 … seconds between attempts, and never more than a quarter of an hour.
FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 900.0
# An error nobody expected is tried again a few times, in case it was a passing one, and then left as failed.
UNEXPECTED_ATTEMPTS = 5
# A worker that has not reported for so long is taken for dead, and its jobs are given to another.
DEAD_AFTER_SECONDS = 30
# New jobs announce themselves; ones that wait for their time are looked for so often.
LOOK_FOR_DUE_JOBS_SECONDS = 5.0
# A worker that lost its database starts anew after so long, and goes on trying.
PAUSE_AFTER_FAILURE_SECONDS = 2.0

JOBS_OF_TASK = text(
    "SELECT args ->> :name FROM procrastinate_jobs WHERE task_name = :task AND status IN ('todo', 'doing')"
)

TaskFunction = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Task:
    """A named piece of background work. Its function takes `resources` and ids, never payloads or secrets."""

    name: str
    function: TaskFunction
    every: str | None = None  # A cron line: the task is also started by the clock.


@dataclass
class TaskGroup:
    """The tasks of one feature; their names start with it."""

    feature: str
    tasks: list[Task] = field(default_factory=list)

    def task(self, name: str, *, every: str | None = None) -> Callable[[TaskFunction], Task]:
        """Make ``async def f(resources, **ids)`` a task; `every` is a cron line for work the clock starts."""

        def register(function: TaskFunction) -> Task:
            task = Task(name=f"{self.feature}.{name}", function=function, every=every)
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
        elif isinstance(exception, OperationalError) or job.attempts + 1 < UNEXPECTED_ATTEMPTS:
            # A database that went away comes back, however often this job had to wait its turn before.
            seconds = wait_before(job.attempts)
        else:
            return None
        return procrastinate.RetryDecision(retry_in={"milliseconds": round(seconds * 1000)})


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
        # What this process is working on, and under which numbers the queue knows it.
        self._in_hand: set[int] = set()
        self._own_workers: set[int] = set()
        self._suspects: set[int] = set()

    def _register(self, task: Task) -> Any:  # noqa: ANN401 - the queue's own generic type says nothing here.
        async def run(context: procrastinate.JobContext, /, timestamp: int | None = None, **ids: Any) -> None:  # noqa: ANN401, ARG001
            bind_correlation_id(f"job-{context.job.id}-{uuid4().hex[:8]}")
            with self._holding(context.job):
                await task.function(context.additional_context["resources"], **ids)

        return self._app.task(name=task.name, pass_context=True, retry=RetryByVerdict())(run)

    @contextlib.contextmanager
    def _holding(self, job: Job) -> Iterator[None]:
        number = job.id or 0
        self._in_hand.add(number)
        if job.worker_id is not None:
            self._own_workers.add(job.worker_id)
        try:
            yield
        finally:
            self._in_hand.discard(number)

    def _start_clockwork(self) -> None:
        """One of a kind at a time: a slow run is not overtaken by the next tick."""
        for task, cron in self._by_clock:
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
        **ids: str,
    ) -> bool:
        """Insert a job for the task of this name, in the caller's transaction: row and job are committed, or vanish, together.

        By name, so that a feature need not import what runs the job. An unknown name raises KeyError.

        `lock` makes jobs that share it run one after the other; `queueing_lock` allows one waiting job at most, and the
        answer is False when there is one already. `delay` is in seconds. Jobs of a higher `priority` go first, so work in
        bulk takes a negative one.
        """
        options: dict[str, Any] = {"lock": lock, "priority": priority}
        if queueing_lock:
            options["queueing_lock"] = queueing_lock
        if delay is not None:
            options["schedule_in"] = {"seconds": delay}
        try:
            async with session.begin_nested():
                # Asked for inside the block: the savepoint is only laid when the connection is first used in it.
                raw = await (await session.connection()).get_raw_connection()
                options["connection"] = raw.driver_connection
                await self._tasks[task].configure(**options).defer_async(**ids)
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
        await deferrer.batch_defer_async(*(dict(arguments) for arguments in jobs))

    async def in_hand_or_waiting(self, session: AsyncSession, task: str, name: str) -> set[str]:
        """The values that this argument has in all jobs of the task that wait or are being run."""
        rows = await session.execute(JOBS_OF_TASK, {"task": task, "name": name})
        return set(rows.scalars())

    async def work(self, resources: object, *, concurrency: int = 4) -> None:
        """Run jobs until the process is asked to stop by SIGTERM or SIGINT; waits for those in hand.

        A database that goes away for a while ends nothing: the worker starts anew until it is there again.
        """
        self._start_clockwork()
        async with self._app.open_async():
            rescuer = asyncio.create_task(self._rescue_for_ever())
            try:
                with _asked_to_stop() as stop:
                    while not stop.is_set():
                        await self._work_until(stop, resources, concurrency)
            finally:
                rescuer.cancel()
                await asyncio.gather(rescuer, return_exceptions=True)

    async def _work_until(self, stop: asyncio.Event, resources: object, concurrency: int) -> None:
        """One life of a worker. It ends when it is asked to, and also when it loses the database."""
        worker = asyncio.create_task(
            self._app.run_worker_async(
                concurrency=concurrency,
                install_signal_handlers=False,
                additional_context={"resources": resources},
                delete_jobs="successful",
                shutdown_graceful_timeout=20,
                fetch_job_polling_interval=LOOK_FOR_DUE_JOBS_SECONDS,
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
            log.warning("worker lost its database and starts anew", why=repr(outcome))
            await asyncio.sleep(PAUSE_AFTER_FAILURE_SECONDS)

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
        """Twice a minute, see to jobs that nobody works on any more."""
        while True:
            try:
                await self.rescue()
            except ConnectorException as error:
                log.warning("no look at abandoned jobs: the database does not answer", why=str(error))
            await asyncio.sleep(DEAD_AFTER_SECONDS / 2)

    async def rescue(self) -> None:
        """Give the jobs of workers that died to the living, and own ones whose end could not be written down."""
        manager = self._app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_SECONDS):
            await self._give_back(job)
        forgotten = {
            job.id: job
            for job in await manager.list_jobs_async(status=Status.DOING.value)
            if job.id not in self._in_hand and job.worker_id in self._own_workers
        }
        # Seen twice in a row, because between a job's end and its being written down lies a moment.
        for number in self._suspects & forgotten.keys():
            await self._give_back(forgotten[number])
        self._suspects = {number for number in forgotten if number is not None} - self._suspects

    async def _give_back(self, job: Job) -> None:
        """Let it be run again; where a newer one of its kind waits already, that one takes its place."""
        log.warning("abandoned job is run again", job=job.id, task=job.task_name)
        try:
            await self._app.job_manager.retry_job(job)
        except UniqueViolation:
            await self._app.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[asyncio.Event]:
    """Set by SIGTERM and SIGINT for as long as the block lasts."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    try:
        for number in signals:
            loop.add_signal_handler(number, stop.set)
    except NotImplementedError:  # Windows' loop takes none.
        for number in signals:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    try:
        yield stop
    finally:
        with contextlib.suppress(NotImplementedError):
            for number in signals:
                loop.remove_signal_handler(number)


def queue_schema() -> str:
    """The queue's own tables and functions, as SQL for the migration that creates them."""
    return SchemaManager.get_schema()
