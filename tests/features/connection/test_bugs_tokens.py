"""Bugs that other connectors shipped with their tokens, 1 to 20 of the list; each test is named after its number."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.clock import SetClock
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import Lane, call
from app.features.connection.oauth_client import REFRESH_TOKEN
from app.integrations.http.errors import RecordNotFound, RemoteError, Throttled, Unauthorized
from app.integrations.http.http_types import RemoteResponse
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.oauth import LONGEST_ACCESS_SECONDS, USUAL_ACCESS_SECONDS
from app.integrations.servicenow.schemas import RemoteUser
from tests.factories.connecting import (
    JSON,
    connections,
    database_url,
    expire,
    oauth,
    requests,
    trouble,
    with_known_key,
)
from tests.factories.system import System
from tests.features.connection.callers import open_resources

ROOT = Path(__file__).resolve().parents[3]


# As a check that a person waits for: no pause of the instance holds it back.
ask = partial(call, lane=Lane.INTERACTIVE)


async def whoami(client: ServiceNowClient) -> RemoteUser | None:
    return await client.whoami()


async def test_01_fifty_calls_of_three_processes_with_an_expired_token_and_rotation_ask_once(system: System) -> None:
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


async def test_02_every_call_after_a_renewal_carries_the_new_token(system: System) -> None:
    await system.connect()
    await expire(system)
    system.servicenow.instance.journal.clear()
    for _ in range(3):
        await ask(system.resources, whoami)
    assert [entry.user for entry in requests(system, "/api/now")] == ["m365.integration"] * 3
    assert [entry.status for entry in requests(system, "/api/now")] == [200, 200, 200]


async def test_03_after_a_restart_the_rotated_token_is_used_not_the_first_one(system: System) -> None:
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


async def test_04_what_one_worker_renewed_the_other_one_sees(system: System) -> None:
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


@pytest.mark.parametrize("omits", [True, False])
async def test_05_both_shapes_of_a_refresh_answer_keep_a_refresh_token(system: System, omits: bool) -> None:
    before = await system.connect()
    system.servicenow.instance.switches.refresh_omits_token = omits
    for _ in range(2):
        await expire(system)
        assert await ask(system.resources, whoami)
    [now] = await connections(system)
    assert before.refresh_token is not None
    assert now.refresh_token is not None
    vault = system.resources.vault
    assert vault.open(REFRESH_TOKEN, now.refresh_token) == vault.open(REFRESH_TOKEN, before.refresh_token)
    # A plain refresh is not taken for a new consent: the hundred days go on.
    assert now.refresh_expires_at == before.refresh_expires_at


async def test_05_a_rotated_refresh_token_lives_its_whole_time(system: System, still_clock: SetClock) -> None:
    before = await system.connect()
    system.servicenow.instance.switches.refresh_rotates_token = True
    still_clock.move(86_400 * 50)
    await expire(system)
    await ask(system.resources, whoami)
    [now] = await connections(system)
    assert before.refresh_expires_at is not None
    assert now.refresh_expires_at is not None
    assert (now.refresh_expires_at - before.refresh_expires_at).days == 50


@pytest.mark.parametrize(
    ("status", "kind", "body", "error"),
    [
        (401, "json", '{"error_description": "access_denied", "error": "server_error"}', "Unauthorized"),
        (400, "json", '{"error": "invalid_grant"}', "Unauthorized"),
        (200, "json", '{"error": "server_error", "access_token": "x"}', "Unauthorized"),
        (200, "html", "<title>Instance Hibernating page</title>", "InvalidResponse"),
        (400, "html", "<h1>Bad request</h1>", "InvalidResponse"),
        (401, "html", "<h1>Sign in</h1>", "Forbidden"),
        (403, "html", "Access restricted", "Forbidden"),
        (302, "html", "", "InvalidResponse"),
        (404, "json", '{"error": {"message": "No such"}}', "InvalidResponse"),
        (200, "json", '{"token_type": "Bearer"}', "InvalidResponse"),
        (200, "json", '{"access_token": ""}', "InvalidResponse"),
        (200, "json", '{"access_token": 5}', "InvalidResponse"),
        (200, "json", "[]", "InvalidResponse"),
        (200, "json", '{"access_tok', "InvalidResponse"),
        (503, "html", "<h1>Maintenance</h1>", "ServerError"),
        (429, "html", "", "Throttled"),
    ],
)
async def test_06_nothing_but_a_token_is_taken_for_a_token(status: int, kind: str, body: str, error: str) -> None:
    client, _ = oauth(RemoteResponse(status, {"content-type": f"application/{kind}"}, body.encode()))
    with pytest.raises(RemoteError) as caught:
        await client.refresh("r")
    assert type(caught.value).__name__ == error
    # Only a refusal in ServiceNow's own words ends the connection; everything else may pass.
    assert isinstance(caught.value, Unauthorized) != caught.value.retry.allowed


@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("1799"), st.just(10**40),
        st.lists(st.integers(), max_size=2),
    )
)  # fmt: skip
def test_07_any_lifetime_becomes_a_sensible_number_of_seconds(named: object) -> None:
    body = {"access_token": "a"} | ({} if named is None else {"expires_in": named})
    client, _ = oauth(RemoteResponse(200, JSON, json.dumps(body).encode()))
    tokens = asyncio.run(client.refresh("r"))
    assert 0 < tokens.expires_in <= LONGEST_ACCESS_SECONDS
    if named in ("1799", 1799):
        assert tokens.expires_in == 1799
    if named is None or (isinstance(named, int) and named <= 0 and not isinstance(named, bool)):
        assert tokens.expires_in == USUAL_ACCESS_SECONDS


async def test_08_a_404_does_not_cost_the_token(system: System) -> None:
    await system.connect()
    system.servicenow.instance.journal.clear()
    for _ in range(3):
        with pytest.raises((RecordNotFound, RemoteError)):
            await ask(system.resources, lambda client: client.add_note("incident", "0" * 32, "Seen"))
    assert await ask(system.resources, whoami)
    assert requests(system, "/oauth_token.do") == []


async def test_09_a_write_that_met_a_401_is_repeated_to_the_letter(system: System) -> None:
    await system.connect()
    await expire(system, here=False)
    system.servicenow.instance.journal.clear()
    fields = {"short_description": "Ünïcode ✓", "correlation_id": "0123456789abcdef0123456789abcdef"}
    await ask(system.resources, lambda client: client.create("incident", fields))
    first, second = [entry for entry in requests(system, "/api/now") if entry.method == "POST"]
    assert (first.status, second.status) == (401, 201)
    assert (first.body, first.query, first.path) == (second.body, second.query, second.path)
    assert json.loads(second.body) == fields


async def test_10_a_permanent_401_costs_one_renewal_and_one_repetition(system: System, monkeypatch: Any) -> None:
    await system.connect()
    system.servicenow.instance.journal.clear()
    monkeypatch.setattr(system.servicenow.instance, "user_of", lambda _token: None)
    with pytest.raises(NotConnected) as caught:
        await ask(system.resources, whoami)
    assert "refuses even a fresh access token" in str(caught.value)
    assert len(requests(system, "/api/now")) == 2
    assert len(requests(system, "/oauth_token.do")) == 1
    for _ in range(3):
        with pytest.raises(NotConnected):
            await ask(system.resources, whoami)
    assert len(requests(system, "/api/now")) == 2
    [connection] = await connections(system)
    assert connection.status == "needs_attention"


async def test_11_a_token_that_dies_while_a_rate_limit_is_waited_for_is_renewed(
    system: System, still_clock: SetClock
) -> None:
    await system.connect()
    trouble(system, "rate_limited", path="/api/now")
    with pytest.raises(Throttled):
        await ask(system.resources, whoami)
    await expire(system, here=False)
    still_clock.move(3600)
    system.servicenow.instance.journal.clear()
    assert await ask(system.resources, whoami)
    assert [entry.status for entry in requests(system, "/api/now")] == [200]  # Not tried with the dead one.


async def test_16_a_hundred_calls_cost_no_token_request(system: System) -> None:
    await system.connect()
    system.servicenow.instance.journal.clear()
    for _ in range(10):
        await asyncio.gather(*(ask(system.resources, whoami) for _ in range(10)))
    assert len(requests(system, "/api/now")) == 100
    assert requests(system, "/oauth_token.do") == []
