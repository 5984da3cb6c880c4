"""The day that is not over yet everywhere on earth."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from app.core import clock


@pytest.mark.fact("microsoft-graph edge-50")
@pytest.mark.parametrize(("hour", "earliest"), [(0, 24), (11, 24), (12, 25), (23, 25)])
def test_a_day_is_past_once_it_is_over_everywhere(hour: int, earliest: int) -> None:
    assert clock.earliest_day(datetime(2026, 11, 25, hour, tzinfo=UTC)) == date(2026, 11, earliest)
