"""Removing the connection: tokens revoked at ServiceNow, secrets forgotten, the row kept."""

from __future__ import annotations

import pytest

from app.features.connection.access import NotConnected, with_client
from app.features.connection.disconnect import remove_connection
from tests.factories.connecting import connect_by_pages, connections, requests, said, trouble, viewer_of
from tests.factories.house import House


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
    page = said(await manager.post("/servicenow/remove"))
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
    page = said(await manager.post("/servicenow/remove"))
    assert "did not confirm that our tokens are revoked" in page
    [row] = await connections(house)
    assert (row.status, row.refresh_token) == ("removed", None)


async def test_a_web_page_with_status_200_is_no_confirmation(house: House) -> None:
    await house.connect()
    trouble(house, "hibernating", times=5)
    viewer = await viewer_of(house, await house.signed_in("manager"))
    removal = await remove_connection(house.resources, viewer)
    assert not removal.revoked


async def test_a_second_click_finds_nothing_left_to_do(house: House) -> None:
    await house.connect()
    manager = await house.signed_in("manager")
    assert (await manager.post("/servicenow/remove")).headers["location"] == "/servicenow/connect?removed=revoked"
    assert (await manager.post("/servicenow/remove")).headers["location"] == "/servicenow/connect"
    assert (await manager.get("/servicenow/remove")).headers["location"] == "/servicenow/connect"
    assert len(requests(house, "/oauth_revoke_token.do")) == 2


async def test_connecting_the_same_instance_again_takes_the_row_up_again(house: House) -> None:
    before = await house.connect()
    manager = await house.signed_in("manager")
    await remove_connection(house.resources, await viewer_of(house, manager))
    assert (await connect_by_pages(house, manager)).status_code == 303
    [row] = await connections(house)
    assert (row.id, row.status, row.removed_at) == (before.id, "connected", None)
