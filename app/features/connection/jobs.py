"""The connection's background jobs: asking again after a refusal, and retention of calls and begun authorizations."""

from __future__ import annotations

from app.core.jobs import TaskGroup
from app.features.connection.authorization_attempts import forget_old_attempts
from app.features.connection.call_log import forget_old_calls
from app.features.connection.renewal import recover_if_due
from app.resources import Resources

tasks = TaskGroup("connection")


# Once an hour, at an odd minute: other jobs that run by the clock start at round ones.
@tasks.task("sweep", every="17 * * * *")
async def sweep(resources: Resources) -> None:
    async with resources.database.transaction() as session:
        await forget_old_calls(session)
        await forget_old_attempts(session)


# How rarely ServiceNow is really asked says tokens.RETRY_AFTER.
@tasks.task("recover", every="* * * * *")
async def recover(resources: Resources) -> None:
    await recover_if_due(resources)
