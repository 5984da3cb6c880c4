"""Exactly once: shares through two worker processes, under faults, SIGKILL and (at full length) a crash of PostgreSQL.

The short run is part of `make check`, with another seed each time. `make soak` is the full one; docs/reliability.md
keeps its figures.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.features.tickets.sharing import held_tickets
from app.features.tickets.sharing.share import ShareCommand, share_many
from app.features.tickets.types import TicketKind
from sandbox.faults import FAULTS
from tests.factories.chaos import Workers, assembled, running_workers, tickets_by_delivery
from tests.factories.connecting import viewer_of
from tests.factories.database import durable_postgres, fresh_database
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow
from tests.factories.system import PUBLIC_URL, System
from tests.factories.tickets import SENDER, an_ask, records
from tests.journeys.fast_worker import ANSWER_SECONDS, SLOWEST_LANDING_SECONDS

FULL = os.environ.get("SOAK") == "full"
SHARES = int(os.environ.get("SHARES") or 2000)  # Of the full run; fewer where there is less time.
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
# Every kind of fault of docs/facts/servicenow.md#sandbox-42 to docs/facts/servicenow.md#sandbox-49.
NUMBERS = {f"sandbox-{number}" for number in range(42, 50)}
EVERY_KIND = [name for name, kind in FAULTS.items() if kind.number in NUMBERS]
# What the instance does with the sys_id that each create carries: docs/decisions/0009-own-sys-id.md
CHOSEN = pytest.mark.parametrize("chosen_sys_id", ["kept", "ignored"])
KINDS = {TicketKind.INCIDENT: "incident", TicketKind.CHANGE: "change_request"}


@dataclass(frozen=True)
class Length:
    """The length of a run."""

    shares: int
    kills: int
    seconds: float


async def share_in_bulk(system: System, count: int) -> None:
    """Share `count` tickets, alternating between the kinds, in bulk shares of 100."""
    for start in range(0, count, 100):
        commands = [
            ShareCommand(an_ask(list(KINDS)[number % 2], name=f"Task {number}"), [], str(uuid4()), batch_id=uuid4())
            for number in range(start, min(start + 100, count))
        ]
        async with system.resources.database.transaction() as session:
            await share_many(session, system.resources.queue, commands, SENDER, public_url=PUBLIC_URL)


async def until_done(
    system: System, workers: Workers, length: Length, crash: Callable[[], None] | None
) -> Counter[str]:
    """Kill workers while they work and crash the database once, until every ticket is shared.

    Retry is pressed when only held tickets are left, as a person would do."""
    draw, seen = random.Random(SEED), Counter[str]()  # noqa: S311 - repeatable on purpose.
    viewer = await viewer_of(system, await system.signed_in("sharer"))
    kill_at = [length.shares * (number + 1) // (length.kills + 1) for number in range(length.kills)]
    deadline, now = time.monotonic() + length.seconds, dict[str, int]()
    while time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        workers.keep_up()
        try:
            now = await tickets_by_delivery(system.resources)
            if now.get("held") and not now.get("queued"):  # Nothing but a person can take these up.
                async with system.resources.database.transaction() as session:
                    seen["held"] += await held_tickets.retry_all(session, system.resources.queue, viewer=viewer)
        except SQLAlchemyError:
            seen["database away"] += 1
            continue
        shared = now.get("shared", 0)
        while kill_at and shared >= kill_at[0]:
            kill_at.pop(0)
            workers.kill(draw.randrange(2))
        if crash and shared >= length.shares // 2:
            crash()
            crash = None
            seen["database crashes"] += 1
        if not now.get("queued") and not now.get("held") and not kill_at:
            return seen
    pytest.fail(f"not done after {length.seconds} s with seed {SEED}: {now}")


# The jobs that bring tickets: lanes, and jobs of one ticket's own.
DELIVERIES = ["tickets.drain_outbox", "tickets.deliver"]


async def verify(system: System, count: int) -> None:
    """One record per ticket, one ticket per record, and no job left."""
    made = [record for table in KINDS.values() for record in records(system, table)]
    async with system.resources.database.transaction() as session:
        rows = await session.execute(
            text("SELECT correlation_id, sys_id, own_sys_id, sent_plain, number, kind, delivery FROM ticket")
        )
        tickets = {row.correlation_id: row for row in rows}
        query = text("SELECT task_name, status::text FROM procrastinate_jobs WHERE task_name = ANY(:tasks)")
        left = list(await session.execute(query, {"tasks": DELIVERIES}))
    assert Counter(record["correlation_id"] for record in made).most_common(1)[0][1] == 1, f"a twin, with seed {SEED}"
    assert len(made) == len(tickets) == count
    for record in made:
        ticket = tickets[record["correlation_id"]]
        assert (ticket.delivery, ticket.sys_id, ticket.number) == ("shared", record["sys_id"], record["number"])
        assert record["sys_class_name"] == KINDS[TicketKind(ticket.kind)]
        # A create that carried our sys_id made the record under it, where the instance keeps it.
        kept = system.servicenow.instance.switches.chosen_sys_id == "kept"
        assert (ticket.sys_id == ticket.own_sys_id) == kept or (kept and ticket.sent_plain)
    assert left == []


async def run_under_faults(
    system: System, workers: Workers, length: Length, crash: Callable[[], None] | None
) -> dict[str, Any]:
    """One whole run; returns its figures."""
    servicenow = system.servicenow
    await system.connect()
    # Each at any place it can strike: before storing, after it, after the answer's first bytes. A slow answer comes
    # after the client has given up, and a slow create lands before it may be repeated.
    slow = (ANSWER_SECONDS + SLOWEST_LANDING_SECONDS) / 2
    servicenow.fault(
        "any", times=1_000_000, probability=0.2, seed=SEED, place="any", retry_after="1", among=EVERY_KIND, seconds=slow
    )
    started = time.monotonic()
    await share_in_bulk(system, length.shares)
    seen = await until_done(system, workers, length, crash)
    took = time.monotonic() - started
    await settle(system)
    await verify(system, length.shares)
    async with system.resources.database.transaction() as session:
        tries = await session.execute(text("SELECT attempts, count(*) FROM ticket GROUP BY attempts ORDER BY attempts"))
        attempts = {row[0]: row[1] for row in tries}
    return {
        "seed": SEED,
        "chosen_sys_id": servicenow.instance.switches.chosen_sys_id,
        "shares": length.shares,
        "seconds": round(took),
        "workers killed": workers.kills,
        "workers that ended otherwise": workers.restarts - workers.kills,
        "faults": dict(servicenow.instance.orders.struck.most_common()),
        "attempts": attempts,
        **seen,
    }


async def settle(system: System) -> None:
    """The last jobs are taken off the queue a moment after their tickets are shared; killed ones when they are found."""
    for _ in range(300):
        async with system.resources.database.transaction() as session:
            query = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = ANY(:tasks)")
            if not (await session.execute(query, {"tasks": DELIVERIES})).scalar_one():
                return
        await asyncio.sleep(0.1)


@pytest.mark.thorough
@CHOSEN
async def test_every_share_arrives_exactly_once_under_faults_and_sigkill(
    postgres: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow], tmp_path: Path, chosen_sys_id: str
) -> None:
    microsoft, servicenow = sandbox
    servicenow.instance.reset()
    servicenow.instance.switches.chosen_sys_id = chosen_sys_id
    with fresh_database(postgres) as url:
        async with assembled(url, microsoft, servicenow) as (system, environment):
            with running_workers(environment, tmp_path / "workers.log") as workers:
                figures = await run_under_faults(system, workers, Length(shares=24, kills=1, seconds=120), None)
    print(figures)


@pytest.mark.skipif(not FULL, reason="make soak")
@pytest.mark.timeout(4000)
@CHOSEN
async def test_two_thousand_shares_twenty_kills_and_a_crash_of_the_database(
    sandbox: tuple[SandboxMicrosoft, SandboxServiceNow], tmp_path: Path, chosen_sys_id: str
) -> None:
    microsoft, servicenow = sandbox
    servicenow.instance.reset()
    servicenow.instance.switches.chosen_sys_id = chosen_sys_id
    folder = tmp_path / "postgres" / "data"
    with durable_postgres(folder) as server:
        async with assembled(server.url, microsoft, servicenow) as (system, environment):
            with running_workers(environment, tmp_path / "workers.log") as workers:
                figures = await run_under_faults(
                    system, workers, Length(shares=SHARES, kills=SHARES // 100, seconds=3600), server.crash
                )
    for name, value in figures.items():
        print(f"{name}: {value}")
    assert {FAULTS[name].number for name in figures["faults"]} == NUMBERS
    assert set(figures["faults"]) == set(EVERY_KIND)
