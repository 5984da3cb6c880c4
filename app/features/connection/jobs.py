"""The connection's background jobs: retention of the call log and of authorizations that were begun."""

from __future__ import annotations

from app.core.jobs import TaskGroup
from app.features.connection.authorization_attempts import forget_old_attempts
from app.features.connection.call_log import forget_old_calls
from app.resources import Resources

tasks = TaskGroup("connection")


# Once an hour, at an odd minute: other jobs that run by the clock start at round ones.
@tasks.task("sweep", every="17 * * * *")
async def sweep(resources: Resources) -> None:
    async with resources.database.transaction() as session:
        await forget_old_calls(session)
        await forget_old_attempts(session)
