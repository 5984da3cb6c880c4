"""Importing from Graph, complete and with failures."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from app.core.clock import SetClock
from app.core.database import Database
from app.features.secure_score.actions.action_rows import load_lines
from app.features.secure_score.models import ScoreChange
from app.features.secure_score.reports.day_scores import day_scores
from app.features.secure_score.reports.score_summary import score_card
from app.features.secure_score.sync.import_scores import import_from_graph
from app.features.secure_score.sync.read_file import CannotImport
from app.features.secure_score.sync.runs import RunLine, RunStatus, list_runs
from app.features.secure_score.sync.score_changes import ChangeKind
from tests.factories.graph_payloads import DAY, TENANT, days_before, keep, keep_days, score, snapshot
from tests.factories.system import System


async def runs(system: System) -> list[RunLine]:
    async with system.resources.database.transaction() as session:
        return await list_runs(session, system.resources.config.tenant_id)


async def titles(system: System) -> dict[str, str]:
    async with system.resources.database.transaction() as session:
        return {line.control_id: line.title for line in await load_lines(session, system.resources.config.tenant_id)}


async def scored(system: System) -> set[str]:
    async with system.resources.database.transaction() as session:
        lines = await load_lines(session, system.resources.config.tenant_id)
    return {line.control_id for line in lines if line.scored}


@pytest.mark.fact("microsoft-graph edge-48")
async def test_days_that_microsoft_dropped_stay_here(system: System, still_clock: SetClock) -> None:
    await import_from_graph(system.resources)
    tenant = system.microsoft.tenant
    oldest = tenant.scores[-1]["createdDateTime"][:10]
    keep_days(tenant, 5)
    still_clock.move(timedelta(days=1).total_seconds())
    await import_from_graph(system.resources)
    async with system.resources.database.transaction() as session:
        days = await day_scores(session, system.resources.config.tenant_id, 400)
    assert len(days) == 90
    assert days[0].day.isoformat() == oldest


@pytest.mark.fact("microsoft-graph edge-1")
async def test_a_page_that_fails_keeps_the_old_catalogue_and_says_incomplete(system: System) -> None:
    await import_from_graph(system.resources)
    before = await titles(system)
    system.microsoft.tenant.page_size = 50
    system.microsoft.tenant.faults["elsewhere"] = 1
    report = await import_from_graph(system.resources)
    assert report.status is RunStatus.PARTIAL
    assert "another host" in str(report.problem)
    assert report.profiles_read == 50
    assert await titles(system) == before
    assert (await runs(system))[0].status == RunStatus.PARTIAL


@pytest.mark.fact("microsoft-graph edge-4")
async def test_no_score_yet_is_neither_an_error_nor_zero_per_cent(system: System) -> None:
    system.microsoft.tenant.faults["empty"] = 2
    report = await import_from_graph(system.resources)
    assert report.status is RunStatus.DONE
    async with system.resources.database.transaction() as session:
        assert await score_card(session, system.resources.config.tenant_id) is None
    async with await system.signed_in("viewer") as browser:
        answer = await browser.get("/secure-score")
    assert "No score yet" in answer.text
    assert "0%" not in answer.text


@pytest.mark.fact("microsoft-graph edge-5")
async def test_partial_answer_is_stored_as_warning(system: System) -> None:
    system.microsoft.tenant.faults["partial"] = 1
    await import_from_graph(system.resources)
    [run] = await runs(system)
    assert (run.status, run.profiles_read) == (RunStatus.PARTIAL, 146)
    assert [str(warning) for warning in run.warnings] == [
        'Microsoft marked its answer as incomplete (199 - "SecureScore/Provider/503/1000").'
    ]
    async with await system.signed_in("manager") as browser:
        assert "SecureScore/Provider/503/1000" in (await browser.get("/secure-score/imports")).text


@pytest.mark.fact("microsoft-graph edge-5")
async def test_the_first_answer_is_kept_with_its_actions_though_it_is_partial(system: System) -> None:
    system.microsoft.tenant.faults["partial"] = 2
    report = await import_from_graph(system.resources)
    assert report.status is RunStatus.PARTIAL
    assert report.actions_scored > 0


@pytest.mark.fact("microsoft-graph edge-5")
async def test_what_a_partial_answer_lacks_is_neither_archived_nor_removed(system: System) -> None:
    tenant, tenant_id = system.microsoft.tenant, system.resources.config.tenant_id
    keep_days(tenant, 3)
    await import_from_graph(system.resources)
    before = await scored(system)
    tenant.next_day()
    newest, *older = tenant.scores
    day = date.fromisoformat(newest["createdDateTime"][:10])
    tenant.scores = [newest | {"controlScores": newest["controlScores"][:10]}, *older]  # A provider failed.
    tenant.faults["partial"] = 2
    report = await import_from_graph(system.resources)
    removed = select(ScoreChange.control_id).where(ScoreChange.tenant_id == tenant_id, ScoreChange.day == day)
    async with system.resources.database.transaction() as session:
        gone = (await session.execute(removed.where(ScoreChange.kind == ChangeKind.REMOVED))).all()
        [score_of_day] = await day_scores(session, tenant_id, 1)
    assert (report.status, await scored(system), gone) == (RunStatus.PARTIAL, before, [])
    assert score_of_day.day == day
    tenant.scores = [newest | {"controlScores": newest["controlScores"][1:]}, *older]
    await import_from_graph(system.resources)  # The whole answer of the same day says what is really gone.
    assert before - await scored(system) == {newest["controlScores"][0]["controlName"]}


@pytest.mark.fact("microsoft-graph edge-7")
async def test_a_stored_message_holds_no_secret(system: System) -> None:
    system.microsoft.tenant.faults["forbidden"] = 2
    with pytest.raises(CannotImport, match=r"SecurityEvents\.Read\.All"):
        await import_from_graph(system.resources)
    [run] = await runs(system)
    assert system.microsoft.settings.client_secret not in json.dumps([str(run.problem), str(run.warnings)])


@pytest.mark.fact("microsoft-graph edge-8")
@pytest.mark.parametrize(("failing", "kept"), [("secureScoreControlProfiles", "scores"), ("secureScores", "profiles")])
async def test_when_one_list_fails_the_other_still_imports(system: System, failing: str, kept: str) -> None:
    system.microsoft.fault("forbidden", what=failing, times=5)
    report = await import_from_graph(system.resources)
    assert report.status is RunStatus.PARTIAL
    assert (report.snapshots_new, report.profiles_new) == ((90, 0) if kept == "scores" else (0, 146))


@pytest.mark.fact("microsoft-graph edge-10")
@pytest.mark.parametrize("fault", ["web_page", "cut_short", "not_json", "no_value"])
async def test_a_broken_answer_leaves_nothing_half_written(system: System, fault: str) -> None:
    system.microsoft.tenant.faults[fault] = 2
    with pytest.raises(CannotImport):
        await import_from_graph(system.resources)
    assert await titles(system) == {}


@pytest.mark.fact("microsoft-graph edge-19")
async def test_one_day_may_have_two_ids_and_the_later_counts(database: Database) -> None:
    morning = snapshot(id=f"{TENANT}_a", currentScore=1, createdDateTime="2026-11-19T00:00:00Z")
    evening = snapshot(id=f"{TENANT}_b", currentScore=2, createdDateTime="2026-11-19T18:00:00Z")
    await keep(database, snapshots=[evening, morning])
    report = await keep(database, snapshots=[morning, evening])
    assert (report.snapshots_new, report.snapshots_changed) == (0, 0)
    async with database.transaction() as session:
        [day] = await day_scores(session, TENANT, 90)
        card = await score_card(session, TENANT)
    assert day.points == 2
    assert card is not None
    assert card.points == 2


@pytest.mark.fact("microsoft-graph edge-19")
async def test_the_same_id_again_updates_its_row(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A", 1, 10), score("B", 1, 10)])])
    report = await keep(database, snapshots=[snapshot(controls=[score("A", 5, 50)])])
    assert (report.snapshots_new, report.snapshots_changed) == (0, 1)
    async with database.transaction() as session:
        lines = {line.control_id: line for line in await load_lines(session, TENANT)}
    assert lines["A"].points == 5
    assert not lines["B"].scored


@pytest.mark.fact("microsoft-graph edge-13")
async def test_a_day_without_its_list_leaves_the_actions_alone(database: Database) -> None:
    await keep(database, snapshots=[snapshot(days_before(1), [score("A", 5, 50)])])
    report = await keep(database, snapshots=[snapshot(DAY, controlScores=..., currentScore=7)])
    assert any("came without its actions" in str(warning) for warning in report.warnings)
    async with database.transaction() as session:
        [line] = await load_lines(session, TENANT)
        card = await score_card(session, TENANT)
    assert (line.points, line.scored) == (5, True)
    assert card is not None
    assert card.points == 7
