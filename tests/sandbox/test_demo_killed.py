"""`make run` when its processes are killed: nothing is left running, and a child that dies is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.factories.demo import Demo, all_gone

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One data folder for both tests: the second ends what the first started again."""
    running = Demo(tmp_path_factory.mktemp("demo") / "var").launch()
    running.ready()
    yield running
    if running.process.poll() is None:
        running.stop()


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
