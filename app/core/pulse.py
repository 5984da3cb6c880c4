"""Whether the queue's loop in this process still asks for jobs. Held in memory: answers without a database."""

from __future__ import annotations

import time
from collections.abc import Callable

# The loop asks every 5 s when it is idle and after each job; a database that is away makes it start again every 2 s.
SILENT_SECONDS = 60.0
# With every slot taken by a job it does not ask. The longest jobs, a first import among them, take minutes.
BUSY_SECONDS = 1800.0


class Pulse:
    """When jobs were last asked for and last answered. `now` tells seconds that never go back."""

    def __init__(self, slots: int = 4, *, now: Callable[[], float] = time.monotonic) -> None:
        self.slots = slots
        self.running = 0
        self._now = now
        self._asked = self._answered = now()
        self._stopped = False

    def asked(self) -> None:
        """The loop is about to ask the database for a job, or has just started again."""
        self._asked = self._now()

    def answered(self) -> None:
        """The database said which job is next, or that there is none."""
        self._answered = self._now()

    def stopped(self) -> None:
        """The loop has ended for good."""
        self._stopped = True

    @property
    def is_live(self) -> bool:
        """Whether the loop turns. True for the first minute of a process, whatever happens; a database that is away changes
        nothing, since a restart of this process would not bring it back.
        """
        return not self._stopped and self._is_recent(self._asked)

    @property
    def is_fetching(self) -> bool:
        """Whether the loop turns and the database gives it jobs."""
        return self.is_live and self._is_recent(self._answered)

    def _is_recent(self, moment: float) -> bool:
        allowed = BUSY_SECONDS if self.running >= self.slots else SILENT_SECONDS
        return self._now() - moment <= allowed
