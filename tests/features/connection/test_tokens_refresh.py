"""One refresh at a time over all processes, and what is kept of its response."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from app.core.clock import SetClock
from app.core.database import Database, make_engine
from app.core.database_connection import ConnectionOptions
from app.core.keyed_locks import KeyedLocks
from app.features.connection.gateway import Lane, call
from app.features.connection.models import Connection
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.schemas import RemoteUser
from tests.factories.connecting import connections, database_url, expire, opened, requests, with_known_key
from tests.factories.system import System
from tests.features.connection.callers import call_patiently, open_resources

ROOT = Path(__file__).resolve().parents[3]

# As a check that a person waits for: no pause of the instance holds it back.
ask = partial(call, lane=Lane.INTERACTIVE)


async def whoami(client: ServiceNowClient) -> RemoteUser | None:
    return await client.whoami()


@pytest.mark.thorough
@pytest.mark.fact("other-connectors bug-1")
async def test_fifty_calls_of_three_processes_with_an_expired_token_and_rotation_ask_once(system: System) -> None:
    key = with_known_key(system)
    await system.connect()
    system.servicenow.instance.switches.refresh_rotates_token = True
    await expire(system)
    system.servicenow.instance.journal.clear()
    shares = (17, 17, 16)
    callers = [
        subprocess.Popen(  # noqa: ASYNC220 - our own module; the test has nothing else to do meanwhile.
            [sys.executable, "-m", "tests.features.connection.callers"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "DATABASE": database_url(system), "KEY": key,
                 "ORIGIN": system.servicenow.url, "CALLS": str(share)},
        )
        for share in shares
    ]  # fmt: skip
    try:
        for caller in callers:
            assert caller.stdout is not None
            assert await asyncio.to_thread(caller.stdout.readline) == "ready\n"
        outcomes = await asyncio.gather(*(asyncio.to_thread(caller.communicate, "go\n", 60) for caller in callers))
    finally:
        for caller in callers:
            caller.kill()
    assert [int(out) for out, _ in outcomes] == list(shares), [err for _, err in outcomes]
    assert len(requests(system, "/oauth_token.do")) == 1
    assert len(requests(system, "/api/now")) == 50


async def test_callers_of_one_process_hold_one_database_connection_while_they_wait(system: System) -> None:
    await system.connect()
    await expire(system)
    system.servicenow.instance.journal.clear()
    small = Database(make_engine(database_url(system), ConnectionOptions(pool_size=2, pool_seconds=30)))
    resources = replace(system.resources, database=small, keyed_locks=KeyedLocks())
    answers = await asyncio.gather(*(call_patiently(resources) for _ in range(40)))
    await small.close()
    assert all(answers)
    assert len(requests(system, "/oauth_token.do")) == 1


@pytest.mark.fact("other-connectors bug-2")
async def test_every_call_after_a_renewal_carries_the_new_token(system: System) -> None:
    await system.connect()
    await expire(system)
    system.servicenow.instance.journal.clear()
    for _ in range(3):
        await ask(system.resources, whoami)
    assert [entry.user for entry in requests(system, "/api/now")] == ["m365.integration"] * 3
    assert [entry.status for entry in requests(system, "/api/now")] == [200, 200, 200]


@pytest.mark.fact("other-connectors bug-3")
async def test_after_a_restart_the_rotated_token_is_used_not_the_first_one(system: System) -> None:
    key = with_known_key(system)
    await system.connect()
    system.servicenow.instance.switches.refresh_rotates_token = True
    for _ in range(3):
        await expire(system)
        process = open_resources(database_url(system), key, system.servicenow.url)
        assert await ask(process, whoami)
        await process.servicenow.close()
        await process.microsoft.close()
        await process.database.close()
    [connection] = await connections(system)
    assert (connection.status, connection.token_version) == ("connected", 4)


@pytest.mark.fact("other-connectors bug-4")
async def test_what_one_worker_renewed_the_other_one_sees(system: System) -> None:
    key = with_known_key(system)
    await system.connect()
    system.servicenow.instance.switches.refresh_rotates_token = True
    first, second = (open_resources(database_url(system), key, system.servicenow.url) for _ in range(2))
    for process in (first, second):
        assert await ask(process, whoami)
    await expire(system)
    system.servicenow.instance.journal.clear()
    for process in (first, second, first):
        assert await ask(process, whoami)
    assert len(requests(system, "/oauth_token.do")) == 1
    for process in (first, second):
        await process.servicenow.close()
        await process.microsoft.close()
        await process.database.close()


@pytest.mark.fact("other-connectors bug-5", "servicenow trap-25")
@pytest.mark.parametrize("omits", [True, False])
async def test_both_shapes_of_a_refresh_response_keep_a_refresh_token(system: System, omits: bool) -> None:
    before = await system.connect()
    system.servicenow.instance.switches.refresh_omits_token = omits
    for _ in range(2):
        await expire(system)
        assert await ask(system.resources, whoami)
    [now] = await connections(system)
    assert before.refresh_token is not None
    assert now.refresh_token is not None
    vault = system.resources.vault
    assert opened(vault, now, Connection.refresh_token) == opened(vault, before, Connection.refresh_token)
    # A plain refresh is not taken for a new consent: the hundred days go on.
    assert now.refresh_expires_at == before.refresh_expires_at


@pytest.mark.fact("other-connectors bug-5")
async def test_a_rotated_refresh_token_lives_its_whole_time(system: System, still_clock: SetClock) -> None:
    before = await system.connect()
    system.servicenow.instance.switches.refresh_rotates_token = True
    still_clock.move(86_400 * 50)
    await expire(system)
    await ask(system.resources, whoami)
    [now] = await connections(system)
    assert before.refresh_expires_at is not None
    assert now.refresh_expires_at is not None
    assert (now.refresh_expires_at - before.refresh_expires_at).days == 50


@pytest.mark.thorough
@pytest.mark.fact("other-connectors bug-16")
async def test_a_hundred_calls_cost_no_token_request(system: System) -> None:
    await system.connect()
    system.servicenow.instance.journal.clear()
    for _ in range(10):
        await asyncio.gather(*(ask(system.resources, whoami) for _ in range(10)))
    assert len(requests(system, "/api/now")) == 100
    assert requests(system, "/oauth_token.do") == []
