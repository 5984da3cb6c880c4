"""Snapshots and profiles become typed rows, odd ones too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.secure_score.sync.json_values import number
from app.features.secure_score.sync.parse_graph import (
    OtherTenant,
    ProfileRow,
    SnapshotRow,
    effective_state,
    profiles_of,
    snapshots_of,
)
from app.features.secure_score.sync.parse_report import ParseReport
from tests.factories.graph_payloads import DAY, TENANT, profile, score, snapshot
from tests.factories.secure_score import state_update

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def read_snapshot(**changes: Any) -> SnapshotRow:
    [row] = snapshots_of([snapshot(**changes)], TENANT, ParseReport())
    return row


def read_profile(**changes: Any) -> ProfileRow:
    [row] = profiles_of([profile(**changes)], TENANT, ParseReport())
    return row


@pytest.mark.fact("microsoft-graph edge-12")
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (3, 3.0), (3.25, 3.25), ("3.25", 3.25), ("0.0", 0.0), (0, 0.0), (" 7 ", 7.0), ("1e2", 100.0), (None, None),
        ("n/a", None), ("", None), ("1_000", None), ("NaN", None), ("Infinity", None), (float("nan"), None),
        (float("inf"), None), (True, None), ([], None), ({}, None), (-1, None), ("-1", None), (10**400, None), ("٣", None),
    ],
)  # fmt: skip
def test_numbers_come_as_anything_and_unknown_is_not_zero(sent: object, read: float | None) -> None:
    assert number(sent) == read
    row = read_snapshot(controls=[score(points=sent, percent=sent)], maxScore=sent)
    assert row.controls is not None
    assert row.controls[0].points == read
    assert row.max_points == read
    assert read_profile(maxScore=sent).max_points == read


@pytest.mark.fact("microsoft-graph edge-13")
def test_counts_are_words_and_total_may_be_missing_or_zero() -> None:
    row = read_snapshot(
        controls=[score("A", count="3", total="17"), score("B", count="1"), score("C", count="0", total="0")]
    )
    assert row.controls is not None
    assert [(entry.counted, entry.counted_of) for entry in row.controls] == [(3, 17), (1, None), (0, 0)]


@pytest.mark.fact("microsoft-graph edge-13")
def test_no_list_is_not_an_empty_list() -> None:
    assert read_snapshot(controlScores=...).controls is None
    assert read_snapshot(controlScores=None).controls is None
    assert read_snapshot(controlScores=[]).controls == []


@pytest.mark.fact("microsoft-graph edge-18")
@pytest.mark.parametrize("sent", [[], None, "none", [None, 3]])
def test_comparisons_may_be_missing(sent: object) -> None:
    assert read_snapshot(averageComparativeScores=sent).comparisons == []


@given(
    st.dictionaries(st.sampled_from(sorted(snapshot())), JSON), st.dictionaries(st.sampled_from(sorted(score())), JSON)
)
def test_no_snapshot_makes_the_reader_fall(changes: dict[str, Any], inner: dict[str, Any]) -> None:
    changes.pop("azureTenantId", None)
    rows = snapshots_of([snapshot() | {"controlScores": [score() | inner]} | changes], TENANT, ParseReport())
    for row in rows:
        assert all(entry.percent is None or 0 <= entry.percent <= 100 for entry in row.controls or ())


@given(st.dictionaries(st.sampled_from(sorted(profile())), JSON))
def test_no_profile_makes_the_reader_fall(changes: dict[str, Any]) -> None:
    changes.pop("azureTenantId", None)
    profiles_of([profile() | changes], TENANT, ParseReport())


@pytest.mark.fact("microsoft-graph edge-42")
@pytest.mark.parametrize(
    ("updates", "state"),
    [
        ([], ""),
        (None, ""),
        ("x", ""),
        ([state_update("Default", None)], ""),
        (
            [state_update("Ignored", "2026-03-01T00:00:00Z"), state_update("ThirdParty", "2026-02-01T00:00:00Z")],
            "Ignored",
        ),
        (
            [state_update("ThirdParty", "2026-02-01T00:00:00Z"), state_update("Ignored", "2026-03-01T00:00:00Z")],
            "Ignored",
        ),
        ([state_update("Ignored", "2026-03-01T00:00:00Z"), state_update("Default", "2026-04-01T00:00:00Z")], ""),
        ([state_update("Ignored", "2026-03-01T00:00:00Z"), state_update("Default", None)], "Ignored"),
        ([state_update("a", "2026-03-01T00:00:00Z"), state_update("b", "2026-03-01T00:00:00Z")], "b"),
        ([state_update("AlternateMitigation", "2026-03-01T00:00:00.1234567Z")], "AlternateMitigation"),
        ([state_update(None, "2026-03-01T00:00:00Z")], ""),
        ([None, 7, state_update("reviewed", None)], "reviewed"),
    ],
)
def test_the_latest_state_counts(updates: object, state: str) -> None:
    assert effective_state(updates)[0] == state


@pytest.mark.fact("microsoft-graph edge-42")
def test_the_state_comes_with_its_time_author_and_comment() -> None:
    update = state_update("Ignored", "2026-03-01T00:00:00Z", updatedBy=" Alex ", comment=" Old printers ")
    assert effective_state([update]) == ("Ignored", datetime(2026, 3, 1, tzinfo=UTC), "Alex", "Old printers")
    assert effective_state([]) == ("", None, "", "")


def test_the_date_of_the_id_stands_in_for_a_missing_one() -> None:
    row = read_snapshot(id=f"{TENANT}_2026-11-18", createdDateTime=None)
    assert (row.day.isoformat(), row.created_at.tzinfo) == ("2026-11-18", UTC)
    assert read_snapshot(id=...).graph_id == f"{TENANT}_{DAY.isoformat()}"


def test_odd_entries_are_counted_and_reported_once_per_kind() -> None:
    report = ParseReport()
    doubled = snapshot(controls=[score("A"), score("A"), score("")])
    assert (
        len(snapshots_of([doubled, doubled, snapshot(id="x", createdDateTime="soon"), profile()], TENANT, report)) == 1
    )
    assert len(profiles_of([profile("A"), profile("A"), profile(""), snapshot()], TENANT, report)) == 1
    assert (report.foreign, report.undated, report.without_id, report.doubled.total()) == (2, 1, 3, 4)
    assert len(report.sentences()) == 4
    assert ParseReport().sentences() == []


@pytest.mark.fact("microsoft-graph edge-22")
@pytest.mark.parametrize("named", [TENANT, TENANT.upper(), f" {TENANT} ", "", None, ...])
def test_the_own_tenant_in_any_case_or_no_tenant_is_accepted(named: object) -> None:
    assert len(profiles_of([profile(azureTenantId=named)], TENANT, ParseReport())) == 1


@pytest.mark.fact("microsoft-graph edge-22")
def test_another_tenant_is_refused() -> None:
    for parse in (profiles_of, snapshots_of):
        with pytest.raises(OtherTenant, match="tenant other"):
            parse([profile(azureTenantId="other")], TENANT, ParseReport())


@pytest.mark.parametrize(
    ("changes", "is_update"),
    [
        ({"title": "Another"}, True),
        ({"maxScore": 9}, True),
        ({"remediation": "Another"}, True),
        ({"rank": 99}, False),
        ({"controlStateUpdates": [{"state": "Ignored"}]}, False),
        ({"vendorInformation": None}, False),
    ],
)
def test_an_update_is_what_microsoft_wrote_and_not_rank_or_state(changes: dict[str, Any], is_update: bool) -> None:
    assert (read_profile(**changes).content_hash != read_profile().content_hash) is is_update


@pytest.mark.fact("microsoft-graph edge-16")
def test_the_points_of_the_controls_are_summed_as_far_as_known() -> None:
    assert read_snapshot(controls=[score("A", 3), score("B", "n/a"), score("C", 0.1)]).control_points == 3.1
    assert read_snapshot(controlScores=...).control_points is None


@pytest.mark.fact("microsoft-graph 1.2")
@pytest.mark.parametrize("total", ["289,0", None, "n/a", 1e300, -1])
def test_a_day_without_a_readable_total_is_a_warning(total: object) -> None:
    report = ParseReport()
    [row] = snapshots_of([snapshot(currentScore=total)], TENANT, report)
    assert row.points is None
    said = [str(sentence) for sentence in report.sentences()]
    assert "The score of 19 Nov 2026 came without a readable total, so pages show an older one." in said
    if total is not None:
        assert (
            f"1 values of currentScore are no number that can be points (“{total}”, for one) and count as unknown."
            in said
        )


@pytest.mark.fact("microsoft-graph edge-12")
def test_huge_points_of_an_action_are_unknown_and_reported() -> None:
    report = ParseReport()
    averages = [{"basis": "AllTenants", "averageScore": average} for average in (1e12, "-1", 41.3)]
    day = snapshot(controls=[score("A", 1e300, 1e300), score("B", None, ...)], averageComparativeScores=averages)
    [row] = snapshots_of([day], TENANT, report)
    assert [line.percent for line in row.comparisons] == [None, None, 41.3]
    assert [(entry.points, entry.percent) for entry in row.controls or []] == [(None, None), (None, None)]
    assert {member: len(values) for member, values in report.unreadable.items()} == {
        "averageScore": 1, "score": 1, "scoreInPercentage": 1,
    }  # fmt: skip


@pytest.mark.fact("microsoft-graph edge-18")
def test_an_average_in_points_is_not_shown_as_a_percentage() -> None:
    old = {"basis": "AllTenants", "averageScore": 37, "deviceScore": "12.5", "appsScore": "4.2"}
    new = {"basis": "AllTenants", "averageScore": 37, "deviceScore": 12.5, "deviceScoreMax": 40}
    [row] = snapshots_of([snapshot(averageComparativeScores=[old, new])], TENANT, ParseReport())
    assert [line.percent for line in row.comparisons] == [None, 37]
