"""Files as people save Graph's answers, and tables that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.core.messages import T
from app.features.secure_score.sync.parse_graph import snapshots_of
from app.features.secure_score.sync.parse_report import ParseReport
from app.features.secure_score.sync.read_file import CannotImport, is_flattened, read_file, wrong_kind
from tests.factories.graph_payloads import TENANT, profile, score, snapshot

ENGLISH = (
    "Rank,Recommended action,Score impact,Points achieved,Status,Regressed,Have license?,Category,Product,Last synced"
)
GERMAN = "Rang;Empfohlene Maßnahme;Bewertungsauswirkung;Erzielte Punkte;Status;Kategorie;Produkt"
ROW = "1,Require MFA,+3.24 %,5/9,Completed,No,Yes,Identity,Entra,11/27/2026"
# As `Get-MgSecuritySecureScore | ConvertTo-Json -Depth 10` writes them in PowerShell 5.
POWERSHELL: dict[str, Any] = {
    "Id": f"{TENANT}_2026-11-27",
    "AzureTenantId": TENANT,
    "CreatedDateTime": "/Date(1795737600000)/",
    "CurrentScore": 7.5,
    "MaxScore": 100,
    "ControlScores": [
        {
            "ControlName": "AdminMFAV2",
            "ControlCategory": "Identity",
            "Score": 7.5,
            "AdditionalProperties": {"scoreInPercentage": 75, "count": "3", "total": "4"},
        }
    ],
}


def write(folder: Path, content: str, encoding: str = "utf-8") -> Path:
    file = folder / "saved.txt"
    file.write_text(content, encoding=encoding)
    return file


@pytest.mark.fact("microsoft-graph edge-58")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(
    "content",
    [f"{ENGLISH}\r\n{ROW}\r\n", f"sep=;\n{GERMAN}\n1;MFA für alle;+3,24 %;0/10;;;", GERMAN.replace(";", "\t")],
)
def test_the_portals_export_is_refused_and_the_wanted_file_is_named(
    tmp_path: Path, content: str, encoding: str
) -> None:
    with pytest.raises(CannotImport) as refused:
        read_file(write(tmp_path, content, encoding))
    said = str(refused.value)
    assert said.startswith("saved.txt is a list of recommended actions as CSV.")
    assert "/security/secureScores with --scores" in said


def test_any_other_table_is_refused_as_a_table(tmp_path: Path) -> None:
    with pytest.raises(CannotImport, match="is a table \\(CSV\\), not JSON"):
        read_file(write(tmp_path, "Setting,Value,Result\nA,B,C\n"))


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\n\n  "])
def test_one_object_a_line_is_read(tmp_path: Path, separator: str) -> None:
    days = [snapshot(id="a"), snapshot(id="b")]
    assert read_file(write(tmp_path, separator.join(map(json.dumps, days)) + "\n")).items == days


def test_several_answers_one_after_another_are_read_and_the_last_says_whether_the_list_goes_on(tmp_path: Path) -> None:
    pages = [{"value": [profile("A")], "@odata.nextLink": "https://graph.example"}, {"value": [profile("B")]}]
    found = read_file(write(tmp_path, "".join(map(json.dumps, pages))))
    assert [item["id"] for item in found.items] == ["A", "B"]
    assert not found.goes_on


def test_a_broken_line_is_reported_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(CannotImport, match="line 3, column 1"):
        read_file(write(tmp_path, json.dumps(snapshot()) + '\n{"id": \n'))


def test_objects_of_powershell_are_read_with_the_members_its_types_do_not_declare(tmp_path: Path) -> None:
    [row] = snapshots_of(read_file(write(tmp_path, json.dumps([POWERSHELL]))).items, TENANT, ParseReport())
    assert (row.day.isoformat(), row.points, row.max_points) == ("2026-11-27", 7.5, 100)
    [entry] = row.controls or []
    assert (entry.control_id, entry.points, entry.percent, entry.counted, entry.counted_of) == (
        "AdminMFAV2",
        7.5,
        75,
        3,
        4,
    )


def test_lists_that_powershell_flattened_are_not_taken_for_a_day_without_actions() -> None:
    names = ["Microsoft.Graph.PowerShell.Models.MicrosoftGraphControlScore"]
    report = ParseReport()
    [row] = snapshots_of([snapshot(controlScores=names)], TENANT, report)
    assert row.controls is None
    assert is_flattened(names)
    assert not is_flattened([score()])


@pytest.mark.parametrize(
    "changes",
    [{"createdDateTime": ..., "createdDateTime.value": "2026-11-19T00:00:00Z"}, {"createdDateTime": {"value": "2026-11-19"}}],
)  # fmt: skip
def test_the_betas_name_of_the_date_is_read(changes: dict[str, Any]) -> None:
    [row] = snapshots_of([snapshot(**changes | {"id": "no date here"})], TENANT, ParseReport())
    assert row.day.isoformat() == "2026-11-19"


def test_what_is_of_no_kind_at_all_is_told_what_is_wanted() -> None:
    assert "Import Graph’s JSON" in str(wrong_kind([{"id": "x"}], T("None of the 1 entries fits.")))
