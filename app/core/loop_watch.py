"""Notices from a thread of its own that the event loop is held, and says by which line of code. Stops and interrupts nothing."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from app.core.logging import get_logger

log = get_logger(__name__)

# As long as this nothing else of the process moves: no page, no health check, no time limit of another call. A page that takes
# a tenth of it is slow; a load balancer gives up after some times as much.
HELD_SECONDS = 2.0
# How often the loop is asked whether it moves.
PAUSE_SECONDS = 0.5
# A process that was stopped as a whole, such as by a debugger or a laptop's lid, answers at once when it goes on.
GRACE_SECONDS = 0.2
Report = Callable[[float], None]


@contextmanager
def watched_loop(
    process: str,
    *,
    held_seconds: float = HELD_SECONDS,
    pause_seconds: float = PAUSE_SECONDS,
    report: Report | None = None,
) -> Iterator[None]:
    """Watch the running loop for as long as the block lasts. `report` gets the seconds of each hold, in the watching thread."""
    watch = _Watch(process, asyncio.get_running_loop(), held_seconds, pause_seconds, report or (lambda _seconds: None))
    thread = threading.Thread(target=watch.run, name="loop watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watch.ended.set()
        thread.join(held_seconds)


class _Watch:
    def __init__(
        self,
        process: str,
        loop: asyncio.AbstractEventLoop,
        held_seconds: float,
        pause_seconds: float,
        report: Report,
    ) -> None:
        self.ended = threading.Event()
        self._process = process
        self._loop = loop
        self._thread = threading.get_ident()
        self._held_seconds = held_seconds
        self._pause_seconds = pause_seconds
        self._report = report

    def run(self) -> None:
        while not self.ended.wait(self._pause_seconds):
            moved, began = threading.Event(), time.monotonic()
            try:
                self._loop.call_soon_threadsafe(moved.set)
            except RuntimeError:  # The loop is closed.
                return
            if moved.wait(self._held_seconds) or moved.wait(GRACE_SECONDS):
                continue
            # At once, since a loop may be held for ever; how long it was is known only afterwards.
            innermost, ours = places(sys._current_frames().get(self._thread))
            log.error("loop.held", process=self._process, seconds=self._held_seconds, at=innermost, by=ours)
            while not moved.wait(self._pause_seconds):
                if self.ended.is_set():
                    return
            self._report(time.monotonic() - began)


def places(frame: FrameType | None) -> tuple[str, str]:
    """`module:line` of the innermost frame, and of the innermost one of the product. Never a value: those may be secret."""
    innermost = ours = ""
    while frame is not None and not ours:
        module = str(frame.f_globals.get("__name__", "?"))
        place = f"{module}:{frame.f_lineno}"
        innermost = innermost or place
        ours = place if module == "app" or module.startswith("app.") else ""
        frame = frame.f_back
    return innermost, ours
