"""Totals, targets, categories, reviews and comparisons of the overview."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.core.database import Database
from app.features.secure_score.actions.action_status import Status
from app.features.secure_score.reports.day_scores import DayScore
from app.features.secure_score.reports.listed_categories import MOST_CATEGORIES, listed_categories
from app.features.secure_score.reports.overview import (
    MOST_COMPARISONS,
    categories,
    comparison_line,
    differs,
    listed_comparisons,
    newest_day,
    percent_of_max,
    reviews,
    targets,
    top_actions,
)
from app.features.secure_score.sync.parse_graph import SnapshotRow, snapshots_of
from app.features.secure_score.sync.parse_report import ParseReport
from app.features.secure_score.vocabulary import Category
from tests.factories.graph_payloads import TENANT, keep, profile, score, snapshot
from tests.factories.secure_score import action_line, lines_of, shown_status


def read_snapshot(**changes: Any) -> SnapshotRow:
    [row] = snapshots_of([snapshot(**changes)], TENANT, ParseReport())
    return row


def snapshot_day() -> Any:
    return datetime(2026, 11, 19, tzinfo=UTC).date()


LINES = [
    action_line("Open", points=2.0, max_points=10.0),
    action_line("Planned", points=0.0, max_points=5.0, status_shown=shown_status(Status.PLANNED)),
    action_line("Accepted", points=1.0, max_points=4.0, status_shown=shown_status(Status.RISK_ACCEPTED)),
    action_line("Done", points=7.0, max_points=7.0, status_shown=shown_status(Status.COMPLETED)),
    action_line("Stray", points=3.0, max_points=None, has_profile=False),
    action_line(
        "Unscored", points=None, max_points=9.0, scored=False, status_shown=shown_status(Status.NOT_APPLICABLE)
    ),
]


@pytest.mark.fact("microsoft-graph edge-16")
async def test_the_sum_is_kept_beside_the_total(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A", 3, 30), score("B", 4, 40)], currentScore=12)])
    async with database.transaction() as session:
        newest = await newest_day(session, TENANT)
    assert newest.control_points == 7
    assert differs(12, newest.control_points)
    assert not differs(7.004, newest.control_points)


@pytest.mark.fact("microsoft-graph edge-17")
async def test_nothing_is_above_a_hundred_per_cent(database: Database) -> None:
    await keep(
        database,
        snapshots=[snapshot(controls=[score("A", 15, 150), score("B", 5, ...), score("Stray", 50, ...)], maxScore=10)],
        profiles=[profile("A", maxScore=10), profile("B", maxScore=4)],
    )
    lines = await lines_of(database)
    assert (lines["A"].percent, lines["B"].percent) == (100, 100)
    assert lines["A"].score_impact == 0
    [category] = categories(list(lines.values()))
    assert category.percent == 100
    assert (category.unknown, category.unknown_points) == (1, 50)
    assert DayScore(snapshot_day(), 70.0, 10.0).percent == 100


@pytest.mark.fact("microsoft-graph edge-18")
@pytest.mark.parametrize(
    ("entry", "percent", "seats"),
    [
        ({"basis": "AllTenants", "averageScore": 54.65}, 54.65, ""),
        ({"averageScore": "48.9", "SeatSizeRangeUpperValue": "100", "SeatSizeRangeLowerValue": "1", "basis": "TotalSeats"},
         48.9, "1–100"),
        ({"basis": "TotalSeats", "averageScore": 40, "seatSizeRangeLowerValue": "101", "seatSizeRangeUpperValue": 500},
         40.0, "101–500"),
        ({"basis": "TotalSeats", "averageScore": -1}, None, ""),
        ({"basis": "IndustryTypes", "averageScore": "-1", "categoryValue": "x"}, None, ""),
        ({"basis": "AllTenants", "averageScore": 370}, None, ""),  # Points, as in 2019: no percentage.
        ({"basis": "New", "averageScore": None}, None, ""),
        ({}, None, ""),
    ],
)  # fmt: skip
def test_comparisons_in_any_shape(entry: dict[str, Any], percent: float | None, seats: str) -> None:
    [read] = read_snapshot(averageComparativeScores=[entry]).comparisons
    line = comparison_line(
        {"basis": read.basis, "percent": read.percent, "seats_from": read.seats_from, "seats_to": read.seats_to}
    )
    assert (line.percent, line.seats) == (percent, seats)


@pytest.mark.fact("microsoft-graph edge-21")
@pytest.mark.parametrize("users", [0, -5, 10**30, "many", None])
async def test_user_counts_are_never_computed_with(database: Database, users: object) -> None:
    await keep(database, snapshots=[snapshot(activeUserCount=users, licensedUserCount=users)])
    async with database.transaction() as session:
        newest = await newest_day(session, TENANT)
    assert newest.active_users in (0, None)


def test_targets_say_what_could_be_reached() -> None:
    found = {target.name: (target.points, target.percent) for target in targets(LINES, 13, 40)}
    assert found == {"planned": (18, 45), "licence": (29, 72.5), "achievable": (26, 65)}
    assert all(target.percent is None for target in targets(LINES, 13, 0))
    assert all(target.percent == 100 for target in targets(LINES, 39, 40) if target.name != "planned")


def test_categories_sum_what_is_known_and_count_the_rest() -> None:
    [found] = categories(LINES)
    assert (found.name, found.points, found.max_points, found.unknown, found.unknown_points) == ("Apps", 10, 26, 1, 3)


def test_reviews_and_top_actions() -> None:
    found = {str(review.label): review.count for review in reviews(LINES)}
    assert found == {
        "Regressed": 0,
        "To address": 2,
        "Planned": 1,
        "Risk accepted": 1,
        "Recently added": 0,
        "Recently updated": 0,
    }
    assert [one.control_id for one in top_actions(LINES)] == ["Open", "Stray"]


@pytest.mark.fact("microsoft-graph edge-29")
async def test_a_retired_action_is_kept_marked_and_out_of_totals(database: Database) -> None:
    await keep(
        database,
        snapshots=[snapshot(controls=[score("Old", 1, 10), score("New", 1, 10)])],
        profiles=[profile("Old", deprecated="true"), profile("New")],
    )
    lines = list((await lines_of(database)).values())
    assert [line.deprecated for line in sorted(lines, key=lambda line: line.control_id)] == [False, True]
    assert [category.max_points for category in categories(lines)] == [10]
    assert {target.points for target in targets(lines, 2, 100)} == {2, 11}


@pytest.mark.fact("microsoft-graph edge-14", "microsoft-graph edge-17")
@pytest.mark.parametrize(("points", "max_points", "percent"), [(5, 10, 50), (15, 10, 100), (5, 0, None), (0, 10, 0)])
def test_a_percentage_is_at_most_a_hundred_and_unknown_without_a_maximum(
    points: float, max_points: float, percent: float | None
) -> None:
    assert percent_of_max(points, max_points) == percent


def test_categories_are_in_alphabetical_order_and_the_unnamed_one_is_last() -> None:
    lines = [
        action_line("A", category=None, category_raw=""),
        action_line("B", category=None, category_raw="containers"),
        action_line("C"),
    ]
    assert [category.name for category in categories(lines)] == ["Apps", "containers", ""]


def test_of_very_many_categories_the_smallest_are_one_line_that_says_how_many() -> None:
    """Microsoft's own and the unnamed one are never among them, and no action is lost."""
    lines = [
        action_line(f"C{number}", category=None, category_raw=f"Name {number:04}", points=1.0, max_points=number + 1.0)
        for number in range(100)
    ]
    lines += [
        action_line("Apps", max_points=0.5, points=0.5),
        action_line("None", category=None, category_raw="", max_points=0.5, points=0.5),
    ]
    found = categories(lines, ["licence"])
    assert len(found) == MOST_CATEGORIES + 1
    names = [one.name for one in found]
    assert names == ["Apps", *(f"Name {number:04}" for number in range(77, 100)), "", ""]
    assert [one.others for one in found] == [0] * MOST_CATEGORIES + [77]
    assert sum(one.known for one in found) == len(lines)
    assert (found[-1].points, found[-1].max_points) == (77, sum(range(1, 78)))
    assert [len(one.reachable) for one in found] == [1] * len(found)
    few = categories(lines[: MOST_CATEGORIES - 1] + lines[-1:])
    assert (len(few), {one.others for one in few}) == (MOST_CATEGORIES, {0})


def test_a_page_lists_the_known_and_the_chosen_category_before_the_largest() -> None:
    names = [*(f"N{number}" for number in range(50)), *Category]
    listed = listed_categories(names, "N49")
    assert listed == [*(f"N{number}" for number in range(19)), "N49", *Category]
    assert listed_categories(names[:MOST_CATEGORIES]) == names[:MOST_CATEGORIES]


@pytest.mark.fact("microsoft-graph edge-18")
def test_of_very_many_comparisons_those_of_a_known_basis_are_shown() -> None:
    entries = [{"basis": f"B{number}"} for number in range(50)] + [{"basis": "AllTenants"}]
    assert [entry["basis"] for entry in listed_comparisons(entries)] == [
        "AllTenants",
        *(f"B{number}" for number in range(MOST_COMPARISONS - 1)),
    ]
    assert listed_comparisons(entries[-MOST_COMPARISONS:]) == entries[-MOST_COMPARISONS:]


@pytest.mark.fact("microsoft-graph edge-18")
def test_an_unknown_basis_keeps_its_name() -> None:
    line = comparison_line({"basis": "Planet", "percent": 1.0, "seats_from": 1, "seats_to": None})
    assert (str(line.label), line.seats) == ("Planet", "")
    assert str(comparison_line({"basis": "", "percent": None, "seats_from": None, "seats_to": None}).label) == "?"


@pytest.mark.fact("microsoft-graph edge-16")
def test_without_the_points_of_the_actions_no_difference_is_claimed() -> None:
    assert not differs(10, None)
