"""What is said of the newest score's age."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from app.features.secure_score.reports.day_scores import DayScore
from app.features.secure_score.reports.freshness import notices

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def said(*days: DayScore) -> list[str]:
    return [str(notice) for notice in notices(days, days[0].day, NOW - timedelta(hours=1), NOW)]


def test_an_unreadable_day_does_not_hide_that_microsoft_stopped() -> None:
    known, unreadable = DayScore(date(2026, 10, 29), 5, 10), DayScore(date(2026, 10, 30), None, 10)
    assert [sentence[:40] for sentence in said(known, unreadable)] == [
        "The score of 30 Oct 2026 came without a ",
        "Microsoft’s newest score is 29 days old.",
    ]


def test_a_fresh_day_that_is_unreadable_is_not_old() -> None:
    [sentence] = said(DayScore(date(2026, 11, 20), 5, 10), DayScore(date(2026, 11, 27), None, 10))
    assert "came without a readable total" in sentence
