"""Imports from Graph by schedule and on request."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from app.core.clock import SetClock
from app.core.errors import Conflict
from app.features.accounts.audit import list_entries
from app.features.secure_score.actions.action_rows import load_lines
from app.features.secure_score.jobs import backoff, request_sync, scheduled_sync, sync_now
from app.features.secure_score.reports.score_summary import score_card
from app.features.secure_score.sync.runs import RunLine, RunStatus, list_runs
from sandbox.graph_faults import GraphFault
from tests.factories.secure_score import a_manager
from tests.factories.system import System


async def runs(system: System) -> list[RunLine]:
    async with system.resources.database.transaction() as session:
        return await list_runs(session, system.resources.config.tenant_id)


async def test_the_first_import_brings_ninety_days_and_marks_the_regression(system: System) -> None:
    await scheduled_sync.function(system.resources)
    tenant_id = system.resources.config.tenant_id
    async with system.resources.database.transaction() as session:
        lines = {line.control_id: line for line in await load_lines(session, tenant_id)}
        card = await score_card(session, tenant_id)
    [run] = await runs(system)
    assert (run.status, run.snapshots_new, run.profiles_new) == (RunStatus.DONE, 90, 146)
    assert [key for key, line in lines.items() if line.is_regressed] == ["BlockLegacyAuthentication"]
    assert lines["BlockLegacyAuthentication"].regressed_from == 8
    assert card is not None
    assert card.regressed == 1
    assert len(card.days) == len(card.values) == 90
    assert card.values.count(None) == 1


async def test_it_is_due_again_after_six_hours_and_then_reads_a_few_days_only(
    system: System, still_clock: SetClock
) -> None:
    await scheduled_sync.function(system.resources)
    await scheduled_sync.function(system.resources)
    assert len(await runs(system)) == 1
    still_clock.move(6 * 3600)
    await scheduled_sync.function(system.resources)
    newest, _ = await runs(system)
    assert (newest.snapshots_read, newest.snapshots_new, newest.profiles_changed) == (4, 0, 0)


async def test_after_a_failure_it_tries_again_in_a_quarter_of_an_hour(system: System, still_clock: SetClock) -> None:
    system.microsoft.tenant.faults["forbidden"] = 2
    await scheduled_sync.function(system.resources)
    [failed] = await runs(system)
    assert failed.status == RunStatus.FAILED
    assert "SecurityEvents.Read.All" in str(failed.problem)
    await scheduled_sync.function(system.resources)
    assert len(await runs(system)) == 1
    still_clock.move(15 * 60)
    await scheduled_sync.function(system.resources)
    assert (await runs(system))[0].status == RunStatus.DONE


async def test_sync_now_waits_in_the_queue_and_is_done_by_the_worker(system: System) -> None:
    by = await a_manager(system.resources.database)
    async with system.resources.database.transaction() as session:
        await request_sync(session, system.resources, by=by)
    [waiting] = await runs(system)
    assert (waiting.status, waiting.asked_by) == (RunStatus.WAITING, "Alex")
    async with system.resources.database.transaction() as session:
        with pytest.raises(Conflict, match="already waiting"):
            await request_sync(session, system.resources, by=by)
    await system.work()
    [done] = await runs(system)
    assert (done.status, done.snapshots_new) == (RunStatus.DONE, 90)


async def test_a_request_whose_job_was_lost_is_served_by_the_clock(system: System) -> None:
    by = await a_manager(system.resources.database)
    async with system.resources.database.transaction() as session:
        await request_sync(session, system.resources, by=by)
    await scheduled_sync.function(system.resources)
    assert [run.status for run in await runs(system)] == [RunStatus.DONE]
    await sync_now.function(system.resources)
    assert len(await runs(system)) == 1


async def test_graph_is_left_alone_while_the_pages_show_another_tenants_files(system: System) -> None:
    by = await a_manager(system.resources.database)
    resources = replace(system.resources, config=replace(system.resources.config, shown_tenant_id="another"))
    await scheduled_sync.function(resources)
    assert await runs(system) == []
    async with system.resources.database.transaction() as session:
        with pytest.raises(Conflict, match="SECURE_SCORE_TENANT_ID"):
            await request_sync(session, resources, by=by)


async def test_a_catalogue_that_fails_does_not_make_ninety_days_be_read_again(
    system: System, still_clock: SetClock
) -> None:
    await scheduled_sync.function(system.resources)
    tenant = system.microsoft.tenant
    for _ in range(3):
        still_clock.move(6 * 3600)
        tenant.orders = [GraphFault("not_json", times=20, what="secureScoreControlProfiles")]
        await scheduled_sync.function(system.resources)
        newest = (await runs(system))[0]
        assert newest.status == RunStatus.PARTIAL
        assert 0 < newest.snapshots_read <= 5


async def test_scores_that_broke_off_are_read_whole_once_more_and_then_a_few_at_a_time(
    system: System, still_clock: SetClock
) -> None:
    system.microsoft.tenant.edge_cases.page_size = 40
    system.microsoft.tenant.orders = [GraphFault("not_json", what="secureScores", page=2)]
    read = []
    for _ in range(3):
        await scheduled_sync.function(system.resources)
        newest = (await runs(system))[0]
        read.append((newest.status, newest.snapshots_read))
        still_clock.move(6 * 3600)
    assert [status for status, _ in read] == [RunStatus.PARTIAL, RunStatus.DONE, RunStatus.DONE]
    broken, whole, after = (days for _, days in read)
    assert after <= 5 < broken < whole == 90


@pytest.mark.thorough
async def test_what_fails_again_and_again_is_asked_for_ever_more_rarely(system: System, still_clock: SetClock) -> None:
    asked = []
    for minute in range(0, 24 * 60, 5):
        system.microsoft.tenant.faults["forbidden"] = 2
        before = len(await runs(system))
        await scheduled_sync.function(system.resources)
        if len(await runs(system)) > before:
            asked.append(minute)
        still_clock.move(5 * 60)
    assert [after - before for before, after in pairwise(asked)] == [15, 30, 60, 120, 240, 360, 360]
    system.microsoft.tenant.faults.clear()
    still_clock.move(6 * 3600)
    await scheduled_sync.function(system.resources)
    assert (await runs(system))[0].status == RunStatus.DONE
    system.microsoft.tenant.faults["forbidden"] = 2
    still_clock.move(6 * 3600)
    await scheduled_sync.function(system.resources)
    assert (await runs(system))[0].status == RunStatus.FAILED
    still_clock.move(15 * 60)
    await scheduled_sync.function(system.resources)  # After a success, the backoff starts again.
    assert (await runs(system))[0].status == RunStatus.DONE


@pytest.mark.parametrize(
    ("failures", "minutes"), [(0, 15), (1, 15), (2, 30), (3, 60), (4, 120), (5, 240), (6, 360), (7, 360), (1000, 360)]
)
def test_the_backoff_doubles_up_to_the_usual_interval(failures: int, minutes: int) -> None:
    assert backoff(failures) == timedelta(minutes=minutes)


async def test_a_requested_import_is_in_the_audit_log_and_a_refused_one_is_not(system: System) -> None:
    by = await a_manager(system.resources.database)
    for _ in range(2):
        async with system.resources.database.transaction() as session:
            with suppress(Conflict):
                await request_sync(session, system.resources, by=by)
    async with system.resources.database.transaction() as session:
        entries = await list_entries(session)
    assert [(line.who, str(line.action)) for line in entries.lines] == [("Alex", "Import asked for")]
