"""A held event loop is said once, with the place that holds it; one that waits is none."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable

import structlog

from app.core.loop_watch import places, watched_loop
from app.core.spreadsheet import safe_cell


async def hold_until(released: Callable[[], bool]) -> None:
    """Hold the loop, as a costly computation would, until the watching thread has said so."""
    while not released():
        threading.Event().wait(0.01)  # Blocks this thread, and with it the loop.


async def test_a_held_loop_is_said_once_with_its_place_and_reported_with_its_length() -> None:
    seconds: list[float] = []
    reported = asyncio.Event()
    loop = asyncio.get_running_loop()

    def report(length: float) -> None:
        seconds.append(length)
        loop.call_soon_threadsafe(reported.set)

    with (
        structlog.testing.capture_logs() as lines,
        watched_loop("web", held_seconds=0.05, pause_seconds=0.01, report=report),
    ):
        await hold_until(lambda: bool(lines))
        await reported.wait()
    held = [line for line in lines if line["event"] == "loop.held"]
    assert held[0]["process"] == "web"
    assert held[0]["at"].startswith("threading:")
    assert len(held) == len(seconds)
    assert seconds[0] >= 0.05


async def test_a_loop_that_waits_is_not_held() -> None:
    with structlog.testing.capture_logs() as lines, watched_loop("worker", held_seconds=30, pause_seconds=0.01):
        await asyncio.sleep(0.2)
    assert lines == []


def test_places_are_lines_of_code_without_values() -> None:
    seen: list[tuple[str, str]] = []

    class Looked(str):
        def replace(self, *_wanted: object) -> str:
            seen.append(places(sys._getframe()))
            return ""

    safe_cell(Looked("=secret"))
    [(innermost, ours)] = seen
    assert innermost.startswith("tests.core.test_loop_watch:")
    assert ours.startswith("app.core.spreadsheet:")
    assert places(None) == ("", "")
