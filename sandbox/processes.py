"""Starts child processes, watches them, and stops them floor by floor. Knows nothing of what they do."""

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

# A child that does not end when asked is ended; the web process gives requests in hand ten seconds.
PATIENCE_SECONDS = 12.0
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ChildEnded(Exception):
    """A child ended that should not have, or with a failure; the text says which, and shows its last words."""

    def __init__(self, child: ChildProcess) -> None:
        status = child.process.returncode or 0
        how = f"was ended by signal {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        super().__init__(f"{child.name} {how}. The last lines of {child.log}:\n{child.last_lines()}")


@dataclass
class ChildProcess:
    """One process; `floor` says when it is stopped: the highest first."""

    name: str
    floor: int
    log: Path
    process: asyncio.subprocess.Process

    def last_lines(self, count: int = 15) -> str:
        """The end of its log, indented."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
        return "\n".join(f"    {line}" for line in lines) or "    (nothing)"

    async def end(self) -> None:
        """Ask it to stop, wait, and insist if need be."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            self.kill()
            await self.process.wait()

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # Not by the process's own send_signal: before Python 3.13 that polls first, and a child it finds ended is then
        # unknown to the event loop, which reports status 255 for it.
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


@dataclass
class Processes:
    """The children of one run; each writes to a log of its own in `logs`."""

    logs: Path
    folder: Path
    environment: Mapping[str, str]
    children: list[ChildProcess] = field(default_factory=list)

    async def start(self, name: str, *arguments: str, floor: int, answers: bool = False) -> ChildProcess:
        """Start ``python -m`` with these arguments; its standard output is ours to read if it `answers`."""
        log, file = self._fresh_log(name)
        with file:
            process = await asyncio.create_subprocess_exec(
                # -P: what lies in the working folder is no code of ours.
                sys.executable, "-P", "-m", *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE if answers else file, stderr=file,
                cwd=self.folder, env=dict(self.environment),
                # Of its own session, so that Ctrl-C reaches only us and things stop in order.
                start_new_session=True, preexec_fn=_end_with_parent if _libc else None,
            )  # fmt: skip
        child = ChildProcess(name, floor, log, process)
        self.children.append(child)
        return child

    def _fresh_log(self, name: str) -> tuple[Path, BinaryIO]:
        """An empty log; that of the run before is kept beside it."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.old"))
        return log, log.open("wb")

    async def answer(self, child: ChildProcess) -> str:
        """The first line that a child prints. Raises ChildEnded when it ends without one."""
        if child.process.stdout is None:
            raise ValueError(f"{child.name} was not started to answer")
        line = (await child.process.stdout.readline()).decode().strip()
        if not line:
            await child.process.wait()
            raise ChildEnded(child)
        return line

    async def run(self, name: str, *arguments: str, floor: int) -> None:
        """Run a process to its end. Raises ChildEnded when it fails."""
        child = await self.start(name, *arguments, floor=floor)
        await child.process.wait()
        if child.process.returncode:
            raise ChildEnded(child)
        self.children.remove(child)

    async def watch(self, *children: ChildProcess) -> None:
        """Wait until one of these ends, which none should. Raises ChildEnded."""
        waits = [asyncio.create_task(child.process.wait()) for child in children]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        raise ChildEnded(next(child for child in children if child.process.returncode is not None))

    async def stop(self) -> None:
        """Stop all, the highest floor first; what shares a floor stops at the same time."""
        for floor in sorted({child.floor for child in self.children}, reverse=True):
            await asyncio.gather(*(child.end() for child in self.children if child.floor == floor))
        self.children.clear()

    def hurry(self) -> None:
        """Stop waiting for all but the lowest floor, which holds the data and is quick anyway."""
        lowest = min((child.floor for child in self.children), default=0)
        for child in self.children:
            if child.floor > lowest:
                child.kill()


def _end_with_parent() -> None:
    """Linux tells the child to stop when we die without a word, so that nothing is left running."""
    parent = os.getppid()
    if _libc is not None:
        _libc.prctl(DIE_WITH_PARENT, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
