"""The record of imports."""

from __future__ import annotations

from app.core.clock import SetClock
from app.core.messages import T
from app.features.secure_score.jobs import scheduled_sync
from app.features.secure_score.sync.runs import (
    MOST_WARNINGS,
    ImportSource,
    RunLine,
    RunStatus,
    list_runs,
    open_run,
    stored,
)
from tests.factories.system import System


async def runs(system: System) -> list[RunLine]:
    async with system.resources.database.transaction() as session:
        return await list_runs(session, system.resources.config.tenant_id)


async def test_a_run_that_died_says_so(system: System, still_clock: SetClock) -> None:
    system.microsoft.tenant.faults["forbidden"] = 2
    await scheduled_sync.function(system.resources)
    async with system.resources.database.transaction() as session:
        run = await open_run(session, system.resources.config.tenant_id, ImportSource.GRAPH)
        run.status, run.started_at, run.heard_at = RunStatus.RUNNING, still_clock.now(), still_clock.now()
    still_clock.move(16 * 60)
    died = next(run for run in await runs(system) if "interrupted" in str(run.problem))
    assert died.status == RunStatus.FAILED
    await scheduled_sync.function(system.resources)
    assert (await runs(system))[0].status == RunStatus.DONE


def test_warnings_are_stored_once_each_and_not_without_limit() -> None:
    warnings = [T("Warning %(number)s.", number=number) for number in range(MOST_WARNINGS + 10)]
    assert stored([warnings[0], warnings[0], warnings[1]]) == [warnings[0].to_json(), warnings[1].to_json()]
    assert len(stored(warnings)) == MOST_WARNINGS
