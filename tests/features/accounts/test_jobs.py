"""The daily line with the audit log's head."""

from __future__ import annotations

from app.features.accounts.jobs import log_audit_head
from tests.factories.audit import entries, write
from tests.factories.logged import logged_lines, of_event
from tests.factories.system import System


async def test_the_head_is_logged_by_a_job_each_day(system: System) -> None:
    await write(system.resources.database, 2)
    async with system.resources.database.transaction() as session:
        await system.resources.queue.defer(session, log_audit_head.name)
    with logged_lines() as lines:
        await system.work()
    [head] = of_event(lines, "audit.head")
    assert (head["entries"], head["hash"]) == (2, (await entries(system.resources.database))[-1].hash)
    assert head["task"] == "accounts.audit_head"
    assert log_audit_head.every == "23 4 * * *"
