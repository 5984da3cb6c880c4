"""The worker process: runs jobs from the queue until it is asked to stop."""

from __future__ import annotations

from app.bootstrap import open_resources
from app.core.logging import get_logger
from app.settings import Settings

log = get_logger(__name__)


async def work(settings: Settings, database_url: str) -> None:
    """Run jobs; returns after SIGTERM or SIGINT, when the jobs in hand are done."""
    async with open_resources(settings, database_url) as resources:
        log.info("worker started")
        await resources.queue.work(resources)
        log.info("worker stopped")
