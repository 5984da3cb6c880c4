"""The accounts' background jobs: the audit log's head goes into the process log each day."""

from __future__ import annotations

from app.core.jobs import TaskGroup
from app.features.accounts.audit_verify import log_head
from app.resources import Resources

tasks = TaskGroup("accounts")


# Shipped to a log outside, a head proves later that the entries up to it are those of that day.
@tasks.task("audit_head", every="23 4 * * *")
async def log_audit_head(resources: Resources) -> None:
    async with resources.database.transaction() as session:
        await log_head(session)
