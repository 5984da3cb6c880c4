"""The background jobs of accounts: asking for roles, retention of forms not sent yet, and the audit log's head each day."""

from __future__ import annotations

from app.core.jobs import TaskGroup
from app.features.accounts.audit_verify import log_head
from app.features.accounts.role_checks import check_roles_if_due
from app.features.accounts.sessions import discard_tokens_of_ended
from app.features.accounts.unsent_forms import forget_old_forms
from app.resources import Resources

tasks = TaskGroup("accounts")


# How rarely a session is really asked about says ROLE_CHECK_MINUTES.
@tasks.task("check_roles", every="* * * * *")
async def check_roles(resources: Resources) -> None:
    async with resources.database.transaction() as session:
        await discard_tokens_of_ended(session, resources.config)
    await check_roles_if_due(resources)


@tasks.task("forget_unsent_forms", every="*/5 * * * *")
async def forget_unsent_forms(resources: Resources) -> None:
    async with resources.database.transaction() as session:
        await forget_old_forms(session)


# Shipped to a log outside, a head proves later that the entries up to it are those of that day.
@tasks.task("audit_head", every="23 4 * * *")
async def log_audit_head(resources: Resources) -> None:
    async with resources.database.transaction() as session:
        await log_head(session)
