"""Waits that a 429 names, in each of its shapes, and the pauses that follow from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from sqlalchemy import text

from app.core.clock import SetClock
from app.features.connection.models import InstanceThrottle
from app.features.connection.slots import SLOTS, Pool
from app.features.connection.throttle import check_allowed, record_failure, record_success
from app.features.tickets.polling.poll import poll_states
from app.features.tickets.types import TicketKind
from app.integrations.http.errors import Ambiguous, Forbidden, Throttled
from tests.factories.system import System
from tests.factories.tickets import (
    ScriptedServiceNow,
    calls,
    client_over,
    replied,
    share_one,
    told,
)


@pytest.mark.fact("other-connectors bug-58", "servicenow 5", "servicenow trap-30")
@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({}, 0.05, 0.2),
        ({"retry_after": "0"}, 1, 1),
        ({"retry_after": "7"}, 7, 7),
        ({"retry_after": "3600"}, 3600, 3600),
        ({"retry_after": "7200"}, 7200, 7200),
        ({"retry_after": "999999"}, 86_400, 86_400),
        ({"retry_after": "-5"}, 1, 1),
        ({"retry_after": "soon"}, 0.05, 0.2),
        ({"retry_after": "NaN"}, 0.05, 0.2),
        ({"retry_after": format_datetime(datetime(2026, 11, 20, 9, 2, tzinfo=UTC))}, 120, 120),
        ({"retry_after": format_datetime(datetime(2026, 11, 20, 8, 0, tzinfo=UTC))}, 1, 1),
        ({"x_ratelimit_reset": str(int(datetime(2026, 11, 20, 9, 5, tzinfo=UTC).timestamp()))}, 300, 300),
        ({"x_ratelimit_reset": "1"}, 1, 1),
        ({"x_ratelimit_reset": "tomorrow"}, 0.05, 0.2),
    ],
)
async def test_a_429_is_obeyed_in_each_of_its_shapes(
    system: System, still_clock: SetClock, headers: dict[str, str], least: float, most: float
) -> None:
    with pytest.raises(Throttled) as slow:
        await client_over(ScriptedServiceNow(replied(status=429, body="", **headers))).whoami()
    throttle = InstanceThrottle(failures=0)
    record_failure(throttle, slow.value)
    assert throttle.paused_until is not None
    assert least <= (throttle.paused_until - still_clock.now()).total_seconds() <= most


@pytest.mark.fact("other-connectors bug-58")
@pytest.mark.parametrize("headers", [{"retry_after": "0"}, {"retry_after": "-5"}, {"x_ratelimit_reset": "1"}])
async def test_a_named_time_that_does_not_help_is_not_obeyed_to_the_letter(
    still_clock: SetClock, headers: dict[str, str]
) -> None:
    """429 with `Retry-After: 0`, or with a moment that has passed, several times: waits grow as without it."""
    with pytest.raises(Throttled) as slow:
        await client_over(ScriptedServiceNow(replied(status=429, body="", **headers))).whoami()
    throttle, asked, start = InstanceThrottle(failures=0), 0, still_clock.now()
    while still_clock.now() - start < timedelta(hours=1):
        if check_allowed(throttle) is None:
            asked += 1
            record_failure(throttle, slow.value, probe_until=throttle.probe_until)
        still_clock.move(1)
    assert 10 <= asked <= 25


@pytest.mark.fact("other-connectors bug-59")
async def test_after_a_429_nothing_is_asked_until_the_time_has_come(system: System) -> None:
    await system.connect()
    for _ in range(5):
        await share_one(system, TicketKind.INCIDENT)
    system.servicenow.fault("rate_limited", method="POST", retry_after="600")
    await system.work()
    before = len(calls(system))
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"))
    await system.work()
    await poll_states(system.resources)
    # The others that were in flight at that moment; nothing after it.
    assert len(calls(system)) == before <= SLOTS[Pool.SHARED]
    page = await told(system, "/")
    assert "slow down" in page
    assert "We ask again at" in page


@pytest.mark.fact("other-connectors bug-59")
def test_an_answer_that_was_on_its_way_ends_no_pause(still_clock: SetClock) -> None:
    """One of four calls gets a 429; the answers of the other three do not end the pause."""
    throttle = InstanceThrottle(failures=0)
    record_failure(throttle, Throttled(seconds=600))
    until = throttle.paused_until
    record_success(throttle)
    record_failure(throttle, Forbidden())
    record_failure(throttle, Ambiguous())
    record_failure(throttle, Throttled(seconds=5))
    assert throttle.paused_until == until
    still_clock.move(601)
    assert check_allowed(throttle) is None
    record_success(throttle, probe_until=throttle.probe_until)
    assert (throttle.paused_until, throttle.failures) == (None, 0)
