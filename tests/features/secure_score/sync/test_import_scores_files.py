"""Importing from files: a real tenant's answers where they are at hand, and made-up ones as messy in any case."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.database import Database
from app.features.secure_score.actions.action_rows import ActionLine, load_lines
from app.features.secure_score.sync.import_scores import ImportReport, import_from_files
from app.features.secure_score.sync.read_file import CannotImport
from app.features.secure_score.sync.runs import RunStatus, list_runs
from tests.factories.graph_payloads import (
    DAY,
    REAL,
    REAL_TENANT,
    TENANT,
    days_before,
    keep,
    profile,
    score,
    snapshot,
    write_messy_files,
)
from tests.factories.system import System

Files = tuple[Path, Path]


async def import_as(system: System, tenant_id: str, files: Files) -> tuple[ImportReport, list[ActionLine]]:
    config = replace(system.resources.config, shown_tenant_id=tenant_id)
    scores, profiles = files
    report = await import_from_files(system.resources.database, config, scores=scores, profiles=profiles)
    async with system.resources.database.transaction() as session:
        return report, await load_lines(session, tenant_id)


async def test_messy_files_import_whole_and_the_one_warning_is_true(system: System, tmp_path: Path) -> None:
    report, lines = await import_as(system, TENANT, write_messy_files(tmp_path))
    assert (report.snapshots_new, report.profiles_new, report.actions_scored) == (1, 200, 44)
    assert report.without_profile == sum(line.scored and not line.has_profile for line in lines) == 4
    assert report.status is RunStatus.DONE
    assert [str(warning) for warning in report.warnings] == [
        "profiles.json ends with a link to a next page, so the list may go on elsewhere."
    ]


async def test_a_real_tenants_answers_import_whole_and_the_one_warning_is_true(system: System, tmp_path: Path) -> None:
    """Without a real tenant's answers, generated ones are used: the assertions are the same."""
    real = (REAL / "heimdall2-secureScore.json", REAL / "heimdall2-profiles.json")
    is_real = all(file.exists() for file in real)
    files, tenant_id = (real, REAL_TENANT) if is_real else (write_messy_files(tmp_path), TENANT)
    report, lines = await import_as(system, tenant_id, files)
    assert report.status is RunStatus.DONE
    assert [str(warning) for warning in report.warnings] == [
        f"{files[1].name} ends with a link to a next page, so the list may go on elsewhere."
    ]
    assert report.profiles_read == 200
    assert sum(line.has_profile for line in lines) == 200
    if is_real:
        assert (report.actions_scored, report.without_profile, len(lines)) == (68, 27, 227)
        assert sum(line.points or 0 for line in lines) == 128


async def test_importing_again_changes_nothing(system: System, tmp_path: Path) -> None:
    files = write_messy_files(tmp_path)
    _, before = await import_as(system, TENANT, files)
    report, after = await import_as(system, TENANT, files)
    assert (report.snapshots_new, report.snapshots_changed) == (0, 0)
    assert (report.profiles_new, report.profiles_changed) == (0, 0)
    assert sorted(after, key=lambda line: line.control_id) == sorted(before, key=lambda line: line.control_id)


async def test_the_report_reads_well(system: System, tmp_path: Path) -> None:
    report, _ = await import_as(system, TENANT, write_messy_files(tmp_path))
    assert str(report).splitlines() == [
        "Imported from files.",
        "  Daily scores: 1 read, 1 new, 0 changed.",
        "  Control profiles: 200 read, 200 new, 0 changed.",
        "  Improvement actions with a score: 44, of them without a profile: 4.",
        "  Warning: profiles.json ends with a link to a next page, so the list may go on elsewhere.",
    ]


async def test_files_given_the_wrong_way_round_are_refused(system: System, tmp_path: Path) -> None:
    scores, profiles = write_messy_files(tmp_path)
    with pytest.raises(CannotImport) as refused:
        await import_as(system, TENANT, (profiles, scores))
    assert str(refused.value) == (
        "Reading the catalog of controls: None of the 1 entries is a control profile."
        " These are daily scores: give the file with --scores."
        " Reading the daily scores: None of the 200 entries is a daily score."
        " These are control profiles: give the file with --profiles."
    )
    async with system.resources.database.transaction() as session:
        [run] = await list_runs(session, TENANT)
    assert run.status == RunStatus.FAILED


@pytest.mark.fact("microsoft-graph edge-10")
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
async def test_a_broken_file_is_reported_with_line_and_column(
    database: Database, tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "scores.json"
    file.write_bytes(content)
    config: Any = type("Config", (), {"shown_tenant_id": TENANT})
    with pytest.raises(CannotImport, match=says):
        await import_from_files(database, config, scores=file, profiles=None)


@pytest.mark.fact("microsoft-graph edge-10")
async def test_a_missing_file_is_reported(database: Database, tmp_path: Path) -> None:
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


@pytest.mark.fact("microsoft-graph edge-22")
async def test_another_tenants_data_is_rejected_whole(database: Database) -> None:
    foreign = profile("B", azureTenantId="11111111-2222-3333-4444-555555555555")
    with pytest.raises(CannotImport, match="set SECURE_SCORE_TENANT_ID to 11111111"):
        await keep(database, profiles=[profile("A"), foreign])
    with pytest.raises(CannotImport, match="tenant 11111111"):
        await keep(database, snapshots=[snapshot(azureTenantId="11111111-2222-3333-4444-555555555555")])
    async with database.transaction() as session:
        assert await load_lines(session, TENANT) == []
    await keep(database, profiles=[profile("A", azureTenantId=TENANT.upper()), profile("B", azureTenantId=...)])


async def test_an_older_file_does_not_turn_the_actions_back(database: Database) -> None:
    await keep(database, snapshots=[snapshot(DAY, [score("A", 9, 90)])])
    await keep(database, snapshots=[snapshot(days_before(5), [score("A", 2, 20), score("Gone", 1, 10)])])
    async with database.transaction() as session:
        lines = {line.control_id: line for line in await load_lines(session, TENANT)}
    assert lines["A"].points == 9
    assert not lines["Gone"].scored


async def test_entries_that_cannot_be_used_are_counted_and_reported(database: Database) -> None:
    report = await keep(
        database,
        snapshots=[
            snapshot(controls=[score("A"), score(""), score("A", 5, 50)]),
            snapshot(id="x", createdDateTime="not a date"),
        ],
        profiles=[profile("A"), profile(...), profile("A")],  # type: ignore[arg-type]
    )
    warnings = " ".join(str(warning) for warning in report.warnings)
    assert "2 entries without an id were left out." in warnings
    assert "1 daily scores without a readable date were left out." in warnings
    assert "2 entries came twice (A, for one); the last was kept." in warnings
