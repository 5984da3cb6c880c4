"""Deliveries by a real worker process, beside bare httpx with four calls in flight, by turns against one sandbox.

Tickets are shared in one transaction, as by a bulk share. The worker runs, is connected and has delivered before; time
runs from the commit of the share until no ticket waits. Every record must have arrived exactly once.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import uuid4

import psycopg

from app.bootstrap import TASK_GROUPS
from app.core.database import Database, make_engine
from app.core.jobs import Queue
from app.features.tickets.sharing.share import ShareCommand, share_many
from app.features.tickets.ticket_fields import Requester, TicketRequest, TicketSource
from app.features.tickets.types import TicketKind
from benchmarks.bare_client import post_apart
from benchmarks.figures import number, say_figure, table
from benchmarks.installation import Installation, count, idle, posts, wait_until
from benchmarks.servicenow import TENTH_IS_429

SENDER = Requester(None, str(uuid4()), "Megan Bowen", "megan@contoso.example")
DUE = date(2030, 12, 31)
MANY, QUICK_MANY, FEW = 500, 60, 50
LATENCY_MS = 50
# What is not delivered after this time counts as failed.
PATIENCE_SECONDS = 240.0
WAITING = "SELECT count(*) FROM ticket WHERE delivery = 'queued'"
PAUSED = "SELECT count(*) FROM instance_throttle WHERE paused_until > now()"


@dataclass(frozen=True)
class Delivered:
    """`per_second` counts from the first to the last answer of a create; `failures` are tickets that are not delivered."""

    seconds: float
    per_second: float
    requests: int
    failures: int
    wrong: int = 0


@dataclass
class Lines:
    """What was measured, by task and client; `rows` of the table."""

    found: dict[tuple[str, str], list[Delivered]] = field(default_factory=dict)

    def note(self, task: str, client: str, outcome: Delivered) -> None:
        self.found.setdefault((task, client), []).append(outcome)

    def middle(self, task: str, client: str, what: str) -> float:
        """The median of one value."""
        return float(statistics.median(getattr(one, what) for one in self.found[task, client]))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return [
            (
                task, client, " ".join(number(one.seconds) for one in all_of_it),
                number(self.middle(task, client, "per_second")), number(self.middle(task, client, "requests")),
                str(sum(one.failures for one in all_of_it)), str(sum(one.wrong for one in all_of_it)),
            )
            for (task, client), all_of_it in self.found.items()
        ]  # fmt: skip


async def share(database_url: str, tickets: int) -> None:
    """Share so many incidents in one transaction, as a bulk share does."""
    batch = uuid4()
    commands = [
        ShareCommand(
            TicketRequest(
                TicketKind.INCIDENT, f"Measured {n}", "One of many. " * 40, 2, DUE, TicketSource.USER, "Identity"
            ),
            [], str(uuid4()), batch_id=batch,
        )
        for n in range(tickets)
    ]  # fmt: skip
    database = Database(make_engine(database_url))
    try:
        async with database.transaction() as session:
            await share_many(session, Queue(database_url, TASK_GROUPS), commands, SENDER, public_url="http://127.0.0.1")
    finally:
        await database.close()


def deliver(
    made: Installation,
    rows: psycopg.Connection[Any],
    url: str,
    tickets: int,
    latency: int,
    fault: dict[str, Any] | None = None,
) -> Delivered:
    """Share, and wait until the worker has delivered. It is idle before."""
    idle(url)
    sandbox = made.servicenow
    sandbox.new(latency_ms=latency)
    if fault:
        sandbox.control("faults", **fault)
    newest = rows.execute("SELECT coalesce(max(created_at), 'epoch') FROM ticket").fetchone()
    asyncio.run(share(url, tickets))
    began = time.perf_counter()
    try:
        wait_until(lambda: count(rows, WAITING) == 0, "deliveries", PATIENCE_SECONDS)
    except RuntimeError:
        print(f"{count(rows, WAITING)} tickets were not delivered within {PATIENCE_SECONDS:.0f} s.")
    seconds = time.perf_counter() - began
    made_there = [one for one in posts(sandbox) if one["status"] == 201]
    requests = sandbox.requests()
    sandbox.new()
    ids = rows.execute("SELECT correlation_id, delivery FROM ticket WHERE created_at > %s", newest).fetchall()
    there = Counter(row["correlation_id"] for row in sandbox.truth().values())
    delivered = [one for one, delivery in ids if delivery == "shared"]
    wrong = sum(there[one] != 1 for one in delivered) + sum(there[one] > 1 for one, _ in ids)
    return Delivered(seconds, rate_of(made_there), requests, tickets - len(delivered), wrong)


def rate_of(answers: list[dict[str, Any]]) -> float:
    """Answers per second from the first to the last one, by the moments `at`; 0.0 when those are no two."""
    moments = sorted(datetime.fromisoformat(one["at"]) for one in answers)
    seconds = (moments[-1] - moments[0]).total_seconds() if moments else 0.0
    return (len(moments) - 1) / seconds if seconds else 0.0


def bare(made: Installation, rows: psycopg.Connection[Any], records: int, latency: int) -> Delivered:
    """The same number of records with the same content by the bare client."""
    sandbox = made.servicenow
    token = sandbox.tokens()["access_token"]
    found = rows.execute(
        "SELECT record FROM ticket WHERE kind = 'incident' ORDER BY created_at DESC LIMIT 1"
    ).fetchone()
    assert found is not None
    bodies = [{**found[0], "correlation_id": uuid4().hex} for _ in range(records)]
    sandbox.new(latency_ms=latency)
    outcome = post_apart(f"{sandbox.url}/api/now/v2/table/incident", token, bodies)
    per_second, requests = rate_of(posts(sandbox)), sandbox.requests()
    sandbox.new()
    return Delivered(outcome.seconds, per_second, requests, outcome.failures)


def measure(made: Installation, url: str, *, quick: bool) -> Lines:
    """All tasks, each by turns."""
    lines = Lines()
    many = QUICK_MANY if quick else MANY
    with psycopg.connect(url, autocommit=True) as rows, made.worker(url):
        deliver(made, rows, url, 20, 0)
        for latency, turns in ((0, 1 if quick else 3), (LATENCY_MS, 1 if quick else 2)):
            for _ in range(turns):
                lines.note(f"create {many}, {latency} ms", "one worker", deliver(made, rows, url, many, latency))
                lines.note(f"create {many}, {latency} ms", "bare httpx", bare(made, rows, many, latency))
        few = 20 if quick else FEW
        for latency in (LATENCY_MS,) if quick else (LATENCY_MS, 0):
            for _ in range(1 if quick else 2):
                for task, fault in ((f"create {few}", None), (f"create {few}, every tenth answer 429", TENTH_IS_429)):
                    # A pause that an earlier run has caused would be charged to this one.
                    wait_until(lambda: count(rows, PAUSED) == 0, "the pause ends", PATIENCE_SECONDS)
                    lines.note(f"{task}, {latency} ms", "one worker", deliver(made, rows, url, few, latency, fault))
    return lines


def sizing(lines: Lines) -> str:
    """What one worker process delivers on this machine."""
    found = [
        (
            task,
            f"{lines.middle(task, client, 'per_second'):,.0f}",
            f"{lines.middle(task, client, 'per_second') * 3600:,.0f}",
        )
        for task, client in lines.found
        if client == "one worker" and "429" not in task
    ]
    return table(("one worker process", "tickets/s", "tickets/h"), found)


async def run(made: Installation, *, quick: bool = False) -> None:
    """Print the table, the figures and what one process delivers."""
    with made.copy() as url:
        lines = await asyncio.to_thread(measure, made, url, quick=quick)
    headings = ("task", "client", "seconds of each run", "tickets/s", "requests", "failures", "wrong")
    print(f"{table(headings, lines.rows, words=2)}\n")
    print(f"{sizing(lines)}\n")
    many, few = (QUICK_MANY, 20) if quick else (MANY, FEW)
    with_latency = f"create {many}, {LATENCY_MS} ms"
    of_bare = lines.middle(with_latency, "one worker", "seconds") / lines.middle(with_latency, "bare httpx", "seconds")
    say_figure("create_500_at_50ms_of_bare_client", of_bare)
    say_figure("creates_per_second_at_0ms", lines.middle(f"create {many}, 0 ms", "one worker", "per_second"))
    clean = lines.middle(f"create {few}, {LATENCY_MS} ms", "one worker", "seconds")
    troubled = lines.middle(f"create {few}, every tenth answer 429, {LATENCY_MS} ms", "one worker", "seconds")
    say_figure("create_50_every_tenth_429_of_clean", troubled / clean)
    print()
