"""Worker processes at an instance that answers every tenth create with 429: no request and no wait more than that costs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from app.features.tickets.types import TicketKind
from sandbox.faults import Fault
from tests.factories.chaos import assembled, running_workers, tickets_by_delivery
from tests.factories.database import fresh_database
from tests.factories.lanes import all_tickets, share_in_bulk
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow
from tests.factories.tickets import calls, records

pytestmark = pytest.mark.thorough

SHARES = 50
PATIENCE_SECONDS = 40


@pytest.mark.parametrize("count", [1, 2])
async def test_fifty_creates_with_every_tenth_answer_429(
    postgres: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow], tmp_path: Path, count: int
) -> None:
    microsoft, servicenow = sandbox
    servicenow.instance.reset()
    with fresh_database(postgres) as url:
        async with assembled(url, microsoft, servicenow) as (system, environment):
            await system.connect()
            servicenow.instance.orders.order(Fault("semaphore_full", 1000, "POST", "/table/", every=10))
            await share_in_bulk(system, SHARES, TicketKind.INCIDENT)
            before = len(calls(system))
            with running_workers(environment, tmp_path / "workers.log", count, module="app worker"):
                deadline = time.monotonic() + PATIENCE_SECONDS
                while (await tickets_by_delivery(system.resources)).get("shared", 0) < SHARES:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.05)
            refused = servicenow.instance.orders.struck["semaphore_full"]
            tickets = await all_tickets(system)
    # With a job of its own, a ticket would wait until the queue is asked again, every five seconds.
    assert {ticket.has_own_job for ticket in tickets} == {False}
    assert refused >= SHARES // 10
    made = calls(system)[before:]
    assert sum(entry.method == "POST" for entry in made) == SHARES + refused
    # What else is asked is polling and the checks of the connection, which look for one that is there.
    looks = [
        entry.query
        for ticket in tickets
        for entry in made
        if ticket.correlation_id in entry.query and ticket.shared_at is not None and entry.at < ticket.shared_at
    ]
    assert looks == []
    assert len(records(system, "incident")) == SHARES
