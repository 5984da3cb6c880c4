"""Removing the connection: tokens revoked at ServiceNow, secrets forgotten, the row kept."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from app.features.connection.active_connection import NotConnected
from app.features.connection.disconnect import remove_connection
from app.features.connection.gateway import call
from app.features.connection.models import AuthorizationAttempt
from tests.factories.connecting import (
    allow,
    begin,
    beside,
    connect_by_pages,
    connections,
    decide,
    expire,
    remove,
    requests,
    said,
    second_manager,
    trouble,
    viewer_of,
)
from tests.factories.leaving import leads_to
from tests.factories.servicenow import running_servicenow
from tests.factories.system import System


async def test_removing_asks_first_and_says_what_stays(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    page = said(await manager.get("/servicenow/remove"))
    assert "Both of our tokens are revoked" in page
    assert "Tickets made so far stay here, read-only" in page
    [connection] = await connections(system)
    assert connection.status == "connected"


@pytest.mark.fact("servicenow 1.1")
async def test_removing_revokes_both_tokens_and_forgets_every_secret(system: System) -> None:
    before = await system.connect()
    manager = await system.signed_in("manager", follow_redirects=True)
    page = said(await remove(manager))
    assert "ServiceNow has revoked our tokens" in page

    [row] = await connections(system)
    assert row.id == before.id
    assert row.status == "removed"
    assert row.removed_at is not None
    assert (row.client_secret, row.access_token, row.refresh_token) == (None, None, None)
    live = [
        token
        for token in system.servicenow.instance.store.rows("oauth_credential")
        if system.servicenow.instance.is_live(token)
    ]
    assert live == []
    with pytest.raises(NotConnected):
        await call(system.resources, lambda client: client.whoami())


async def test_an_instance_that_does_not_answer_does_not_keep_us_connected(system: System) -> None:
    await system.connect()
    trouble(system, "bad_gateway", times=5, path="/oauth_revoke")
    manager = await system.signed_in("manager", follow_redirects=True)
    page = said(await remove(manager))
    assert "did not confirm that our tokens are revoked" in page
    [row] = await connections(system)
    assert (row.status, row.refresh_token) == ("removed", None)


async def test_a_web_page_with_status_200_is_no_confirmation(system: System) -> None:
    connection = await system.connect()
    trouble(system, "hibernating", times=5)
    viewer = await viewer_of(system, await system.signed_in("manager"))
    removal = await remove_connection(system.resources, viewer, connection.id)
    assert not removal.revoked


async def test_a_second_click_finds_nothing_left_to_do(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    assert (await remove(manager)).headers["location"] == "/servicenow/connect?removed=revoked"
    assert (await remove(manager)).headers["location"] == "/servicenow/connect"
    assert (await manager.get("/servicenow/remove")).headers["location"] == "/servicenow/connect"
    assert len(requests(system, "/oauth_revoke_token.do")) == 2


async def test_connecting_the_same_instance_again_takes_the_row_up_again(system: System) -> None:
    before = await system.connect()
    manager = await system.signed_in("manager")
    await remove_connection(system.resources, await viewer_of(system, manager), before.id)
    assert (await connect_by_pages(system, manager)).status_code == 303
    [row] = await connections(system)
    assert (row.id, row.status, row.removed_at) == (before.id, "connected", None)


@pytest.mark.parametrize("access_token_is_over", [True, False])
async def test_it_says_revoked_only_when_the_refresh_token_is(system: System, access_token_is_over: bool) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    [kept] = [row for row in system.servicenow.instance.store.rows("oauth_credential") if row["kind"] == "refresh"]
    if access_token_is_over:
        await expire(system)  # No call for half an hour, so that its refusal proves nothing.
    trouble(system, "sso_page", path="/oauth_revoke_token.do")  # A page answers 200 in the service's place, once.
    answer = await remove(manager)
    assert system.servicenow.instance.is_live(kept)
    assert answer.headers["location"].endswith("removed=unconfirmed")


async def test_a_refused_client_proves_nothing_about_the_tokens(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.change({"wrong_secret": True, "rfc_token_errors": True})
    answer = await remove(await system.signed_in("manager"))
    assert answer.headers["location"].endswith("removed=unconfirmed")


async def test_the_secret_of_an_authorization_that_was_begun_is_forgotten_too(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    start = await manager.post("/servicenow/authorize")
    await remove(manager)
    async with system.resources.database.transaction() as session:
        left = (await session.execute(select(AuthorizationAttempt.client_secret))).scalars().all()
    assert [secret for secret in left if secret is not None] == []
    # Finishing it now connects nothing.
    assert (await manager.get(decide(system, leads_to(start)))).status_code == 400
    assert {row.status for row in await connections(system)} == {"removed"}


async def test_a_page_that_asked_about_one_connection_removes_no_other(system: System) -> None:
    first, second = await system.signed_in("manager"), await second_manager(system)
    await connect_by_pages(system, first)
    asked = re.findall(r'name="connection" value="([^"]+)"', (await first.get("/servicenow/remove")).text)[0]
    with running_servicenow("http://security-center.test/servicenow/callback") as other:
        allow(system, other.url)
        own = {"client_id": other.settings.client_id, "client_secret": other.settings.client_secret}
        start = await begin(system, second, instance=other.url, **own)
        await second.get(beside(other, leads_to(start)))
        answer = await first.post("/servicenow/remove", data={"connection": asked})
        assert answer.headers["location"] == "/servicenow/remove"
        assert other.url.removeprefix("http://") in said(await first.get("/servicenow/remove"))
        assert {row.origin: row.status for row in await connections(system)}[other.url] == "connected"
