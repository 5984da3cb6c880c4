"""The only source of time, so that tests can set it. Times are aware and in UTC, never local."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The time of the operating system."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SetClock:
    """A clock that stands still until a test moves it. `sleep` moves it and returns at once."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment

    async def sleep(self, seconds: float) -> None:
        self.move(seconds)
        await asyncio.sleep(0)  # Other tasks run, as they would during a real wait.

    def move(self, seconds: float) -> None:
        self._moment += timedelta(seconds=seconds)


_clock: Clock = SystemClock()


def now() -> datetime:
    return _clock.now()


def seconds_awake_and_asleep() -> float:
    """Seconds that also pass while the process is frozen or the machine sleeps, and that no one sets."""
    # https://man7.org/linux/man-pages/man2/clock_gettime.2.html
    boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def earliest_day(moment: datetime) -> date:
    """The earliest date that is still today somewhere on earth.

    A person west of Greenwich may pick a due date that is already yesterday in UTC.
    """
    # The westernmost time zone is UTC−12: https://www.iana.org/time-zones
    return (moment - timedelta(hours=12)).date()


async def sleep(seconds: float) -> None:
    await _clock.sleep(seconds)


def use(clock: Clock) -> Clock:
    """Set the clock of the whole process and return the previous one."""
    global _clock
    before, _clock = _clock, clock
    return before
