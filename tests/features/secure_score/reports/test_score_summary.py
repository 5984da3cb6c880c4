"""The score in a few numbers."""

from __future__ import annotations

from app.features.secure_score.reports.score_summary import DayScore, card_of, change_since, plotted
from tests.factories.graph_payloads import DAY, days_before


def test_the_card_compares_with_thirty_days_before() -> None:
    days = [DayScore(days_before(ago), 100.0 - ago, 200.0) for ago in (45, 31, 29, 0)]
    assert change_since(days, 30) == 31
    assert change_since(days[2:], 30) is None
    card = card_of(days, regressed=1, synced=None)
    assert card is not None
    assert (card.percent, card.points, len(card.days)) == (50, 100, 46)
    assert card_of([DayScore(DAY, None, 10.0)], regressed=0, synced=None) is None
    assert plotted([]) == ([], [])
