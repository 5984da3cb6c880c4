"""The connection's background work: forget what is old."""

from __future__ import annotations

from app.core.jobs import TaskGroup
from app.features.connection.authorization_attempts import forget_old_attempts
from app.features.connection.call_log import forget_old_calls
from app.resources import Resources

tasks = TaskGroup("connection")


@tasks.task("sweep", every="17 * * * *")
async def sweep(resources: Resources) -> None:
    """Once an hour."""
    async with resources.database.transaction() as session:
        await forget_old_calls(session)
        await forget_old_attempts(session)
