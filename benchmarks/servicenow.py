"""Ours beside PySNC and pysnow, in one run against one sandbox: requests, failures, wrong results and time.

Each task is done by each client after the other, without and with 50 ms of latency. What a client claims is compared
with what the sandbox really holds. Bounded in records and time; talks to loopback only.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from app.features.tickets.types import MARKERS, TicketKind
from benchmarks import peer
from benchmarks.clients import Client, Outcome, Peer, Product
from benchmarks.ours import our_product
from benchmarks.stand_in import SandboxProcess, running_process
from benchmarks.table import Line, as_markdown
from tests.factories.database import fresh_database, running_test_server

IN_TABLE = 20_000
KNOWN = (200, 1_000, 10_000)
CREATED = (50, 500)
LATENCIES = (0, 50)
WORKERS = 8
# One in this many known tickets changed since the last poll.
ONE_MOVED_IN = 100
TENTH_IS_429 = {"name": "semaphore_full", "every": 10, "times": 100_000, "path": "^/api/now/"}


class Bench:
    """One run: the sandbox, the clients, and the results so far."""

    def __init__(self, sandbox: SandboxProcess, clients: list[Client]) -> None:
        self.sandbox, self.clients = sandbox, clients
        self.lines: list[Line] = []
        self._known: list[dict[str, str]] = []

    def fill(self, count: int) -> None:
        """Fill the table: half of the records are our tickets, and nothing changed for two hours."""
        for marker in (MARKERS[TicketKind.INCIDENT], ""):
            fields = {"correlation_display": marker, "correlation_id": uuid4().hex[:24] + "{n}"}
            made = self.sandbox.control("fill", table="incident", count=count // 2, fields=fields, changed_hours_ago=2)
            if marker:
                truth = self.sandbox.truth()
                self._known = [truth[sys_id] for sys_id in made["sys_ids"]]

    async def refresh(
        self,
        task: str,
        count: int,
        latency: int,
        fault: dict[str, Any] | None = None,
        *,
        by_changes: bool = False,
        asleep: bool = False,
    ) -> None:
        """Read the states of known tickets, one in a hundred of which changed since the last poll."""
        for client in self.clients:
            await client.prepare()
            before = self.sandbox.truth()
            seen = [before[row["sys_id"]] for row in self._known[:count]]
            since = datetime.now(UTC) - timedelta(seconds=1)
            self._move(seen[::ONE_MOVED_IN])
            self._begin(latency, fault, {"api_asleep": asleep})
            if by_changes:
                outcome = await client.changes(seen, since.strftime("%Y-%m-%d %H:%M:%S"))
            else:
                outcome = await client.refresh(seen)
            requests = self.sandbox.requests()
            truth = self.sandbox.truth()
            untrue = sum(truth[sys_id]["state"] != state for sys_id, state in outcome.states.items())
            left_out = max(len(seen) - len(outcome.states) - outcome.admitted, 0)
            self._note(task, latency, client, outcome, requests, untrue + left_out)

    async def create(self, task: str, count: int, latency: int, fault: dict[str, Any] | None = None) -> None:
        """Create `count` records; each must exist exactly once."""
        for client in self.clients:
            await client.prepare()
            self._begin(latency, fault, {})
            outcome = await client.create(count)
            requests = self.sandbox.requests()
            there = [row["correlation_id"] for row in self.sandbox.truth().values()]
            times = [there.count(one) for one in outcome.ids]
            missing = max(times.count(0) - outcome.admitted, 0)
            self._note(task, latency, client, outcome, requests, missing + sum(n > 1 for n in times))

    async def workers(self, task: str, latency: int) -> None:
        """Workers with one stored token that has expired, at an instance that rotates refresh tokens."""
        for client in self.clients:
            stored = self.sandbox.tokens()
            self.sandbox.control("clock", seconds=1801)
            self._begin(latency, None, {"refresh_rotates_token": True, "same_token_while_valid": False})
            outcome = await client.workers(WORKERS, stored)
            wrong = max(WORKERS - outcome.answers - outcome.admitted, 0)
            self._note(task, latency, client, outcome, self.sandbox.requests(), wrong)

    def _move(self, rows: list[dict[str, str]]) -> None:
        for row in rows:
            state = "1" if row["state"] == "2" else "2"
            self.sandbox.control("records", number=row["number"], fields={"state": state})

    def _begin(self, latency: int, fault: dict[str, Any] | None, switches: dict[str, Any]) -> None:
        self.sandbox.new(latency_ms=latency, **switches)
        if fault:
            self.sandbox.control("faults", **fault)

    def _note(self, task: str, latency: int, client: Client, outcome: Outcome, requests: int, wrong: int) -> None:
        self.sandbox.new()
        line = Line(task, latency, client.name, requests, outcome.failures, wrong, outcome.seconds)
        self.lines.append(line)
        print(
            f"{task:40} {latency:3} ms  {client.name:7} {requests:5} requests {line.failures:4} failures "
            f"{wrong:4} wrong {line.seconds:8.2f} s",
            file=sys.stderr,
            flush=True,
        )


async def run(*, quick: bool = False) -> None:
    """Print the table; each line goes to standard error as it is measured. Raises RuntimeError without the other clients."""
    if peer.environment() is None:
        raise RuntimeError("there is no environment for other clients; `make clients` lays it")
    async with _bench() as bench:
        bench.fill(2_000 if quick else IN_TABLE)
        latencies = LATENCIES[:1] if quick else LATENCIES
        for latency in latencies:
            for count in KNOWN[:1] if quick else KNOWN:
                await bench.refresh(f"refresh {count:,} known tickets", count, latency)
        for latency in latencies:
            count = 200 if quick else 10_000
            await bench.refresh(f"ask what changed, {count:,} known", count, latency, by_changes=True)
            await bench.refresh("refresh 1,000, every tenth answer 429", 1_000, latency, TENTH_IS_429)
            await bench.refresh("refresh 200, instance asleep", 200, latency, asleep=True)
        for latency in latencies:
            for count in CREATED[:1] if quick else CREATED:
                await bench.create(f"create {count} tickets", count, latency)
            await bench.create("create 50, every tenth answer 429", 50, latency, TENTH_IS_429)
            await bench.workers(f"{WORKERS} workers, expired token, rotation", latency)
    print(f"\n{as_markdown(bench.lines)}\n")


@asynccontextmanager
async def _bench() -> AsyncIterator[Bench]:
    with (
        TemporaryDirectory() as folder,
        running_test_server(Path(folder) / "postgres") as server,
        fresh_database(server) as database_url,
        running_process() as sandbox,
    ):
        async with our_product(database_url, sandbox) as ours:
            others = [Peer(name, sandbox) for name in peer.PEERS]
            yield Bench(sandbox, [Product(ours, sandbox), *others])
