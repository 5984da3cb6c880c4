"""`make run` when it is stopped or killed: nothing is left running, the next start works, a child that dies is named."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.factories.demo import Demo, all_gone

pytestmark = pytest.mark.thorough

# A second start takes about four seconds on two idle cores; the tests may share them with others.
SECOND_START_SECONDS = 120


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One data folder for all tests of this module: each goes on with what the one before it has started."""
    running = Demo(tmp_path_factory.mktemp("demo") / "var").launch()
    running.ready()
    yield running
    if running.process.poll() is None:
        running.stop()


def test_ctrl_c_stops_everything_and_the_next_start_is_quick(demo: Demo) -> None:
    family, keys = demo.family(), demo.keys
    assert demo.stop(signal.SIGINT) == 0
    assert all_gone(family)
    assert "Traceback" not in demo.said
    seconds = demo.launch().ready()
    print(f"ready again after {seconds:.1f} seconds")
    assert seconds < SECOND_START_SECONDS
    assert demo.keys == keys
    assert "First start" not in demo.said


def test_after_a_sigkill_nothing_is_left_running_and_the_next_start_works(demo: Demo) -> None:
    family = demo.family()
    demo.process.kill()
    demo.process.wait()
    assert all_gone(family), "children outlived the demo"
    demo.launch().ready()


def test_child_that_dies_is_named_and_the_rest_stops(demo: Demo) -> None:
    family = demo.family()
    family["worker"].kill()
    assert demo.ended() == 1
    assert "worker was ended by signal SIGKILL" in demo.said
    assert "worker.log" in demo.said
    assert all_gone(family)
