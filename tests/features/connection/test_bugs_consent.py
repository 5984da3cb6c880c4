"""Bugs that other connectors shipped around consent and secrets, 12 to 15 and 17 to 20 of the list."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from app.core.clock import SetClock
from app.core.messages import T
from app.core.vault import Vault
from app.features.connection.gateway import call
from app.features.connection.models import Connection
from app.features.connection.oauth_client import ACCESS_TOKEN, REFRESH_TOKEN
from app.features.connection.tokens import mark_attention
from app.integrations.http.transport import Transport
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.oauth import ServiceNowOAuth
from app.integrations.servicenow.schemas import RemoteUser
from app.main import PAGES
from app.settings import Settings
from tests.factories.connecting import (
    begin,
    changed,
    connect_by_pages,
    connections,
    decide,
    expire,
    oauth,
    remove,
    requests,
    second_manager,
    with_known_key,
)
from tests.factories.microsoft import FakeMicrosoft
from tests.factories.servers import serve
from tests.factories.servicenow import FakeServiceNow
from tests.factories.system import System, open_system


async def whoami(client: ServiceNowClient) -> RemoteUser | None:
    return await client.whoami()


async def test_12_a_state_works_once_in_its_time_and_for_its_own_person(system: System, still_clock: SetClock) -> None:
    manager, other = await system.signed_in("manager"), await second_manager(system)
    start = await begin(system, manager)
    back = decide(system, start.headers["location"])
    foreign = await other.get(back)
    used = [await manager.get(back)]
    manager.cookies.update(start.cookies)
    used.append(await manager.get(back))
    late = await begin(system, manager)
    late_back = decide(system, late.headers["location"])
    still_clock.move(3601)
    expired = await manager.get(late_back)
    made_up = await manager.get(changed(late_back, state="0" * 48))
    assert [foreign.status_code, *(answer.status_code for answer in used)] == [400, 303, 400]
    assert [expired.status_code, made_up.status_code] == [400, 400]
    assert len(requests(system, "/oauth_token.do")) == 1


async def test_12_an_answer_that_comes_after_a_restart_finds_its_authorization(
    system: System, database_url: str, fakes: tuple[FakeMicrosoft, FakeServiceNow]
) -> None:
    key, manager = with_known_key(system), await system.signed_in("manager")
    start = await begin(system, manager)
    back = decide(system, start.headers["location"])
    async with open_system(database_url, *fakes) as anew:
        anew.resources = replace(anew.resources, vault=Vault([key]))
        anew.app.state.resources = anew.resources
        async with anew.client() as browser:
            browser.cookies.update(manager.cookies)
            assert (await browser.get(back)).status_code == 303
            browser.cookies.update(start.cookies)
            assert (await browser.get(back)).status_code == 400  # And once, whichever process it was.
    [connection] = await connections(system)
    assert connection.status == "connected"


async def test_13_being_connected_does_not_stand_in_the_way_of_connecting_again(system: System) -> None:
    connection = await system.connect()
    manager = await system.signed_in("manager")
    assert (await connect_by_pages(system, manager)).status_code == 303
    await mark_attention(system.resources, connection.id, T("Expired."))
    assert (await connect_by_pages(system, manager)).status_code == 303
    [now] = await connections(system)
    assert (now.id, now.status) == (connection.id, "connected")


async def test_14_the_port_stays_in_every_address() -> None:
    client, sent = oauth()
    await client.exchange(code="c", code_verifier="v")
    await client.refresh("r")
    address = client.authorize_url(state="s", code_challenge="c")
    await client.revoke("r")
    assert {urlsplit(request.url).netloc for request in sent} == {"vanity.contoso.example:8443"}
    assert urlsplit(address).netloc == "vanity.contoso.example:8443"


async def test_15_a_token_request_holds_exactly_what_it_must_and_nothing_in_its_address() -> None:
    received: list[tuple[str, str, str, dict[str, list[str]]]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"").decode()
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        received.append((scope["method"], query, headers.get("content-type", ""), parse_qs(body)))
        assert "authorization" not in headers
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b'{"access_token": "a"}'})

    with serve(app) as url:
        transport = Transport("servicenow")
        client = ServiceNowOAuth(transport, url, client_id="id", client_secret="secret", redirect_uri="https://us/cb")
        await client.exchange(code="c", code_verifier="v")
        await client.refresh("r")
        await transport.close()
    credentials = {"client_id": ["id"], "client_secret": ["secret"]}
    form = "application/x-www-form-urlencoded"
    code = {
        "grant_type": ["authorization_code"],
        "code": ["c"],
        "code_verifier": ["v"],
        "redirect_uri": ["https://us/cb"],
    }
    again = {"grant_type": ["refresh_token"], "refresh_token": ["r"]}
    assert received == [("POST", "", form, credentials | code), ("POST", "", form, credentials | again)]


async def test_17_the_password_grant_is_never_asked_for(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    await expire(system)
    await call(system.resources, whoami)
    await remove(manager)
    asked = [parse_qs(entry.body)["grant_type"][0] for entry in requests(system, "/oauth_token.do")]
    assert asked == ["authorization_code", "refresh_token", "refresh_token"]  # The last sees that it was revoked.


async def test_18_session_cookies_are_never_sent_back(system: System) -> None:
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


async def test_19_no_answer_of_ours_holds_a_secret(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    async with system.resources.database.transaction() as session:
        connection = (await session.execute(select(Connection))).scalar_one()
    vault = system.resources.vault
    assert connection.access_token is not None
    assert connection.refresh_token is not None
    secrets = [
        system.servicenow.settings.client_secret,
        vault.open(ACCESS_TOKEN, connection.access_token),
        vault.open(REFRESH_TOKEN, connection.refresh_token),
        connection.access_token.token,
        connection.refresh_token.token,
    ]
    seen = 0
    for route in [route for page in PAGES for route in page.router.routes]:
        address = getattr(route, "path", "")
        if "GET" not in (getattr(route, "methods", None) or ()) or re.search(r"[{]", address):
            continue
        answer = await manager.get(address)
        assert answer.status_code != 500, address
        whole = answer.text + str(answer.headers)
        assert not [secret for secret in secrets if secret in whole], address
        seen += 1
    assert seen >= 10


def test_20_without_a_key_the_product_refuses_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENTRA_TENANT_ID", "ENTRA_CLIENT_ID", "ENTRA_CLIENT_SECRET"):
        monkeypatch.setenv(name, "x")
    for value in ("", " , "):
        monkeypatch.setenv("VAULT_KEYS", value)
        with pytest.raises(ValidationError, match="VAULT_KEYS"):
            Settings(_env_file=None)
    monkeypatch.delenv("VAULT_KEYS")
    with pytest.raises(ValidationError):
        Settings(_env_file=None)
    with pytest.raises(ValueError, match="at least one key"):
        Vault([])
