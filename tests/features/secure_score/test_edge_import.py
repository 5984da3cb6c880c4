"""Importing what Graph sends on bad days. Numbers are the fact sheet's edge cases."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.core.database import Database
from app.features.secure_score.actions.action_rows import load_lines
from app.features.secure_score.models import ScoreChange
from app.features.secure_score.reports.score_summary import day_scores, score_card
from app.features.secure_score.sync.import_scores import CannotImport, import_from_files, import_from_graph
from app.features.secure_score.sync.runs import RunLine, RunStatus, list_runs
from app.features.secure_score.sync.score_changes import ChangeKind
from tests.factories.graph_payloads import DAY, TENANT, days_before, keep, keep_days, profile, score, snapshot
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


async def test_edge_01_a_page_that_fails_keeps_the_old_catalogue_and_says_incomplete(system: System) -> None:
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


async def test_edge_04_no_score_yet_is_neither_an_error_nor_zero_per_cent(system: System) -> None:
    system.microsoft.tenant.faults["empty"] = 2
    report = await import_from_graph(system.resources)
    assert report.status is RunStatus.DONE
    async with system.resources.database.transaction() as session:
        assert await score_card(session, system.resources.config.tenant_id) is None
    async with await system.signed_in("viewer") as browser:
        answer = await browser.get("/secure-score")
    assert "No score yet" in answer.text
    assert "0%" not in answer.text


async def test_edge_05_partial_answer_is_stored_as_warning(system: System) -> None:
    system.microsoft.tenant.faults["partial"] = 1
    await import_from_graph(system.resources)
    [run] = await runs(system)
    assert (run.status, run.profiles_read) == (RunStatus.PARTIAL, 146)
    assert [str(warning) for warning in run.warnings] == [
        'Microsoft marked its answer as incomplete (199 - "SecureScore/Provider/503/1000").'
    ]
    async with await system.signed_in("manager") as browser:
        assert "SecureScore/Provider/503/1000" in (await browser.get("/secure-score/imports")).text


async def test_edge_05_the_first_answer_is_kept_with_its_actions_though_it_is_partial(system: System) -> None:
    system.microsoft.tenant.faults["partial"] = 2
    report = await import_from_graph(system.resources)
    assert report.status is RunStatus.PARTIAL
    assert report.actions_scored > 0


async def test_edge_05_what_a_partial_answer_lacks_is_neither_archived_nor_removed(system: System) -> None:
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


async def test_edge_07_a_stored_message_holds_no_secret(system: System) -> None:
    system.microsoft.tenant.faults["forbidden"] = 2
    with pytest.raises(CannotImport, match=r"SecurityEvents\.Read\.All"):
        await import_from_graph(system.resources)
    [run] = await runs(system)
    assert system.microsoft.settings.client_secret not in json.dumps([str(run.problem), str(run.warnings)])


@pytest.mark.parametrize(("failing", "kept"), [("secureScoreControlProfiles", "scores"), ("secureScores", "profiles")])
async def test_edge_08_when_one_list_fails_the_other_still_imports(system: System, failing: str, kept: str) -> None:
    system.microsoft.fault("forbidden", what=failing, times=5)
    report = await import_from_graph(system.resources)
    assert report.status is RunStatus.PARTIAL
    assert (report.snapshots_new, report.profiles_new) == ((90, 0) if kept == "scores" else (0, 146))


@pytest.mark.parametrize("fault", ["web_page", "cut_short", "not_json", "no_value"])
async def test_edge_10_a_broken_answer_leaves_nothing_half_written(system: System, fault: str) -> None:
    system.microsoft.tenant.faults[fault] = 2
    with pytest.raises(CannotImport):
        await import_from_graph(system.resources)
    assert await titles(system) == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"value": [{"id": "a"', "line 1, column 22"),
        (b'{\n  "value": [\n    {"id": },\n', "line 3, column 12"),
        (b"<html></html>", "line 1, column 1"),
        (b"", "line 1, column 1"),
        (b'{"value": "\xff"}', "not readable text"),
        (b'"text"', "does not hold a list"),
        (b"17", "does not hold a list"),
        (b'{"error": {"code": "Forbidden"}}', "does not hold a list"),
        (b'{"value": [1, 2]}', "does not hold a list"),
        (b"[" * 100_000, "not readable"),
    ],
)
async def test_edge_10_a_broken_file_is_told_with_its_place(
    database: Database, tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "scores.json"
    file.write_bytes(content)
    config: Any = type("Config", (), {"shown_tenant_id": TENANT})
    with pytest.raises(CannotImport, match=says):
        await import_from_files(database, config, scores=file, profiles=None)


async def test_edge_10_a_missing_file_is_told(database: Database, tmp_path: Path) -> None:
    config: Any = type("Config", (), {"shown_tenant_id": TENANT})
    with pytest.raises(CannotImport, match=r"nowhere\.json cannot be read: No such file"):
        await import_from_files(database, config, scores=tmp_path / "nowhere.json", profiles=None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
async def test_files_may_hold_one_item_a_bare_list_or_an_answer_in_any_unicode(
    database: Database, tmp_path: Path, encoding: str
) -> None:
    config: Any = type("Config", (), {"shown_tenant_id": TENANT})
    for number, content in enumerate((profile(), [profile()], {"value": [profile()]})):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(content), encoding=encoding)
        report = await import_from_files(database, config, scores=None, profiles=file)
        assert report.profiles_read == 1


async def test_edge_22_another_tenants_data_is_rejected_whole(database: Database) -> None:
    foreign = profile("B", azureTenantId="11111111-2222-3333-4444-555555555555")
    with pytest.raises(CannotImport, match="set SECURE_SCORE_TENANT_ID to 11111111"):
        await keep(database, profiles=[profile("A"), foreign])
    with pytest.raises(CannotImport, match="tenant 11111111"):
        await keep(database, snapshots=[snapshot(azureTenantId="11111111-2222-3333-4444-555555555555")])
    async with database.transaction() as session:
        assert await load_lines(session, TENANT) == []
    await keep(database, profiles=[profile("A", azureTenantId=TENANT.upper()), profile("B", azureTenantId=...)])


async def test_edge_19_one_day_may_have_two_ids_and_the_later_counts(database: Database) -> None:
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


async def test_edge_19_the_same_id_again_updates_its_row(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A", 1, 10), score("B", 1, 10)])])
    report = await keep(database, snapshots=[snapshot(controls=[score("A", 5, 50)])])
    assert (report.snapshots_new, report.snapshots_changed) == (0, 1)
    async with database.transaction() as session:
        lines = {line.control_id: line for line in await load_lines(session, TENANT)}
    assert lines["A"].points == 5
    assert not lines["B"].scored


async def test_edge_13_a_day_without_its_list_leaves_the_actions_alone(database: Database) -> None:
    await keep(database, snapshots=[snapshot(days_before(1), [score("A", 5, 50)])])
    report = await keep(database, snapshots=[snapshot(DAY, controlScores=..., currentScore=7)])
    assert any("came without its actions" in str(warning) for warning in report.warnings)
    async with database.transaction() as session:
        [line] = await load_lines(session, TENANT)
        card = await score_card(session, TENANT)
    assert (line.points, line.scored) == (5, True)
    assert card is not None
    assert card.points == 7


async def test_an_older_file_does_not_turn_the_actions_back(database: Database) -> None:
    await keep(database, snapshots=[snapshot(DAY, [score("A", 9, 90)])])
    await keep(database, snapshots=[snapshot(days_before(5), [score("A", 2, 20), score("Gone", 1, 10)])])
    async with database.transaction() as session:
        lines = {line.control_id: line for line in await load_lines(session, TENANT)}
    assert lines["A"].points == 9
    assert not lines["Gone"].scored


async def test_entries_that_cannot_be_used_are_counted_and_told(database: Database) -> None:
    report = await keep(
        database,
        snapshots=[
            snapshot(controls=[score("A"), score(""), score("A", 5, 50)]),
            snapshot(id="x", createdDateTime="not a date"),
        ],
        profiles=[profile("A"), profile(...), profile("A")],  # type: ignore[arg-type]
    )
    told = " ".join(str(warning) for warning in report.warnings)
    assert "2 entries without an id were left out." in told
    assert "1 daily scores without a readable date were left out." in told
    assert "2 entries came twice (A, for one); the last was kept." in told
