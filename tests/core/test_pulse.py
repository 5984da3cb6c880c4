"""The worker's pulse: live while its loop asks for jobs, fetching while the database answers."""

from __future__ import annotations

from app.core.pulse import BUSY_SECONDS, SILENT_SECONDS, Pulse


class Seconds:
    """A clock of seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_asks_is_live_and_one_that_does_not_is_dead_after_a_minute() -> None:
    seconds = Seconds()
    pulse = Pulse(now=seconds)
    seconds.now = SILENT_SECONDS
    assert pulse.is_live  # It may still be starting.
    seconds.now += 1
    assert not pulse.is_live
    pulse.asked()
    assert pulse.is_live


def test_while_the_database_is_away_it_lives_and_fetches_nothing() -> None:
    seconds = Seconds()
    pulse = Pulse(now=seconds)
    seconds.now = SILENT_SECONDS + 1
    pulse.asked()
    assert (pulse.is_live, pulse.is_fetching) == (True, False)
    pulse.answered()
    assert pulse.is_fetching


def test_with_every_slot_taken_it_need_not_ask_for_half_an_hour() -> None:
    seconds = Seconds()
    pulse = Pulse(slots=2, now=seconds)
    seconds.now = SILENT_SECONDS + 1
    pulse.running = 1
    assert not pulse.is_live
    pulse.running = 2
    assert pulse.is_live
    seconds.now = BUSY_SECONDS + 1
    assert not pulse.is_live


def test_a_loop_that_ended_is_dead_at_once() -> None:
    pulse = Pulse()
    pulse.stopped()
    assert not pulse.is_live
    pulse.asked()
    assert not pulse.is_fetching
