"""The worker process: runs jobs until it is asked to stop. Serves no page."""

from __future__ import annotations

import asyncio

from app.bootstrap import open_resources, reporting_as, traced
from app.core.database_trouble import DATABASE_ERRORS, no_database
from app.core.logging import get_logger
from app.core.loop_watch import watched_loop
from app.core.messages import Message
from app.core.metrics import EVENT_LOOP_HELD
from app.core.schema_guard import UnfitDatabase, require_fit_database, schema_problem
from app.resources import Resources
from app.settings import Settings
from app.worker_port import health_handlers, serving_port

log = get_logger(__name__)
# A worker whose tables are migrated under it stops within this time.
SCHEMA_CHECK_SECONDS = 10.0


async def work(settings: Settings, database_url: str) -> None:
    """Run jobs. Returns after SIGTERM or SIGINT, when the running jobs are done.

    Raises UnfitDatabase or NoDatabase before the first job, and UnfitDatabase when the tables become another version's.
    """
    with traced(settings, "worker"):
        async with open_resources(settings, database_url, process="worker") as resources:
            await require_fit_database(resources.database, resources.expected_revision)
            async with (
                serving_port(settings.host, settings.worker_port, health_handlers(resources)),
                # A worker whose loop hangs does not report itself as running.
                reporting_as("worker", resources, is_alive=lambda: resources.queue.pulse.is_live),
            ):
                log.info("worker.started")
                try:
                    with watched_loop("worker", report=lambda _seconds: EVENT_LOOP_HELD.inc()):
                        await work_while_fit(resources)
                except DATABASE_ERRORS as error:
                    raise no_database(error) from error
                log.info("worker.stopped")


async def work_while_fit(resources: Resources) -> None:
    """Run jobs until asked to stop. Raises UnfitDatabase when the tables are no longer those of this version."""
    stop = asyncio.Event()
    watch = asyncio.create_task(_stop_when_unfit(resources, stop))
    try:
        await resources.queue.work(resources, stop=stop)
    finally:
        watch.cancel()
        (problem,) = await asyncio.gather(watch, return_exceptions=True)
    if isinstance(problem, Message):
        raise UnfitDatabase(problem)


async def _stop_when_unfit(resources: Resources, stop: asyncio.Event) -> Message:
    while True:
        await asyncio.sleep(SCHEMA_CHECK_SECONDS)
        try:
            problem = await schema_problem(resources.database, resources.expected_revision)
        except DATABASE_ERRORS:
            continue  # The queue has its own words for a database that is away.
        if problem is not None:
            log.error("worker.schema.changed", problem=str(problem))
            stop.set()
            return problem
