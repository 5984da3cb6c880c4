"""Any JSON at all from Graph becomes bounded rows that can be stored, and no page breaks on a number."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import AppError
from app.features.secure_score.html_text import LONGEST_HTML
from app.features.secure_score.jobs import scheduled_sync
from app.features.secure_score.sync import import_scores
from app.features.secure_score.sync.parse_graph import profiles_of, snapshots_of
from app.features.secure_score.sync.parse_report import ParseReport
from tests.factories.graph_payloads import keep_days
from tests.factories.system import System
from tests.factories.tickets import told

ANY_TEXT = st.text(st.characters(codec=None), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ANY_TEXT
    | st.sampled_from(["1e308", 1e308, "NaN", 10**40]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
MEMBERS = (
    "id", "title", "maxScore", "currentScore", "rank", "tier", "service", "controlCategory", "actionUrl", "threats",
    "remediation", "controlStateUpdates", "createdDateTime", "averageComparativeScores", "controlScores", "controlName",
    "score", "scoreInPercentage", "description", "implementationStatus", "count", "total", "state", "updatedDateTime",
    "basis", "averageScore", "enabledServices", "activeUserCount", "on", "lastSynced", "userImpact",
)  # fmt: skip
OBJECT = st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=8)
ITEM = st.dictionaries(st.sampled_from(MEMBERS), JSON | st.lists(OBJECT, max_size=2), max_size=10).map(
    lambda item: {"id": "A", "currentScore": 1, "createdDateTime": "2026-11-17T00:00:00Z"} | item
)


@settings(max_examples=150)
@given(st.lists(ITEM, max_size=3))
def test_any_items_are_rows_that_can_be_stored(items: list[dict[str, Any]]) -> None:
    report = ParseReport()
    rows: list[Any] = []
    for parse in (profiles_of, snapshots_of):
        try:
            rows += parse(items, "tenant", report)
        except AppError as refusal:
            str(refusal).encode()
    for row in rows:
        assert row.raw.isascii()
        for name, value in asdict(row).items():
            if name != "item" and isinstance(value, str):
                value.encode()
                assert "\0" not in value
            if name in ("points", "max_points") and value is not None:
                assert 0 <= value <= 1_000_000
        for control in getattr(row, "controls", None) or ():
            told = (control.category_raw, control.description, control.implementation_status, control.control_id)
            "".join(told).encode()
            assert all(count is None or 0 <= count <= 2**62 for count in (control.counted, control.counted_of))
            assert control.last_synced_at is None or control.last_synced_at.tzinfo is not None
    for sentence in report.sentences():
        assert len(str(sentence)) < 10_000


def test_megabytes_are_cut_and_lists_end() -> None:
    huge = "x" * 20_000_000
    item = {"id": "A", "title": huge, "service": huge, "actionUrl": f"https://x/{huge}", "threats": ["t"] * 100_000}
    [row] = profiles_of([item | {"remediation": huge, "remediationImpact": huge}], "tenant", ParseReport())
    assert (len(row.title), len(row.service), row.action_url, row.threats) == (500, 255, "", ["T"])
    # No more than is read when it is shown.
    assert len(row.remediation) == len(row.remediation_impact) == LONGEST_HTML == 16_384
    assert profiles_of([{"id": "x" * 300, "title": "t"}], "tenant", ParseReport()) == []
    day = {"id": "t_2026-11-17", "createdDateTime": "2026-11-17T00:00:00Z", "currentScore": 1, "maxScore": 2}
    controls: list[dict[str, object]] = [{"controlName": f"c{number}", "score": 1} for number in range(20_000)]
    controls[0] |= {"description": huge, "implementationStatus": huge}
    [snapshot] = snapshots_of([day | {"controlScores": controls}], "tenant", ParseReport())
    assert snapshot.controls is not None
    assert len(snapshot.controls) == 5_000
    assert len(snapshot.controls[0].description) == len(snapshot.controls[0].implementation_status) == LONGEST_HTML


@pytest.mark.parametrize("number", [1e308, "1e308", 10**40, -1e308])
async def test_no_page_breaks_on_a_number_beyond_meaning(system: System, number: object) -> None:
    keep_days(system.microsoft.tenant, 3)
    profiles = system.microsoft.tenant.profiles
    profiles[0]["maxScore"] = number
    await scheduled_sync.function(system.resources)
    for address in ("/secure-score", "/secure-score/actions", f"/secure-score/actions/{profiles[0]['id']}"):
        assert len(await told(system, address)) < 1_000_000


async def test_a_list_that_no_one_foresaw_is_a_failure_with_a_sentence_and_the_other_list_is_read(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise UnicodeError("surrogates not allowed")

    keep_days(system.microsoft.tenant, 3)
    monkeypatch.setattr(import_scores, "profiles_of", broken)
    report = await import_scores.import_from_graph(system.resources)
    assert report.snapshots_read == 3
    assert "did not foresee" in str(report.problem)
