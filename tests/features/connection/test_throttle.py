"""Pauses, backoff and the hourly budget of one instance: pure functions on its row."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.core.clock import SetClock
from app.core.errors import Retry
from app.features.connection.models import InstanceThrottle
from app.features.connection.throttle import (
    BUDGET,
    FAILURES_BEFORE_PAUSE,
    LONGEST_PAUSE_SECONDS,
    LONGEST_WAIT_FOR_PROBE_SECONDS,
    SHORTEST_PAUSE_SECONDS,
    backoff_after,
    check_allowed,
    count_request,
    end_call,
    give_probe_back,
    no_usage,
    pause_message,
    pause_of,
    record_failure,
    record_success,
    usage,
)
from app.integrations.http.errors import Ambiguous, Forbidden, RecordNotFound, RemoteError, ServerError, Throttled
from app.integrations.http.http_types import LONGEST_NAMED_WAIT_SECONDS


@pytest.fixture
def throttle(still_clock: SetClock) -> InstanceThrottle:
    return InstanceThrottle(failures=0, requests=0)


def test_without_a_failure_everything_is_allowed(throttle: InstanceThrottle) -> None:
    assert pause_of(throttle) is None
    assert check_allowed(throttle, requests=BUDGET) is None


@pytest.mark.fact("servicenow sandbox-42")
def test_a_named_time_pauses_at_once_and_is_never_undercut(throttle: InstanceThrottle, still_clock: SetClock) -> None:
    record_failure(throttle, Throttled(seconds=30))
    stop = check_allowed(throttle)
    assert stop is not None
    assert stop.seconds == 30
    assert stop.reason is not None
    still_clock.move(29)
    assert check_allowed(throttle) is not None
    still_clock.move(2)
    assert check_allowed(throttle) is None


def test_pages_show_the_pause_that_calls_obey(throttle: InstanceThrottle, still_clock: SetClock) -> None:
    assert pause_message(None) is None
    assert pause_message(throttle) is None
    record_failure(throttle, Throttled(seconds=30))
    until = still_clock.now() + timedelta(seconds=30)
    assert str(pause_message(throttle)) == f"{Throttled.default} We ask again at {until:%H:%M:%S} UTC."
    still_clock.move(31)
    assert pause_message(throttle) is None


def test_a_pause_that_ends_tomorrow_is_shown_with_its_day(throttle: InstanceThrottle, still_clock: SetClock) -> None:
    record_failure(throttle, Throttled(seconds=LONGEST_NAMED_WAIT_SECONDS))
    tomorrow = still_clock.now() + timedelta(days=1)
    assert str(pause_message(throttle)).endswith(f" We ask again at {tomorrow:%Y-%m-%d %H:%M:%S} UTC.")


def test_lost_answers_pause_from_the_third_in_a_row(throttle: InstanceThrottle) -> None:
    for _ in range(FAILURES_BEFORE_PAUSE - 1):
        record_failure(throttle, Ambiguous())
        assert pause_of(throttle) is None
    record_failure(throttle, Ambiguous())
    stop = pause_of(throttle)
    assert stop is not None
    assert 0 < stop.seconds <= LONGEST_PAUSE_SECONDS * 1.25


def test_a_success_in_between_forgets_the_failures(throttle: InstanceThrottle) -> None:
    for _ in range(FAILURES_BEFORE_PAUSE - 1):
        record_failure(throttle, Ambiguous())
    record_success(throttle)
    record_failure(throttle, Ambiguous())
    assert (throttle.failures, pause_of(throttle)) == (1, None)


@pytest.mark.parametrize("error", [Forbidden(), RecordNotFound()])
def test_a_refusal_of_one_record_counts_as_a_success(throttle: InstanceThrottle, error: RemoteError) -> None:
    throttle.failures = 2
    record_failure(throttle, error)
    assert (throttle.failures, pause_of(throttle)) == (0, None)


def test_after_a_pause_the_first_caller_is_the_probe(throttle: InstanceThrottle, still_clock: SetClock) -> None:
    record_failure(throttle, Throttled(seconds=30))
    still_clock.move(31)
    assert check_allowed(throttle) is None
    stop = check_allowed(throttle)
    assert stop is not None
    assert stop.seconds == LONGEST_WAIT_FOR_PROBE_SECONDS
    assert stop.is_brief, "its outcome wakes those who wait"
    record_success(throttle, probe_until=throttle.probe_until)
    assert (throttle.paused_until, throttle.probe_until) == (None, None)
    assert [check_allowed(throttle) for _ in range(4)] == [None] * 4


def test_a_probe_that_is_given_back_is_the_next_callers(throttle: InstanceThrottle, still_clock: SetClock) -> None:
    record_failure(throttle, Throttled(seconds=30))
    still_clock.move(31)
    assert check_allowed(throttle) is None
    assert throttle.probe_until is not None
    give_probe_back(throttle, throttle.probe_until)
    assert check_allowed(throttle) is None
    assert check_allowed(throttle) is not None


def test_a_probe_that_comes_late_gives_back_no_later_pause(throttle: InstanceThrottle, still_clock: SetClock) -> None:
    record_failure(throttle, Throttled(seconds=30))
    still_clock.move(31)
    assert check_allowed(throttle) is None
    probe_until = throttle.probe_until
    assert probe_until is not None
    record_failure(throttle, Throttled(seconds=300))
    give_probe_back(throttle, probe_until)
    stop = check_allowed(throttle)
    assert stop is not None
    assert stop.seconds == 300


def test_a_call_without_trouble_and_without_an_answer_changes_nothing_but_its_own_probe(
    throttle: InstanceThrottle, still_clock: SetClock
) -> None:
    record_failure(throttle, Throttled(seconds=30))
    still_clock.move(31)
    before = throttle.paused_until
    end_call(throttle, trouble=None, answered=False, hourly_limit=100, probe_until=None)
    assert (throttle.failures, throttle.paused_until, throttle.hourly_limit) == (1, before, None)
    assert check_allowed(throttle) is None
    end_call(throttle, trouble=None, answered=False, hourly_limit=None, probe_until=throttle.probe_until)
    assert (throttle.failures, pause_of(throttle)) == (1, None)
    end_call(throttle, trouble=None, answered=True, hourly_limit=100, probe_until=None)
    assert (throttle.failures, throttle.paused_until, throttle.hourly_limit) == (0, None, 100)


def test_a_call_from_before_a_long_pause_does_not_end_it(throttle: InstanceThrottle) -> None:
    record_failure(throttle, Throttled(seconds=600))
    record_success(throttle)
    record_failure(throttle, Throttled(seconds=5))
    stop = pause_of(throttle)
    assert stop is not None
    assert stop.seconds == 600


def test_the_budget_is_per_clock_hour_and_only_for_those_who_ask(
    throttle: InstanceThrottle, still_clock: SetClock
) -> None:
    count_request(throttle, BUDGET)
    stop = check_allowed(throttle, requests=1)
    assert stop is not None
    assert 0 < stop.seconds <= 3600
    assert check_allowed(throttle) is None
    still_clock.move(3600)
    assert usage(throttle).used == 0
    assert check_allowed(throttle, requests=1) is None


def test_of_a_limit_that_the_instance_names_a_part_is_left_for_sharing(throttle: InstanceThrottle) -> None:
    record_success(throttle, hourly_limit=100)
    assert usage(throttle).budget == 80
    assert check_allowed(throttle, requests=81) is not None


def test_an_instance_that_was_never_called_has_the_whole_budget(still_clock: SetClock) -> None:
    whole = no_usage()
    assert (whole.used, whole.budget) == (0, BUDGET)
    assert timedelta() < whole.renews_at - still_clock.now() <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("named", "failures", "least", "most"),
    [
        (30.0, 1, 30, 30),
        (0.0, 1, SHORTEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS),
        (0.0, 6, 60, 300),
        (None, 9, 225, 300),
    ],
)
def test_waits_grow_where_a_named_time_does_not_help(
    named: float | None, failures: int, least: float, most: float
) -> None:
    error = ServerError(retry=Retry.after(named))
    assert least <= backoff_after(error, failures, longest=LONGEST_PAUSE_SECONDS) <= most
