"""The only source of time, so that tests can set it. Never local time: always aware, always UTC."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What can tell the time and wait."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait so long."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait so long."""
        await asyncio.sleep(seconds)


class SetClock:
    """A clock that stands still until it is moved; sleeping moves it and returns at once. For tests."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        """The moment it is set to."""
        return self._moment

    async def sleep(self, seconds: float) -> None:
        """Move on by so long."""
        self.move(seconds)
        await asyncio.sleep(0)

    def move(self, seconds: float) -> None:
        """Move on by so many seconds."""
        self._moment += timedelta(seconds=seconds)


_clock: Clock = SystemClock()


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _clock.now()


def earliest_day(moment: datetime) -> date:
    """The day that is not over yet somewhere: what is today for a person may be yesterday in UTC, up to twelve hours west."""
    return (moment - timedelta(hours=12)).date()


async def sleep(seconds: float) -> None:
    """Wait so long, by the clock that is set."""
    await _clock.sleep(seconds)


def use(clock: Clock) -> Clock:
    """Set the clock for the whole process and return the one before it."""
    global _clock
    before, _clock = _clock, clock
    return before
