"""The score in a few numbers."""

from __future__ import annotations

import pytest

from app.features.secure_score.reports.day_scores import DayScore, movement_since, plotted
from app.features.secure_score.reports.score_summary import card_of
from tests.factories.graph_payloads import DAY, days_before


def test_the_card_compares_with_thirty_days_before() -> None:
    days = [DayScore(days_before(ago), 100.0 - ago, 200.0) for ago in (45, 31, 29, 0)]
    moved = movement_since(days, 30)
    assert moved is not None
    assert moved.points == 31
    assert movement_since(days[2:], 30) is None
    card = card_of(days, regressed=1, synced=None)
    assert card is not None
    assert (card.percent, card.points, len(card.days)) == (50, 100, 46)
    assert card_of([DayScore(DAY, None, 10.0)], regressed=0, synced=None) is None
    assert plotted([]) == ([], [])


@pytest.mark.fact("microsoft-graph edge-48")
def test_days_without_a_score_are_gaps_of_the_plot() -> None:
    days = [DayScore(days_before(3), 50.0, 200.0), DayScore(days_before(1), None, 200.0), DayScore(DAY, 60.0, 200.0)]
    labels, values = plotted(days)
    assert labels == [days_before(ago).isoformat() for ago in (3, 2, 1, 0)]
    assert values == [25.0, None, None, 30.0]


@pytest.mark.fact("microsoft-graph edge-14", "microsoft-graph edge-17")
@pytest.mark.parametrize(
    ("points", "max_points", "percent"),
    [(5.0, 10.0, 50.0), (15.0, 10.0, 100.0), (5.0, 0.0, None), (None, 10.0, None), (5.0, None, None)],
)
def test_the_percentage_of_a_day(points: float | None, max_points: float | None, percent: float | None) -> None:
    assert DayScore(DAY, points, max_points).percent == percent
