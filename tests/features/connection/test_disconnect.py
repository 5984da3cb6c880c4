"""Removing the connection: tokens revoked at ServiceNow, secrets forgotten, the row kept."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from app.features.connection.access import NotConnected, with_client
from app.features.connection.disconnect import remove_connection
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
from tests.factories.house import House
from tests.factories.servicenow import running_snow


async def test_removing_asks_first_and_says_what_stays(house: House) -> None:
    await house.connect()
    manager = await house.signed_in("manager")
    page = said(await manager.get("/servicenow/remove"))
    assert "Both of our tokens are revoked" in page
    assert "Tickets made so far stay here, read-only" in page
    [connection] = await connections(house)
    assert connection.status == "connected"


async def test_removing_revokes_both_tokens_and_forgets_every_secret(house: House) -> None:
    before = await house.connect()
    manager = await house.signed_in("manager", follow_redirects=True)
    page = said(await remove(manager))
    assert "ServiceNow has revoked our tokens" in page

    [row] = await connections(house)
    assert row.id == before.id
    assert row.status == "removed"
    assert row.removed_at is not None
    assert (row.client_secret, row.access_token, row.refresh_token) == (None, None, None)
    live = [token for token in house.snow.instance.store.rows("oauth_credential") if house.snow.instance.is_live(token)]
    assert live == []
    with pytest.raises(NotConnected):
        await with_client(house.resources, lambda client: client.whoami())


async def test_an_instance_that_does_not_answer_does_not_keep_us_connected(house: House) -> None:
    await house.connect()
    trouble(house, "bad_gateway", times=5, path="/oauth_revoke")
    manager = await house.signed_in("manager", follow_redirects=True)
    page = said(await remove(manager))
    assert "did not confirm that our tokens are revoked" in page
    [row] = await connections(house)
    assert (row.status, row.refresh_token) == ("removed", None)


async def test_a_web_page_with_status_200_is_no_confirmation(house: House) -> None:
    connection = await house.connect()
    trouble(house, "hibernating", times=5)
    viewer = await viewer_of(house, await house.signed_in("manager"))
    removal = await remove_connection(house.resources, viewer, connection.id)
    assert not removal.revoked


async def test_a_second_click_finds_nothing_left_to_do(house: House) -> None:
    await house.connect()
    manager = await house.signed_in("manager")
    assert (await remove(manager)).headers["location"] == "/servicenow/connect?removed=revoked"
    assert (await remove(manager)).headers["location"] == "/servicenow/connect"
    assert (await manager.get("/servicenow/remove")).headers["location"] == "/servicenow/connect"
    assert len(requests(house, "/oauth_revoke_token.do")) == 2


async def test_connecting_the_same_instance_again_takes_the_row_up_again(house: House) -> None:
    before = await house.connect()
    manager = await house.signed_in("manager")
    await remove_connection(house.resources, await viewer_of(house, manager), before.id)
    assert (await connect_by_pages(house, manager)).status_code == 303
    [row] = await connections(house)
    assert (row.id, row.status, row.removed_at) == (before.id, "connected", None)


@pytest.mark.parametrize("access_token_is_over", [True, False])
async def test_it_says_revoked_only_when_the_refresh_token_is(house: House, access_token_is_over: bool) -> None:
    await house.connect()
    manager = await house.signed_in("manager")
    [kept] = [row for row in house.snow.instance.store.rows("oauth_credential") if row["kind"] == "refresh"]
    if access_token_is_over:
        await expire(house)  # Nobody has called for half an hour, so that its refusal proves nothing.
    trouble(house, "sso_page", path="/oauth_revoke_token.do")  # A page answers 200 in the service's place, once.
    answer = await remove(manager)
    assert house.snow.instance.is_live(kept)
    assert answer.headers["location"].endswith("removed=unconfirmed")


async def test_a_refused_client_proves_nothing_about_the_tokens(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.change({"wrong_secret": True, "rfc_token_errors": True})
    answer = await remove(await house.signed_in("manager"))
    assert answer.headers["location"].endswith("removed=unconfirmed")


async def test_the_secret_of_an_authorization_that_was_begun_is_forgotten_too(house: House) -> None:
    manager = await house.signed_in("manager")
    await connect_by_pages(house, manager)
    start = await manager.post("/servicenow/authorize")
    await remove(manager)
    async with house.resources.database.transaction() as session:
        left = (await session.execute(select(AuthorizationAttempt.client_secret))).scalars().all()
    assert [secret for secret in left if secret is not None] == []
    # Whoever finishes it now connects nothing.
    assert (await manager.get(decide(house, start.headers["location"]))).status_code == 400
    assert {row.status for row in await connections(house)} == {"removed"}


async def test_a_page_that_asked_about_one_connection_removes_no_other(house: House) -> None:
    first, second = await house.signed_in("manager"), await second_manager(house)
    await connect_by_pages(house, first)
    asked = re.findall(r'name="connection" value="([^"]+)"', (await first.get("/servicenow/remove")).text)[0]
    with running_snow("http://security-center.test/servicenow/callback") as other:
        allow(house, other.url)
        own = {"client_id": other.settings.client_id, "client_secret": other.settings.client_secret}
        start = await begin(house, second, instance=other.url, **own)
        await second.get(beside(other, start.headers["location"]))
        answer = await first.post("/servicenow/remove", data={"connection": asked})
        assert answer.headers["location"] == "/servicenow/remove"
        assert other.url.removeprefix("http://") in said(await first.get("/servicenow/remove"))
        assert {row.origin: row.status for row in await connections(house)}[other.url] == "connected"
