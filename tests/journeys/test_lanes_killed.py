"""Worker processes that are killed or frozen while their lanes are full: nothing is missing, and nothing is there twice."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from app.features.tickets.types import TicketKind
from tests.factories.chaos import Workers, assembled, running_workers, tickets_by_delivery
from tests.factories.database import fresh_database
from tests.factories.lanes import share_in_bulk
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow
from tests.factories.system import System
from tests.factories.tickets import calls, records
from tests.journeys import fast_worker

pytestmark = pytest.mark.thorough

SHARES = 100
PATIENCE_SECONDS = 90
# Longer than a frozen worker's leases and attempts live.
FROZEN_SECONDS = 3 * fast_worker.ANSWER_SECONDS + 3
# How often each ticket that was noted as sent by a dead process is asked about: a look, and what proves that it is not there.
MOST_LOOKS = 12


async def until_shared(system: System, workers: Workers, count: int) -> None:
    deadline, now = time.monotonic() + PATIENCE_SECONDS, dict[str, int]()
    while time.monotonic() < deadline:
        workers.keep_up()
        now = await tickets_by_delivery(system.resources)
        if now.get("shared", 0) >= count:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"not done: {now}")


def verify(system: System) -> None:
    made = [record["correlation_id"] for record in records(system, "incident")]
    assert len(made) == len(set(made)) == SHARES


@pytest.mark.parametrize("chosen_sys_id", ["kept", "ignored"])
async def test_a_worker_is_killed_with_full_lanes(
    postgres: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow], tmp_path: Path, chosen_sys_id: str
) -> None:
    microsoft, servicenow = sandbox
    servicenow.instance.reset()
    servicenow.instance.switches.chosen_sys_id = chosen_sys_id
    servicenow.instance.switches.latency_ms = 20
    with fresh_database(postgres) as url:
        async with assembled(url, microsoft, servicenow) as (system, environment):
            await system.connect()
            before = len(calls(system))
            with running_workers(environment, tmp_path / "workers.log", 1) as workers:
                await share_in_bulk(system, SHARES, TicketKind.INCIDENT)
                await until_shared(system, workers, SHARES // 3)
                workers.kill(0)
                await until_shared(system, workers, SHARES)
    verify(system)
    # Only what it had noted as sent has to be looked for.
    assert len(calls(system)) - before <= SHARES + MOST_LOOKS * 16


async def test_a_worker_is_frozen_for_longer_than_its_leases_and_goes_on(
    postgres: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow], tmp_path: Path
) -> None:
    microsoft, servicenow = sandbox
    servicenow.instance.reset()
    servicenow.instance.switches.chosen_sys_id = "ignored"
    servicenow.instance.switches.latency_ms = 20
    with fresh_database(postgres) as url:
        async with assembled(url, microsoft, servicenow) as (system, environment):
            await system.connect()
            with running_workers(environment, tmp_path / "workers.log", 1) as workers:
                await share_in_bulk(system, SHARES, TicketKind.INCIDENT)
                await until_shared(system, workers, SHARES // 3)
                frozen = workers.running[0]
                frozen.send_signal(signal.SIGSTOP)
                workers.wanted = 2
                workers.keep_up()
                await asyncio.sleep(FROZEN_SECONDS)
                frozen.send_signal(signal.SIGCONT)
                await until_shared(system, workers, SHARES)
                assert frozen.poll() is None
    verify(system)
