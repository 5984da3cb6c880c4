"""A day on which every action has 0 points is taken for a gap."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.database import Database
from app.features.secure_score.reports.history import Period, days_in, load_history
from app.features.secure_score.reports.score_summary import score_card
from app.features.secure_score.sync.find_gaps import DayTotal, zero_runs
from tests.factories.graph_payloads import DAY, TENANT, days_before, keep, score, snapshot
from tests.factories.secure_score import lines_of


def day(ago: int, points: float, controls: int = 40) -> DayTotal:
    return DayTotal(ago, days_before(ago), points, controls, is_gap=False)


def snapshot_of(ago: int, points: float) -> dict[str, Any]:
    return snapshot(days_before(ago), [score(f"C{number}", points, points * 10) for number in range(40)], maxScore=400)


@pytest.mark.parametrize(
    ("points", "gaps"),
    [
        ([5, 0, 5], [1]),
        ([5, 0, 0, 5], [1, 2]),
        ([5, 0, 0], [1, 2]),
        ([5, 0, 0, 0], []),
        ([0, 0, 5], []),
        ([5, 0, 5, 0, 5], [1, 3]),
    ],
)
def test_a_short_run_of_nothing_after_points_is_a_gap(points: list[float], gaps: list[int]) -> None:
    days = [day(len(points) - place, value) for place, value in enumerate(points)]
    found = [days.index(one) for _, run in zero_runs(days) for one in run]
    assert found == gaps


def test_a_few_actions_can_lose_all_their_points() -> None:
    assert list(zero_runs([day(2, 5, controls=9), day(1, 0, controls=9)])) == []


async def test_a_day_of_zeros_regresses_nothing_and_is_drawn_as_a_gap(database: Database) -> None:
    await keep(database, snapshots=[snapshot_of(2, 5)])
    await keep(database, snapshots=[snapshot_of(1, 0)])
    lines = await lines_of(database)
    assert {(line.points, line.is_regressed) for line in lines.values()} == {(5, False)}
    async with database.transaction() as session:
        card = await score_card(session, TENANT)
    assert card is not None
    assert (card.day, card.points, card.regressed) == (days_before(2), 200, 0)
    assert any("probably a gap" in str(notice) for notice in card.notices)
    await keep(database, snapshots=[snapshot_of(0, 5)])
    period = Period(days_before(5), DAY)
    async with database.transaction() as session:
        assert (await load_history(session, TENANT, period, [], 1)).total == 0
        days, events = await days_in(session, TENANT, period)
    assert [one.percent for one in days] == [50, None, 50]
    assert [(event.day, event.is_gap) for event in events] == [(days_before(1), True)]


async def test_a_third_day_of_zeros_is_what_microsoft_means(database: Database) -> None:
    for ago, points in ((4, 5), (3, 0), (2, 0), (1, 0)):
        await keep(database, snapshots=[snapshot_of(ago, points)])
    lines = await lines_of(database)
    assert {(line.points, line.regressed_on) for line in lines.values()} == {(0, days_before(3))}
