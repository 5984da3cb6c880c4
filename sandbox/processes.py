"""Start child processes, watch them, and stop them tier by tier. Does not know what they run."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

# Grace period between SIGTERM and SIGKILL. It exceeds the ten seconds the web process gives its open requests.
PATIENCE_SECONDS = 12.0
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ChildEnded(Exception):
    """A child ended unexpectedly or failed; the text names it and quotes the end of its log."""

    def __init__(self, child: ChildProcess) -> None:
        status = child.process.returncode or 0
        how = f"was ended by signal {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        super().__init__(f"{child.name} {how}. The last lines of {child.log}:\n{child.last_lines()}")


@dataclass
class ChildProcess:
    """One child process; tiers are stopped from the highest to the lowest."""

    name: str
    tier: int
    log: Path
    process: asyncio.subprocess.Process

    def last_lines(self, count: int = 15) -> str:
        """Return the last lines of the log, indented."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
        return "\n".join(f"    {line}" for line in lines) or "    (nothing)"

    async def terminate(self) -> None:
        """Send SIGTERM, wait PATIENCE_SECONDS, then send SIGKILL."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            self.kill()
            await self.process.wait()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # Not Process.send_signal: before Python 3.13 it polls first. A child that the poll reaps is then unknown to the event
        # loop, which reports status 255 for it (https://docs.python.org/3.13/library/asyncio-subprocess.html).
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


@dataclass
class Processes:
    """The children of one run, each with its own log file in `logs`."""

    logs: Path
    folder: Path
    environment: Mapping[str, str]
    children: list[ChildProcess] = field(default_factory=list)

    async def start(self, name: str, *arguments: str, tier: int, pipe_stdout: bool = False) -> ChildProcess:
        """Start ``python -m`` with these arguments; with `pipe_stdout` the caller can read its standard output."""
        log, file = self._rotate_log(name)
        with file:
            process = await asyncio.create_subprocess_exec(
                 # -P: modules in the working folder must not shadow ours.
                sys.executable, "-P", "-m", *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE if pipe_stdout else file, stderr=file,
                cwd=self.folder, env=dict(self.environment),
                 # In a session of its own: Ctrl-C reaches only this process, which then stops the children in order.
                start_new_session=True, preexec_fn=_end_with_parent if _libc else None,
            )  # fmt: skip
        child = ChildProcess(name, tier, log, process)
        self.children.append(child)
        return child

    def _rotate_log(self, name: str) -> tuple[Path, BinaryIO]:
        """Return a new log file; the previous run's log is renamed to `.log.old`."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.old"))
        return log, log.open("wb")

    async def first_line(self, child: ChildProcess) -> str:
        """Return the first line the child prints. Raises ChildEnded when it ends without one."""
        if child.process.stdout is None:
            raise ValueError(f"{child.name} was started without pipe_stdout")
        line = (await child.process.stdout.readline()).decode().strip()
        if not line:
            await child.process.wait()
            raise ChildEnded(child)
        return line

    async def run(self, name: str, *arguments: str, tier: int) -> None:
        """Run a process until it ends. Raises ChildEnded on a non-zero status."""
        child = await self.start(name, *arguments, tier=tier)
        await child.process.wait()
        if child.process.returncode:
            raise ChildEnded(child)
        self.children.remove(child)

    async def watch(self, *children: ChildProcess) -> None:
        """Wait until one of these children ends, then raise ChildEnded."""
        waits = [asyncio.create_task(child.process.wait()) for child in children]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        raise ChildEnded(next(child for child in children if child.process.returncode is not None))

    async def stop(self) -> None:
        """Stop all children, highest tier first; children of one tier stop in parallel."""
        for tier in sorted({child.tier for child in self.children}, reverse=True):
            await asyncio.gather(*(child.terminate() for child in self.children if child.tier == tier))
        self.children.clear()

    def kill_upper_tiers(self) -> None:
        """Kill every child above the lowest tier. The database is spared: it holds the data and stops quickly."""
        lowest = min((child.tier for child in self.children), default=0)
        for child in self.children:
            if child.tier > lowest:
                child.kill()


def _end_with_parent() -> None:
    """Have the kernel send SIGTERM to the child when this process dies without stopping it."""
    # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html. The parent may already be gone when
    # prctl is called, which the comparison of the parent IDs detects.
    parent = os.getppid()
    if _libc is not None:
        _libc.prctl(DIE_WITH_PARENT, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
