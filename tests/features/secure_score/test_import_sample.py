"""Whole files import whole: a real tenant's answers where they are at hand, and made-up ones as messy in any case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.features.secure_score.actions.action_rows import ActionLine, load_lines
from app.features.secure_score.sync.import_scores import CannotImport, ImportReport, import_from_files
from app.features.secure_score.sync.runs import RunStatus, list_runs
from tests.factories.graph_payloads import REAL, REAL_TENANT, TENANT, write_messy_files
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
    """Where the real answers are not at hand, the made-up ones stand in: the promise is the same."""
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
        "Reading the catalog of controls: None of the 1 entries is a control profile. "
        "Reading the daily scores: None of the 200 entries is a daily score."
    )
    async with system.resources.database.transaction() as session:
        [run] = await list_runs(session, TENANT)
    assert run.status == RunStatus.FAILED
