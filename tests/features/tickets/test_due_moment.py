"""The moment that stands for a due day: on that day for nearly everyone, and never in the past when it is sent."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import clock
from app.features.tickets.due_moment import MARGIN, due_moment, earliest_due_moment, usual_due_moment

DAY = date(2026, 11, 20)


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


@pytest.mark.fact("servicenow 4.3")
@pytest.mark.parametrize(
    ("now", "moment"),
    [
        ("2026-11-19 09:00:00", "2026-11-20 12:00:00"),
        ("2026-11-20 11:54:59", "2026-11-20 12:00:00"),
        # Noon is about to pass, or has passed.
        ("2026-11-20 11:56:00", "2026-11-20 23:59:59"),
        ("2026-11-20 15:00:00", "2026-11-20 23:59:59"),
        # The day is over in UTC, and still today west of Greenwich.
        ("2026-11-20 23:57:00", "2026-11-21 11:59:59"),
        ("2026-11-21 11:00:00", "2026-11-21 11:59:59"),
    ],
)
def test_the_due_moment_is_noon_or_the_end_of_the_day_where_noon_has_passed(now: str, moment: str) -> None:
    assert due_moment(DAY, at(now)) == at(moment)


def test_a_day_that_is_over_everywhere_has_no_moment() -> None:
    assert due_moment(DAY, at("2026-11-21 12:00:00")) is None


@given(st.integers(0, 72 * 3600))
def test_no_day_that_the_form_accepts_is_due_in_the_past(seconds: int) -> None:
    now = at("2026-11-19 00:00:00") + timedelta(seconds=seconds)
    day = clock.earliest_day(now)
    for later in range(3):
        moment = due_moment(day + timedelta(days=later), now) or earliest_due_moment(now)
        assert now + MARGIN <= moment <= usual_due_moment(day + timedelta(days=later)) + timedelta(days=2)
