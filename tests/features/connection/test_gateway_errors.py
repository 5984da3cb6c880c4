"""What the gateway does with a refused token, and with errors of the call itself."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from app.core.clock import SetClock
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import Lane, call
from app.integrations.http.errors import RecordNotFound, RemoteError, ServerError, Throttled
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.schemas import RemoteUser
from tests.factories.calling import throttle
from tests.factories.connecting import (
    connect_by_pages,
    connections,
    expire,
    remove,
    requests,
    trouble,
)
from tests.factories.system import System

# As a check that a person waits for: no pause of the instance holds it back.
ask = partial(call, lane=Lane.INTERACTIVE)


async def whoami(client: ServiceNowClient) -> RemoteUser | None:
    return await client.whoami()


@pytest.mark.fact("other-connectors bug-8")
async def test_a_404_does_not_cost_the_token(system: System) -> None:
    await system.connect()
    system.servicenow.instance.journal.clear()
    for _ in range(3):
        with pytest.raises((RecordNotFound, RemoteError)):
            await ask(system.resources, lambda client: client.add_note("incident", "0" * 32, "Seen"))
    assert await ask(system.resources, whoami)
    assert requests(system, "/oauth_token.do") == []


@pytest.mark.fact("other-connectors bug-9")
async def test_a_write_that_met_a_401_is_repeated_to_the_letter(system: System) -> None:
    await system.connect()
    await expire(system, here=False)
    system.servicenow.instance.journal.clear()
    fields = {"short_description": "Ünïcode ✓", "correlation_id": "0123456789abcdef0123456789abcdef"}
    await ask(system.resources, lambda client: client.create("incident", fields))
    first, second = [entry for entry in requests(system, "/api/now") if entry.method == "POST"]
    assert (first.status, second.status) == (401, 201)
    assert (first.body, first.query, first.path) == (second.body, second.query, second.path)
    assert json.loads(second.body) == fields


@pytest.mark.fact("other-connectors bug-10")
async def test_a_permanent_401_costs_one_renewal_and_one_repetition(system: System, monkeypatch: Any) -> None:
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


@pytest.mark.fact("other-connectors bug-11")
async def test_a_token_that_dies_while_a_rate_limit_is_waited_for_is_renewed(
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


async def test_a_named_wait_is_written_down_and_cleared_by_the_next_success(
    system: System, still_clock: SetClock
) -> None:
    await system.connect()
    trouble(system, "rate_limited", path="/api/now")
    with pytest.raises(Throttled) as caught:
        await call(system.resources, whoami)
    paused = (await throttle(system)).paused_until
    assert caught.value.seconds is not None
    assert paused == still_clock.now() + timedelta(seconds=caught.value.seconds)
    still_clock.move(caught.value.seconds + 1)
    await call(system.resources, whoami)
    assert (await throttle(system)).paused_until is None
    [connection] = await connections(system)
    assert connection.last_success_at == still_clock.now()


@pytest.mark.parametrize(("fault", "error"), [("bad_gateway", ServerError)])
async def test_errors_of_the_work_itself_come_through(system: System, fault: str, error: type[Exception]) -> None:
    await system.connect()
    trouble(system, fault, path="/api/now")
    with pytest.raises(error):
        await ask(system.resources, whoami)


async def test_without_a_connection_it_says_so(system: System) -> None:
    with pytest.raises(NotConnected):
        await ask(system.resources, whoami)


@pytest.mark.fact("other-connectors bug-18")
async def test_session_cookies_are_never_sent_back(system: System) -> None:
    manager = await system.signed_in("manager")
    assert system.servicenow.instance.switches.session_cookies
    await connect_by_pages(system, manager)
    system.servicenow.instance.journal.clear()
    for _ in range(3):
        await call(system.resources, whoami)
    await expire(system)
    await call(system.resources, whoami)
    await remove(manager)
    assert len(requests(system, "/")) >= 6
    assert not [entry for entry in requests(system, "/") if entry.had_cookies]
