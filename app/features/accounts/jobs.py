"""The background jobs of accounts: asking for the roles of signed-in people, and retention of forms not sent yet."""

from __future__ import annotations

from app.core.jobs import TaskGroup
from app.features.accounts.role_checks import check_roles_if_due
from app.features.accounts.unsent_forms import forget_old_forms
from app.resources import Resources

tasks = TaskGroup("accounts")


# How rarely a session is really asked about says ROLE_CHECK_MINUTES.
@tasks.task("check_roles", every="* * * * *")
async def check_roles(resources: Resources) -> None:
    await check_roles_if_due(resources)


@tasks.task("forget_unsent_forms", every="*/5 * * * *")
async def forget_unsent_forms(resources: Resources) -> None:
    async with resources.database.transaction() as session:
        await forget_old_forms(session)
