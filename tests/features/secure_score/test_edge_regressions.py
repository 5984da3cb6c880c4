"""Regressions: which fall is one, and how long its mark stays. Numbers are the fact sheet's edge cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.database import Database
from app.features.secure_score.reports.current_points import regressions
from app.features.secure_score.sync.import_scores import import_from_graph
from app.features.secure_score.sync.score_changes import ChangeKind, Day, Point, changes_of, marks_of
from tests.factories.graph_payloads import DAY, days_before, keep, profile, score, snapshot
from tests.factories.system import System
from tests.features.secure_score.test_edge_joining import lines_of
from tests.features.secure_score.test_edge_state import update

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


def test_edge_47_a_fall_beyond_the_tolerance_is_a_regression() -> None:
    assert kinds(8, 8, 0) == [ChangeKind.REGRESSED]
    assert kinds(8, 7.95) == [ChangeKind.CHANGED]
    assert kinds(5, 8) == [ChangeKind.GAINED]
    assert kinds(8, 8) == []


def test_edge_47_a_changed_maximum_is_no_regression() -> None:
    assert kinds(8, 4, percents=[80, 80]) == [ChangeKind.CHANGED]
    assert kinds(8, 8, percents=[80, 40]) == [ChangeKind.CHANGED]


def test_edge_47_a_fall_after_a_decision_is_no_regression() -> None:
    assert kinds(10, 0, decided=(NOW - timedelta(days=1, hours=5),)) == [ChangeKind.CHANGED]
    assert kinds(10, 0, decided=(NOW - timedelta(days=40),)) == [ChangeKind.REGRESSED]


def test_edge_47_one_snapshot_or_nothing_to_lose_is_no_alert() -> None:
    assert kinds(8) == []
    assert kinds(0, 0) == []
    assert kinds(None, None) == []


def test_edge_47_unknown_points_are_no_fall_and_the_last_known_ones_are_compared() -> None:
    assert kinds(8, None, 8) == []
    assert kinds(8, None, 3) == [ChangeKind.REGRESSED]


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
def test_edge_47_the_mark_stays_until_the_points_are_back(points: tuple[float, ...], mark: float | None) -> None:
    found = marks_of(changes_of(*course(*points), {}))
    assert (found["A"].points if "A" in found else None) == mark


@given(st.lists(st.one_of(st.none(), st.integers(0, 10)), max_size=12))
def test_edge_47_an_action_at_its_best_is_never_marked(points: list[int | None]) -> None:
    days, scores = course(*points, 10)
    assert marks_of(changes_of(days, scores, {})) == {}


async def test_edge_47_the_stand_ins_regression_is_found_and_no_licence_change_is_one(system: System) -> None:
    await import_from_graph(system.resources)
    async with system.resources.database.transaction() as session:
        [found] = await regressions(session, system.resources.config.tenant_id)
    assert (found.control_id, found.points_before, found.points_now) == ("BlockLegacyAuthentication", 8, 0)
    async with await system.signed_in("viewer") as browser:
        assert "New licences: HasAADP2, HasM365E5, HasMDEP2." in (await browser.get("/secure-score/history")).text


async def test_edge_47_day_by_day_finds_what_all_days_at_once_find_though_points_were_unknown(
    database: Database,
) -> None:
    for ago, entry in ((2, score("A", 8, 80)), (1, score("A", None, None)), (0, score("A", 0, 0))):
        await keep(database, snapshots=[snapshot(days_before(ago), [entry])])
    line = (await lines_of(database))["A"]
    assert (line.regressed_on, line.regressed_from) == (DAY, 8)


async def test_edge_47_a_decision_that_is_told_late_takes_the_mark_away(database: Database) -> None:
    await keep(database, snapshots=[snapshot(days_before(1), [score("A", 10, 100)])], profiles=[profile("A")])
    await keep(database, snapshots=[snapshot(DAY, [score("A", 0, 0)])])  # The catalog could not be read.
    assert (await lines_of(database))["A"].is_regressed
    ignored = [update("Ignored", f"{days_before(1)}T10:00:00Z")]
    again = [snapshot(DAY, [score("A", 0, 0)])]
    await keep(database, snapshots=again, profiles=[profile("A", controlStateUpdates=ignored)])
    assert not (await lines_of(database))["A"].is_regressed


async def test_edge_47_a_comment_at_microsoft_is_no_decision(database: Database) -> None:
    noted = [update("Default", f"{days_before(3)}T10:00:00Z", comment="Asked the network team")]
    days = [snapshot(days_before(1), [score("A", 10, 100)]), snapshot(DAY, [score("A", 0, 0)])]
    await keep(database, snapshots=days, profiles=[profile("A", controlStateUpdates=noted)])
    assert (await lines_of(database))["A"].is_regressed


async def test_edge_47_the_same_days_in_any_order_give_the_same_history(database: Database) -> None:
    days = [
        snapshot(days_before(ago), [score("A", points, points * 10)])
        for ago, points in ((4, 9), (3, 2), (2, 9), (1, 1))
    ]
    for day in (days[2], days[0], days[3], days[1]):
        await keep(database, snapshots=[day])
    line = (await lines_of(database))["A"]
    assert (line.regressed_on, line.regressed_from) == (days_before(1), 9)
    await keep(database, snapshots=[snapshot(DAY, [score("A", 9, 90)])])
    assert not (await lines_of(database))["A"].is_regressed


async def test_edge_48_missing_days_are_gaps_in_the_plot(system: System) -> None:
    await import_from_graph(system.resources)
    async with await system.signed_in("viewer") as browser:
        page = (await browser.get("/secure-score")).text
    assert ", null, " in page
