"""A client with a live token: renewed once, under the row's lock, whatever happens in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from app.core import clock
from app.core.clock import SetClock
from app.core.database import Database, make_engine
from app.core.errors import Retry
from app.core.keyed_locks import KeyedLocks
from app.core.messages import T
from app.core.vault import Vault
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import Lane, call
from app.features.connection.models import Connection
from app.features.connection.tokens import NoToken, RefreshAnswerLost, mark_attention
from app.integrations.http.errors import ServerError, Throttled
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.schemas import RemoteUser
from tests.factories.connecting import connect_by_pages, connections, decide, expire, requests, said, trouble
from tests.factories.system import System
from tests.features.connection.callers import call_patiently

# As a check that a person waits for: no pause of the instance holds it back.
ask = partial(call, lane=Lane.INTERACTIVE)


async def whoami(client: ServiceNowClient) -> RemoteUser | None:
    return await client.whoami()


async def test_a_live_token_is_used_as_it_is(system: System) -> None:
    await system.connect()
    system.servicenow.instance.journal.clear()
    user = await ask(system.resources, whoami)
    assert user is not None
    assert user.user_name == "m365.integration"
    assert requests(system, "/oauth_token.do") == []


async def test_a_crowd_in_one_process_holds_one_database_connection_while_it_waits(system: System) -> None:
    await system.connect()
    await expire(system)
    system.servicenow.instance.journal.clear()
    small = Database(
        make_engine(system.resources.database.engine.url.render_as_string(hide_password=False), pool_size=2)
    )
    resources = replace(system.resources, database=small, keyed_locks=KeyedLocks())
    answers = await asyncio.gather(*(call_patiently(resources) for _ in range(40)))
    await small.close()
    assert all(answers)
    assert len(requests(system, "/oauth_token.do")) == 1


async def test_whoever_asked_may_go_away_and_the_new_token_is_stored(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.refresh_rotates_token = True
    await expire(system)
    trouble(system, "slow", path="/oauth_token")
    system.servicenow.instance.orders.waiting[0].seconds = 0.5
    asked = asyncio.create_task(ask(system.resources, whoami))
    await asyncio.sleep(0.25)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await asyncio.sleep(0.6)
    assert await ask(system.resources, whoami)
    assert len(requests(system, "/oauth_token.do")) == 2  # The grant in connect(), and the renewal.


@pytest.mark.parametrize("fault", ["hibernating", "hibernating_503", "bad_gateway", "ip_blocked", "dropped_before"])
async def test_a_passing_trouble_while_renewing_keeps_the_connection_and_says_nothing_was_sent(
    system: System, fault: str
) -> None:
    await system.connect()
    await expire(system)
    trouble(system, fault, path="/oauth_token")
    with pytest.raises(NoToken) as caught:
        await ask(system.resources, whoami)
    assert caught.value.retry.allowed
    [connection] = await connections(system)
    assert (connection.status, connection.token_version) == ("connected", 1)
    assert await ask(system.resources, whoami)  # The lock was let go, and the next attempt works.


async def test_an_error_nobody_expected_lets_go_of_the_lock(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.connect()
    await expire(system)

    async def explode(*_: object) -> None:
        raise LookupError

    with monkeypatch.context() as patched:
        patched.setattr("app.integrations.servicenow.oauth.ServiceNowOAuth.refresh", explode)
        with pytest.raises(LookupError):
            await ask(system.resources, whoami)
    assert await ask(system.resources, whoami)


async def test_a_slow_token_service_that_names_a_time_is_obeyed(system: System) -> None:
    await system.connect()
    await expire(system)
    system.servicenow.fault("rate_limited", path="/oauth_token", retry_after="600")
    with pytest.raises(NoToken) as caught:
        await ask(system.resources, whoami)
    assert caught.value.retry == Retry.after(600)


async def test_a_refused_refresh_is_believed_after_a_second_look(system: System, still_clock: SetClock) -> None:
    await system.connect()
    await expire(system)
    store = system.servicenow.instance.store
    for row in store.rows("oauth_credential"):
        store.remove("oauth_credential", row["sys_id"])
    system.servicenow.instance.journal.clear()
    with pytest.raises(NotConnected) as caught:
        await ask(system.resources, whoami)
    assert "no longer renews our access" in str(caught.value)
    assert len(requests(system, "/oauth_token.do")) == 2
    [connection] = await connections(system)
    assert connection.status == "needs_attention"
    with pytest.raises(NotConnected):
        await ask(system.resources, whoami)
    assert len(requests(system, "/oauth_token.do")) == 2


async def a_lost_renewal(system: System) -> None:
    """The instance has given a new refresh token, and its answer did not come."""
    await system.connect()
    system.servicenow.instance.switches.refresh_rotates_token = True
    await expire(system)
    trouble(system, "dropped_after_commit", path="/oauth_token")
    with pytest.raises(RefreshAnswerLost):
        await ask(system.resources, whoami)
    [connection] = await connections(system)
    assert connection.status == "connected"


async def test_a_lost_answer_to_a_rotating_renewal_is_named_when_the_next_one_is_refused(system: System) -> None:
    await a_lost_renewal(system)
    manager = await system.signed_in("manager")
    assert "was lost on its way" not in said(await manager.get("/servicenow"))  # It may still go well.
    with pytest.raises(NotConnected) as caught:
        await ask(system.resources, whoami)
    assert "The answer with the new token was lost" in str(caught.value)
    assert "100 days" not in str(caught.value)
    assert "The answer with the new token was lost" in said(await manager.get("/servicenow"))
    assert (await connect_by_pages(system, manager)).status_code == 303
    assert await ask(system.resources, whoami)


async def test_a_lost_answer_does_no_harm_where_the_instance_does_not_rotate(system: System) -> None:
    await system.connect()
    await expire(system)
    trouble(system, "dropped_after_commit", path="/oauth_token")
    with pytest.raises(RefreshAnswerLost):
        await ask(system.resources, whoami)
    assert await ask(system.resources, whoami)
    [connection] = await connections(system)
    assert (connection.status, connection.attention) == ("connected", None)
    # A refusal much later has another cause, and is not put down to that answer.
    await expire(system)
    store = system.servicenow.instance.store
    for row in store.rows("oauth_credential"):
        store.remove("oauth_credential", row["sys_id"])
    with pytest.raises(NotConnected) as caught:
        await ask(system.resources, whoami)
    assert "100 days" in str(caught.value)


async def test_a_renewal_that_never_left_is_no_lost_answer(system: System) -> None:
    await system.connect()
    await expire(system)
    trouble(system, "rate_limited", path="/oauth_token")
    with pytest.raises(NoToken) as caught:
        await ask(system.resources, whoami)
    assert not isinstance(caught.value, RefreshAnswerLost)
    assert (await connections(system))[0].attention is None


async def test_a_refusal_that_comes_late_does_not_spoil_a_fresh_consent(system: System) -> None:
    connection = await system.connect()
    assert (await connect_by_pages(system, await system.signed_in("manager"))).status_code == 303
    await mark_attention(system.resources, connection.id, T("Old news."), token_version=connection.token_version)
    [now] = await connections(system)
    assert now.status == "connected"


async def test_a_connection_that_needs_attention_is_healed_by_authorizing_again(system: System) -> None:
    connection = await system.connect()
    await mark_attention(system.resources, connection.id, T("Authorize again."))
    manager = await system.signed_in("manager")
    start = await manager.post("/servicenow/authorize")
    assert start.headers["location"].startswith(f"{system.servicenow.url}/oauth_auth.do?")
    assert (await manager.get(decide(system, start.headers["location"]))).status_code == 303
    [now] = await connections(system)
    assert (now.id, now.status, now.attention) == (connection.id, "connected", None)


async def test_a_process_with_stale_keys_says_so_and_spoils_nothing_for_the_others(system: System) -> None:
    await system.connect()
    await expire(system)
    blind = replace(system.resources, vault=Vault([Vault.new_key()]))
    system.servicenow.instance.journal.clear()
    with capture_logs() as logged, pytest.raises(NoToken) as caught:
        await ask(blind, whoami)
    assert "not among its VAULT_KEYS" in str(caught.value)
    assert caught.value.retry.allowed  # The ticket waits; another process, or this one with the right keys, sends it.
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["token.vault_keys_do_not_fit"]
    assert requests(system, "/") == []
    [connection] = await connections(system)
    assert (connection.status, connection.attention, connection.token_version) == ("connected", None, 1)
    assert await ask(system.resources, whoami)


async def test_a_short_remaining_life_is_used_up_and_not_renewed_at_every_call(system: System) -> None:
    """An instance that is asked early hands out the same token with what is left of its time."""
    await system.connect()
    async with system.resources.database.transaction() as session:
        now = clock.now()
        await session.execute(
            update(Connection).values(access_granted_at=now, access_expires_at=now + timedelta(seconds=100))
        )
    system.servicenow.instance.journal.clear()
    for _ in range(5):
        await ask(system.resources, whoami)
    assert requests(system, "/oauth_token.do") == []


async def test_a_named_wait_is_written_down_and_cleared_by_the_next_success(system: System) -> None:
    await system.connect()
    trouble(system, "rate_limited", path="/api/now")
    with pytest.raises(Throttled):
        await ask(system.resources, whoami)
    [connection] = await connections(system)
    assert connection.throttled_until is not None
    await ask(system.resources, whoami)
    [connection] = await connections(system)
    assert connection.throttled_until is None
    assert connection.last_success_at is not None


@pytest.mark.parametrize(("fault", "error"), [("bad_gateway", ServerError)])
async def test_errors_of_the_work_itself_come_through(system: System, fault: str, error: type[Exception]) -> None:
    await system.connect()
    trouble(system, fault, path="/api/now")
    with pytest.raises(error):
        await ask(system.resources, whoami)


async def test_without_a_connection_it_says_so(system: System) -> None:
    with pytest.raises(NotConnected):
        await ask(system.resources, whoami)
