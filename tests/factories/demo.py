"""Runs `python -m sandbox demo` as people do: the whole product as real processes, on free ports, with a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
# Far more than it takes on idle cores: other things may run beside.
START_SECONDS = 180
STOP_SECONDS = 90
GONE_SECONDS = 40
PORTS = ("PORT", "SANDBOX_SERVICENOW_PORT", "SANDBOX_MICROSOFT_PORT")


def free_ports(count: int) -> list[int]:
    """Ports that are free at this moment."""
    with ExitStack() as stack:
        bound = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in bound]


@dataclass
class Demo:
    """A demo that can be started several times with the same data and ports."""

    folder: Path
    ports: dict[str, int] = field(default_factory=lambda: dict(zip(PORTS, free_ports(3), strict=True)))
    output: list[str] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _ready: threading.Event = field(default_factory=threading.Event)
    _reader: threading.Thread | None = None

    def launch(self) -> Demo:
        """Start the process and read what it prints."""
        self.output.clear()
        self._ready.clear()
        environment = {**os.environ, **{name: str(port) for name, port in self.ports.items()}}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "demo"],
            cwd=ROOT, env={**environment, "VAR_DIR": str(self.folder)}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.output.append(line.rstrip("\n"))
                if line.startswith("Ready:"):
                    self._ready.set()
        self._ready.set()

    def ready(self) -> float:
        """Wait until it reports that it is ready; returns the seconds that took."""
        began = time.monotonic()
        assert self._ready.wait(START_SECONDS), self.said
        assert "Ready:" in self.said, self.said
        return time.monotonic() - began

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; returns the exit status."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for the end; returns the exit status."""
        status = self.process.wait(STOP_SECONDS)
        if self._reader:
            self._reader.join(5)
        return status

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "not launched"
        return self._process

    @property
    def said(self) -> str:
        """Everything that this run printed."""
        return "\n".join(self.output)

    @property
    def url(self) -> str:
        """The address of the product."""
        return f"http://127.0.0.1:{self.ports['PORT']}"

    @property
    def servicenow(self) -> str:
        """The address of the ServiceNow sandbox."""
        return f"http://127.0.0.1:{self.ports['SANDBOX_SERVICENOW_PORT']}"

    @property
    def keys(self) -> dict[str, str]:
        """The secrets made at first run, by the names of their variables."""
        found: dict[str, str] = json.loads((self.folder / "keys.json").read_text())
        return found

    def family(self) -> dict[str, psutil.Process]:
        """The processes of this run by role, the PostgreSQL server included."""
        found = {}
        for process in psutil.process_iter(["cmdline"]):
            line = " ".join(process.info["cmdline"] or [])
            if str(self.folder) in line and "bin/postgres" in line:
                found["server"] = process
        for process in psutil.Process(self.process.pid).children():
            words = process.cmdline()
            found[words[-1]] = process
        return found


def all_gone(family: dict[str, psutil.Process]) -> bool:
    """Whether these processes end within GONE_SECONDS."""
    _, alive = psutil.wait_procs(list(family.values()), timeout=GONE_SECONDS)
    return not alive


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    """A demo that is ready; it is stopped afterwards and must end without an error."""
    demo = Demo(folder).launch()
    status = 0
    try:
        demo.ready()
        yield demo
    finally:
        if demo.process.poll() is None:
            status = demo.stop()
    assert status == 0, demo.said
