"""When a step's row is believed: a lost worker and a new consent make it worth another check."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from app.core.clock import SetClock
from app.features.provisioning.models import ProvisioningStep
from app.features.provisioning.step_rows import is_due, is_lost


def row(clock: SetClock, state: str, *, seconds_ago: int) -> ProvisioningStep:
    changed_at = clock.now() - timedelta(seconds=seconds_ago)
    return ProvisioningStep(connection_id=UUID(int=1), step="reach", state=state, changed_at=changed_at)


@pytest.mark.parametrize(
    ("state", "seconds_ago", "expected"),
    [("running", 180, False), ("running", 181, True), ("waiting", 999, False), ("problem", 999, False)],
)
def test_a_step_that_runs_for_three_minutes_has_lost_its_worker(
    still_clock: SetClock, state: str, seconds_ago: int, expected: bool
) -> None:
    assert is_lost(row(still_clock, state, seconds_ago=seconds_ago)) is expected


def test_a_step_that_was_not_touched_since_the_consent_waits_for_its_first_check(still_clock: SetClock) -> None:
    connected_at = still_clock.now() - timedelta(seconds=10)
    assert is_due(None, connected_at)
    assert is_due(row(still_clock, "good", seconds_ago=11), connected_at)
    assert not is_due(row(still_clock, "good", seconds_ago=10), connected_at)
    assert not is_due(row(still_clock, "waiting", seconds_ago=1), connected_at)
