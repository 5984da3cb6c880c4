"""Background jobs of retention: names and schedules only."""

from __future__ import annotations

from app.core.jobs import TaskGroup
from app.features.keeping.retention import DAILY, HOURLY, remove_old
from app.resources import Resources

tasks = TaskGroup("keeping")


# At odd minutes: other jobs that run by the clock start at round ones.
@tasks.task("remove_ended", every="37 * * * *")
async def remove_ended(resources: Resources) -> None:
    await remove_old(resources.database, resources.config, HOURLY)


# At night in Europe and America alike; a run that was missed is made up for by the next.
@tasks.task("remove_old", every="43 3 * * *")
async def remove_old_rows(resources: Resources) -> None:
    await remove_old(resources.database, resources.config, DAILY)
