"""The load generator: N connections over raw sockets that ask for one page again and again. Knows no product.

`python -m benchmarks.load` reads one order as JSON from its standard input and prints the outcome, so that it shares no
interpreter with the server, nor with who measures. Cheap on purpose: it reads status, length and ETag, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parents[1]
SWEEP_SECONDS = 0.02
RECONNECT_SECONDS = 0.05


@dataclass(frozen=True)
class Order:
    """What to ask: `headers` are sent as they are. It ends after `seconds`, and with `requests` also after so many.

    What arrives in the first `warm_seconds` is not counted. `etag` is sent as If-None-Match and replaced by that of each
    answer. `timeout` is how many seconds a request waits; then its connection is closed and opened again.
    """

    host: str
    port: int
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    connections: int = 1
    seconds: float = 1.0
    requests: int = 0
    timeout: float = 2.0
    warm_seconds: float = 0.0
    etag: str = ""
    expect: tuple[int, ...] = (200,)


@dataclass(frozen=True)
class LoadOutcome:
    """What came. `p50` and `p95` are milliseconds of answers with an expected status, which alone count as `answers`.

    `errors` by what went wrong: another status, a connection that was lost or refused, an answer that is none. `all_answers`
    has those of the warm time, too; `processor_ms` is what the generator itself used for each of them.
    """

    answers: int
    seconds: float
    p50: float
    p95: float
    timeouts: int
    errors: dict[str, int]
    statuses: dict[str, int]
    all_answers: int
    processor_ms: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds if self.seconds else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that this share of all values does not exceed. NaN of nothing."""
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1] if values else math.nan


class _Run:
    """One run: what its connections share."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.etag = order.etag
        self.request = self._compose()
        self.left = order.requests or sys.maxsize
        self.waiting: set[_Connection] = set()
        self.milliseconds: list[float] = []
        self.timeouts = 0
        self.errors: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.all_answers = 0
        self.stopped = asyncio.Event()
        self.counts_from = self.ended = time.perf_counter()
        self._opening: set[asyncio.Task[None]] = set()

    def _compose(self) -> bytes:
        headers = {"Host": f"{self.order.host}:{self.order.port}", **self.order.headers}
        if self.etag:
            headers["If-None-Match"] = self.etag
        lines = [f"GET {self.order.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode()

    def arrived(self, status: int, etag: str, seconds: float, now: float) -> None:
        """Note a whole answer."""
        self.all_answers += 1
        if etag and self.etag and etag != self.etag:
            self.etag = etag
            self.request = self._compose()
        if now >= self.counts_from:
            self.statuses[str(status)] += 1
            if status in self.order.expect:
                self.milliseconds.append(seconds * 1000)
                self.ended = now
            else:
                self.errors[f"status {status}"] += 1

    def failed(self, why: str) -> None:
        """Note a request that got no answer."""
        if not self.stopped.is_set():
            self.errors[why] += 1

    def take(self) -> bool:
        """Whether one more request may leave."""
        if self.left <= 0 or self.stopped.is_set():
            if not self.waiting:
                self.stopped.set()
            return False
        self.left -= 1
        return True

    def open_one(self) -> None:
        """Open a connection, which asks as soon as it is there."""
        if not self.stopped.is_set():
            task = asyncio.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        while not self.stopped.is_set():
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self), self.order.host, self.order.port
                )
            except OSError:
                self.failed("no connection")
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                return

    async def run(self) -> LoadOutcome:
        worked = time.process_time()
        self.counts_from = time.perf_counter() + self.order.warm_seconds
        for _ in range(self.order.connections):
            self.open_one()
        until = self.counts_from + self.order.seconds
        while not self.stopped.is_set() and time.perf_counter() < until:
            now = time.perf_counter()
            for one in [one for one in self.waiting if now - one.since > self.order.timeout]:
                self.timeouts += now >= self.counts_from
                one.give_up()
            if self.left <= 0 and not self.waiting:
                break
            await asyncio.sleep(min(SWEEP_SECONDS, max(until - now, 0)))
        self.stopped.set()
        for one in list(self.waiting):
            one.give_up()
        await asyncio.gather(*self._opening)
        seconds = (self.ended - self.counts_from) if self.order.requests else self.order.seconds
        busy = (time.process_time() - worked) * 1000 / max(self.all_answers, 1)
        p50, p95 = percentile(self.milliseconds, 0.5), percentile(self.milliseconds, 0.95)
        errors, statuses = dict(self.errors), dict(self.statuses)
        return LoadOutcome(
            len(self.milliseconds), seconds, p50, p95, self.timeouts, errors, statuses, self.all_answers, busy
        )


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._given_up = False
        self.since = 0.0
        self._head = b""
        self._missing = -1  # Bytes of the body that are still to come; -1 before its head is complete.
        self._status, self._etag = 0, ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class does not inherit from it.
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        if not self._run.take():
            self._transport.close()
            return
        self._head, self._missing = b"", -1
        self._run.waiting.add(self)
        self.since = time.perf_counter()
        self._transport.write(self._run.request)

    def data_received(self, data: bytes) -> None:
        if self._given_up or self not in self._run.waiting:
            return
        if self._missing < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._read_head(self._head[:end]):
                self._run.failed("not readable")
                self.give_up()
                return
            data = self._head[end + 4 :]
        self._missing -= len(data)
        if self._missing <= 0:
            now = time.perf_counter()
            self._run.waiting.discard(self)
            self._run.arrived(self._status, self._etag, now - self.since, now)
            self._ask()

    def _read_head(self, head: bytes) -> bool:
        """Read status, length and ETag; False for an answer whose end cannot be known."""
        try:
            self._status = int(head[9:12])
            low = head.lower()
            self._etag = _value(head, low, b"\r\netag:").decode()
            length = _value(head, low, b"\r\ncontent-length:")
            self._missing = 0 if self._status in (204, 304) else int(length)
        except ValueError:
            return False
        return True

    def give_up(self) -> None:
        """Close it with its request unanswered, and open another one."""
        assert self._transport is not None
        self._given_up = True
        self._run.waiting.discard(self)
        self._transport.abort()
        self._run.open_one()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature.
        if not self._given_up and self in self._run.waiting:
            self._run.waiting.discard(self)
            self._run.failed("connection lost")
            self._run.open_one()


def _value(head: bytes, low: bytes, name: bytes) -> bytes:
    at = low.find(name)
    if at < 0:
        return b""
    end = head.find(b"\r\n", at + 2)
    return head[at + len(name) : end if end >= 0 else len(head)].strip()


async def drive(order: Order) -> LoadOutcome:
    """Do it in this process."""
    return await _Run(order).run()


def drive_apart(order: Order) -> LoadOutcome:
    """Do it in a process of its own. Raises subprocess.CalledProcessError or TimeoutExpired."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"], cwd=ROOT, input=json.dumps(asdict(order)), text=True, check=True,
        capture_output=True, timeout=order.seconds + order.warm_seconds + 120,
    )  # fmt: skip
    return LoadOutcome(**json.loads(ran.stdout))


def main() -> None:
    """Read the order and print the outcome."""
    from uvloop import new_event_loop  # noqa: PLC0415 - who imports the types needs no event loop.

    read = json.loads(sys.stdin.read())
    order = Order(**read | {"expect": tuple(read["expect"])})
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(drive(order)))))


if __name__ == "__main__":
    main()
