"""The fast worker of the soak on a clock that can be set wrong: `python -m tests.chaos.shifted_worker`.

CLOCK_FILE holds how many seconds the clock is ahead; it is looked at ten times a second at most.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.core import clock
from app.core.clock import SystemClock
from tests.journeys import fast_worker


class ShiftedClock(SystemClock):
    """The system's time, plus what the file says."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._looked_at = 0.0
        self._ahead = timedelta()

    def now(self) -> datetime:
        if time.monotonic() - self._looked_at > 0.1:
            self._looked_at = time.monotonic()
            self._ahead = timedelta(seconds=float(self._file.read_text() or 0)) if self._file.exists() else timedelta()
        return datetime.now(UTC) + self._ahead


if __name__ == "__main__":
    clock.use(ShiftedClock(Path(os.environ["CLOCK_FILE"])))
    fast_worker.main()
