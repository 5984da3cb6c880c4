"""The worker process: runs jobs until it is asked to stop. Serves no page."""

from __future__ import annotations

from app.bootstrap import open_resources, reporting_as, traced
from app.core.logging import get_logger
from app.settings import Settings
from app.worker_port import health_handlers, serving_port

log = get_logger(__name__)


async def work(settings: Settings, database_url: str) -> None:
    """Run jobs. Returns after SIGTERM or SIGINT, when the running jobs are done."""
    with traced(settings, "worker"):
        async with (
            open_resources(settings, database_url) as resources,
            serving_port(settings.host, settings.worker_port, health_handlers(resources)),
            # A worker whose loop hangs does not report itself as running.
            reporting_as("worker", resources, is_alive=lambda: resources.queue.pulse.is_live),
        ):
            log.info("worker.started")
            await resources.queue.work(resources)
            log.info("worker.stopped")
