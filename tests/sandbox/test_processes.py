"""Child processes: start, watch, stop by tier; a child that ends unexpectedly is named with the end of its log."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.processes import ChildEnded, Processes

# Prints a line and waits for SIGTERM, then appends its name to a file, which shows the order of shutdown.
CHILD = """
import pathlib, signal, sys, time
def stop(*_):
    with open("order", "a") as file:
        file.write(sys.argv[1] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("hello from", sys.argv[1], flush=True)
while True:
    time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("no", flush=True)
while True:
    time.sleep(60)
"""
FAILING = 'import sys; print("the reason", file=sys.stderr); sys.exit(3)'


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    folder = tmp_path / "modules"
    folder.mkdir()
    for name, code in (("child", CHILD), ("stubborn", STUBBORN), ("failing", FAILING)):
        (folder / f"{name}.py").write_text(code)
    return folder


@pytest.fixture
async def processes(tmp_path: Path, modules: Path) -> AsyncIterator[Processes]:
    running = Processes(tmp_path / "logs", tmp_path, {**os.environ, "PYTHONPATH": str(modules)})
    yield running
    for child in running.children:
        child.kill()
        await child.process.wait()


async def test_children_stop_from_the_highest_tier_down(processes: Processes, tmp_path: Path) -> None:
    for name, tier in (("database", 0), ("product", 2), ("sandbox", 1)):
        child = await processes.start(name, "child", name, tier=tier, pipe_stdout=True)
        assert await processes.first_line(child) == f"hello from {name}"
    await processes.stop()
    assert (tmp_path / "order").read_text().split() == ["product", "sandbox", "database"]
    assert processes.children == []


async def test_a_child_that_dies_is_named_with_the_end_of_its_log(processes: Processes) -> None:
    healthy = await processes.start("healthy", "child", "healthy", tier=0)
    with pytest.raises(ChildEnded, match=r"(?s)worker ended with status 3.*worker\.log.*the reason"):
        await processes.watch(healthy, await processes.start("worker", "failing", tier=1))


async def test_a_killed_child_is_named_with_the_signal(processes: Processes) -> None:
    child = await processes.start("web", "child", "web", tier=0, pipe_stdout=True)
    await processes.first_line(child)
    child.kill()
    with pytest.raises(ChildEnded, match="web was ended by signal SIGKILL"):
        await processes.watch(child)


async def test_a_failing_process_is_an_error(processes: Processes) -> None:
    with pytest.raises(ChildEnded, match="migrate ended with status 3"):
        await processes.run("migrate", "failing", tier=0)


async def test_a_child_that_says_nothing_is_an_error(processes: Processes) -> None:
    child = await processes.start("postgres", "failing", tier=0, pipe_stdout=True)
    with pytest.raises(ChildEnded, match="postgres ended"):
        await processes.first_line(child)


async def test_a_child_that_ignores_sigterm_is_killed(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.processes.PATIENCE_SECONDS", 0.1)
    child = await processes.start("web", "stubborn", tier=1, pipe_stdout=True)
    await processes.first_line(child)
    await processes.stop()
    assert child.process.returncode == -9


async def test_all_but_the_lowest_tier_can_be_killed_at_once(processes: Processes) -> None:
    database = await processes.start("database", "child", "database", tier=0, pipe_stdout=True)
    web = await processes.start("web", "stubborn", tier=1, pipe_stdout=True)
    for child in (database, web):
        await processes.first_line(child)
    stopping = asyncio.create_task(processes.stop())
    await asyncio.sleep(0)
    processes.kill_upper_tiers()
    await stopping
    assert (database.process.returncode, web.process.returncode) == (0, -9)


async def test_terminating_a_child_that_was_just_killed_keeps_its_exit_status(processes: Processes) -> None:
    children = [await processes.start(f"web-{number}", "stubborn", tier=1, pipe_stdout=True) for number in range(5)]
    for child in children:
        await processes.first_line(child)
        child.kill()
        await child.terminate()
    assert [child.process.returncode for child in children] == [-9] * 5


async def test_the_previous_runs_log_is_kept(processes: Processes) -> None:
    for _ in range(2):
        with pytest.raises(ChildEnded):
            await processes.run("migrate", "failing", tier=0)
    assert sorted(file.name for file in processes.logs.iterdir()) == ["migrate.log", "migrate.log.old"]
