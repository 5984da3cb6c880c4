"""Which fall is a regression, and how long its mark stays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.secure_score.sync.score_changes import (
    Change,
    ChangeKind,
    Day,
    Point,
    changes_of,
    marks_by_day,
    marks_of,
)
from tests.factories.graph_payloads import days_before

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


def course(
    *points: float | None, percents: list[float | None] | None = None
) -> tuple[list[Day], dict[str, dict[int, Point]]]:
    """Days and one control's points; a percentage is of ten points unless given."""
    days = [
        Day(number, days_before(len(points) - number), NOW - timedelta(days=len(points) - number))
        for number in range(len(points))
    ]
    given_ = percents or [None if value is None else value * 10 for value in points]
    return days, {"A": {number: Point(value, given_[number]) for number, value in enumerate(points)}}


def kinds(
    *points: float | None, percents: list[float | None] | None = None, decided: tuple[datetime, ...] = ()
) -> list[ChangeKind]:
    return [change.kind for change in changes_of(*course(*points, percents=percents), {"A": decided})]


def change(day: int, kind: ChangeKind, before: float | None, after: float | None, control_id: str = "A") -> Change:
    on = date(2026, 11, day)
    return Change(control_id, on, on - timedelta(days=1), kind, before, after, None, None)


@pytest.mark.fact("microsoft-graph edge-47", "microsoft-graph 3.2")
def test_a_fall_beyond_the_tolerance_is_a_regression() -> None:
    assert kinds(8, 8, 0) == [ChangeKind.REGRESSED]
    assert kinds(8, 7.95) == [ChangeKind.CHANGED]
    assert kinds(5, 8) == [ChangeKind.GAINED]
    assert kinds(8, 8) == []


@pytest.mark.fact("microsoft-graph edge-47")
def test_a_changed_maximum_is_no_regression() -> None:
    assert kinds(8, 4, percents=[80, 80]) == [ChangeKind.CHANGED]
    assert kinds(8, 8, percents=[80, 40]) == [ChangeKind.CHANGED]


@pytest.mark.fact("microsoft-graph edge-47")
def test_a_fall_after_a_decision_is_no_regression() -> None:
    assert kinds(10, 0, decided=(NOW - timedelta(days=1, hours=5),)) == [ChangeKind.CHANGED]
    assert kinds(10, 0, decided=(NOW - timedelta(days=40),)) == [ChangeKind.REGRESSED]


@pytest.mark.fact("microsoft-graph edge-47")
def test_one_snapshot_or_nothing_to_lose_is_no_alert() -> None:
    assert kinds(8) == []
    assert kinds(0, 0) == []
    assert kinds(None, None) == []


@pytest.mark.fact("microsoft-graph edge-47")
def test_unknown_points_are_no_fall_and_the_last_known_ones_are_compared() -> None:
    assert kinds(8, None, 8) == []
    assert kinds(8, None, 3) == [ChangeKind.REGRESSED]


@pytest.mark.fact("microsoft-graph edge-47")
@pytest.mark.parametrize(
    ("points", "mark"),
    [
        ((8, 0), 8),
        ((8, 0, 8), None),
        ((8, 0, 4), 8),
        ((10, 8, 5), 10),
        ((10, 8, 5, 8), 10),
        ((10, 8, 5, 9.95), None),
        ((8, 4, 3.95), 8),
        ((0, 8), None),
    ],
)
def test_the_mark_stays_until_the_points_are_back(points: tuple[float, ...], mark: float | None) -> None:
    found = marks_of(changes_of(*course(*points), {}))
    assert (found["A"].points if "A" in found else None) == mark


@pytest.mark.fact("microsoft-graph edge-47")
@given(st.lists(st.one_of(st.none(), st.integers(0, 10)), max_size=12))
def test_an_action_at_its_best_is_never_marked(points: list[int | None]) -> None:
    days, scores = course(*points, 10)
    assert marks_of(changes_of(days, scores, {})) == {}


def test_regressions_by_day() -> None:
    changes = [
        change(2, ChangeKind.REGRESSED, 8, 0),
        change(3, ChangeKind.REGRESSED, 5, 1, "B"),
        change(5, ChangeKind.GAINED, 0, 8),
    ]
    days = [date(2026, 11, number) for number in range(1, 7)]
    assert marks_by_day(changes, days) == [0, 1, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("points", "percent", "maximum"), [(5, 50, 10), (1, 30, 3.33), (0, 0, None), (None, 50, None), (5, None, None)]
)
def test_the_maximum_of_a_day_follows_from_points_and_percentage(
    points: float | None, percent: float | None, maximum: float | None
) -> None:
    assert Point(points, percent).maximum == maximum


@pytest.mark.fact("microsoft-graph edge-28")
def test_a_control_that_comes_or_goes_is_added_or_removed_with_its_points() -> None:
    days, scores = course(8, 8, 3)
    del scores["A"][1]
    found = changes_of(days, scores, {})
    assert [(change.kind, change.before, change.after) for change in found] == [
        (ChangeKind.REMOVED, 8, None),
        (ChangeKind.ADDED, None, 3),
    ]
    assert [(change.since, change.day) for change in found] == [(days[0].day, days[1].day), (days[1].day, days[2].day)]


@pytest.mark.fact("microsoft-graph edge-47")
@pytest.mark.parametrize("kind", [ChangeKind.CHANGED, ChangeKind.REMOVED, ChangeKind.ADDED])
def test_a_mark_goes_when_the_action_is_gone_rescaled_or_decided_about(kind: ChangeKind) -> None:
    assert marks_of([change(2, ChangeKind.REGRESSED, 8, 0), change(3, kind, 4, 0)]) == {}


@pytest.mark.fact("microsoft-graph edge-47")
def test_marks_of_controls_are_independent() -> None:
    changes = [
        change(2, ChangeKind.REGRESSED, 8, 0),
        change(2, ChangeKind.REGRESSED, 5, 1, "B"),
        change(3, ChangeKind.GAINED, 1, 5, "B"),
    ]
    assert set(marks_of(changes)) == {"A"}
