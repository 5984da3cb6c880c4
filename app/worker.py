"""The worker process: runs jobs until it is asked to stop. Serves no page."""

from __future__ import annotations

from app.bootstrap import open_resources
from app.core.logging import get_logger
from app.core.loop_watch import watched_loop
from app.settings import Settings

log = get_logger(__name__)


async def work(settings: Settings, database_url: str) -> None:
    """Run jobs. Returns after SIGTERM or SIGINT, when the running jobs are done."""
    async with open_resources(settings, database_url) as resources:
        log.info("worker.started")
        with watched_loop("worker"):
            await resources.queue.work(resources)
        log.info("worker.stopped")
