"""When a poll is due, and from which age on data needs an explanation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.features.tickets.polling.schedule import (
    POLL_INTERVAL,
    QUIET_AFTER_CHANGE,
    QUIET_AFTER_VIEW,
    QUIET_INTERVAL,
    STATES_STALE_AFTER,
    is_due,
)

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
A_MINUTE_AGO = NOW - POLL_INTERVAL


def due(**changes: datetime | None) -> bool:
    quiet: dict[str, datetime | None] = {
        "tried_at": A_MINUTE_AGO,
        "last_change_at": LONG_AGO,
        "last_shared_at": LONG_AGO,
        "last_viewed_at": LONG_AGO,
    }
    return is_due(NOW, **{**quiet, **changes})


def test_while_all_is_quiet_a_minute_is_too_early() -> None:
    assert not due()
    assert not due(last_change_at=None, last_shared_at=None, last_viewed_at=None)


@pytest.mark.parametrize(
    "changes",
    [
        {"tried_at": None},
        {"tried_at": NOW - QUIET_INTERVAL},
        {"tried_at": NOW - QUIET_INTERVAL + timedelta(seconds=9)},
        {"last_change_at": NOW - QUIET_AFTER_CHANGE + timedelta(seconds=1)},
        {"last_shared_at": NOW - QUIET_AFTER_CHANGE + timedelta(seconds=1)},
        {"last_viewed_at": NOW - QUIET_AFTER_VIEW + timedelta(seconds=1)},
    ],
)
def test_a_change_a_share_a_view_or_a_long_pause_makes_a_poll_due(changes: dict[str, datetime | None]) -> None:
    assert due(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"tried_at": NOW - QUIET_INTERVAL + timedelta(seconds=11)},
        {"last_change_at": NOW - QUIET_AFTER_CHANGE},
        {"last_shared_at": NOW - QUIET_AFTER_CHANGE},
        {"last_viewed_at": NOW - QUIET_AFTER_VIEW},
    ],
)
def test_each_of_them_ends_at_its_limit(changes: dict[str, datetime | None]) -> None:
    assert not due(**changes)


def test_data_that_is_polled_at_the_quiet_interval_is_never_stale() -> None:
    assert STATES_STALE_AFTER >= QUIET_INTERVAL + POLL_INTERVAL
