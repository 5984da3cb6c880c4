"""The access token is kept live: renewed when it is about to end, and what a failed renewal means."""

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
from app.core.errors import Retry
from app.core.messages import T
from app.core.sealed_columns import context_of
from app.core.vault import Vault
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import Lane, call
from app.features.connection.models import Connection
from app.features.connection.token_errors import NoToken, RefreshAnswerLost
from app.features.connection.tokens import (
    TOKEN_REFUSED,
    mark_attention,
    still_good,
    store_tokens,
    was_answer_lost_before,
)
from app.integrations.http.errors import Unauthorized
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.oauth import NAMED_CAUSES, NOT_RENEWED
from app.integrations.servicenow.schemas import RemoteUser, Tokens
from tests.factories.connecting import connect_by_pages, connections, decide, expire, requests, said, trouble
from tests.factories.leaving import leads_to
from tests.factories.system import System

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


async def test_a_cancelled_caller_does_not_keep_the_new_token_from_being_stored(system: System) -> None:
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
    assert await ask(system.resources, whoami)  # The lock was released, and the next attempt works.


async def test_an_unexpected_error_releases_the_lock(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_a_refused_refresh_is_believed_after_a_second_request(system: System, still_clock: SetClock) -> None:
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
    assert leads_to(start).startswith(f"{system.servicenow.url}/oauth_auth.do?")
    assert (await manager.get(decide(system, leads_to(start)))).status_code == 303
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
    # Nor do the jobs of those that hold the key pause.
    await expire(system)
    with pytest.raises(NoToken):
        await call(blind, whoami)
    assert await call(system.resources, whoami)


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


def an_hour_old_connection(**values: object) -> Connection:
    granted = clock.now() - timedelta(minutes=25)
    usual = {
        "origin": "https://contoso.service-now.com", "access_granted_at": granted,
        "access_expires_at": granted + timedelta(minutes=30), "token_version": 3,
    }  # fmt: skip
    return Connection(**(usual | values))


def test_polishing_the_sentence_of_a_refused_refresh_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The column and the code decide; an edited or translated sentence does not."""
    polished = Unauthorized(T("Access has ended. Please authorize again.", code=NOT_RENEWED.code))
    monkeypatch.setattr(RefreshAnswerLost, "default", T("The answer went missing."))
    assert was_answer_lost_before(Connection(refresh_answer_lost_at=clock.now()), polished)
    assert not was_answer_lost_before(Connection(refresh_answer_lost_at=None), polished)


@pytest.mark.parametrize("cause", sorted(NAMED_CAUSES))
@pytest.mark.fact("servicenow 1.5")
def test_a_refusal_with_a_cause_of_its_own_is_not_put_down_to_a_lost_answer(cause: str) -> None:
    lost = Connection(refresh_answer_lost_at=clock.now())
    assert not was_answer_lost_before(lost, Unauthorized(NAMED_CAUSES[cause]))


async def test_new_tokens_end_the_memory_of_a_lost_answer(system: System) -> None:
    connection = await system.connect()
    connection.refresh_answer_lost_at = clock.now()
    store_tokens(system.resources, connection, Tokens("access", None, 1800, "useraccount"))
    assert connection.refresh_answer_lost_at is None


async def test_what_is_stored_for_a_person_carries_its_code(system: System) -> None:
    connection = await system.connect()
    await mark_attention(system.resources, connection.id, TOKEN_REFUSED)
    [stored] = await connections(system)
    assert stored.attention is not None
    assert stored.attention["code"] == "connection.token_refused"


def test_a_token_is_good_until_it_is_about_to_end_or_was_refused(system: System, still_clock: SetClock) -> None:
    resources = system.resources
    good = an_hour_old_connection()
    good.access_token = resources.vault.seal(context_of(good, Connection.access_token), "live")
    live = still_good(resources, good)
    assert live is not None
    assert live.access_token == "live"
    assert "live" not in repr(live)
    assert still_good(resources, good, stale_version=3) is None
    assert still_good(resources, good, stale_version=2) is not None
    assert still_good(resources, an_hour_old_connection(access_token=None)) is None
    unknown = Vault([Vault.new_key()]).seal(context_of(good, Connection.access_token), "live")
    assert still_good(resources, an_hour_old_connection(id=good.id, access_token=unknown)) is None
    still_clock.move(181)  # Less than two minutes are left.
    assert still_good(resources, good) is None
