"""Bugs that other connectors shipped with their tokens, 1 to 20 of the list; each test is named after its number."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import select

from app.features.connection.access import ACCESS_TOKEN, REFRESH_TOKEN, NotConnected, mark_attention, with_client
from app.features.connection.models import Connection
from app.foundation.clock import SetClock
from app.foundation.text import T
from app.foundation.vault import Vault
from app.main import PAGES
from app.remote.errors import Missing, RemoteError, SignedOut, Throttled
from app.remote.messages import Answer, Request
from app.remote.servicenow.client import ServiceNowClient
from app.remote.servicenow.oauth import LONGEST_ACCESS_SECONDS, USUAL_ACCESS_SECONDS, ServiceNowOAuth
from app.remote.servicenow.shapes import RemoteUser
from app.remote.transport import Transport
from app.settings import Settings
from tests.factories.connecting import (
    begin,
    changed,
    connect_by_pages,
    connections,
    decide,
    expire,
    requests,
    second_manager,
    trouble,
)
from tests.factories.house import House
from tests.factories.servers import serve
from tests.features.connection.callers import open_resources

ROOT = Path(__file__).resolve().parents[3]
JSON = {"content-type": "application/json"}


async def whoami(client: ServiceNowClient) -> RemoteUser | None:
    return await client.whoami()


def with_known_key(house: House) -> str:
    """A key that other processes can be given."""
    key = Vault.new_key()
    house.resources = replace(house.resources, vault=Vault([key]))
    house.app.state.resources = house.resources
    return key


def database_url(house: House) -> str:
    return house.resources.database.engine.url.render_as_string(hide_password=False)


def oauth(answer: Answer | None = None) -> tuple[ServiceNowOAuth, list[Request]]:
    """An OAuth client whose requests are kept and get this answer."""
    sent: list[Request] = []

    class Wire(Transport):
        async def send(self, request: Request) -> Answer:
            sent.append(request)
            return answer or Answer(200, JSON, b'{"access_token": "a", "refresh_token": "r", "expires_in": 1799}')

    client = ServiceNowOAuth(
        Wire("wire"), "https://vanity.contoso.example:8443", client_id="id", client_secret="secret",
        redirect_uri="https://us.example/servicenow/callback",
    )  # fmt: skip
    return client, sent


async def test_01_fifty_calls_of_three_processes_with_an_expired_token_and_rotation_ask_once(house: House) -> None:
    key = with_known_key(house)
    await house.connect()
    house.snow.instance.switches.refresh_rotates_token = True
    await expire(house)
    house.snow.instance.journal.clear()
    shares = (17, 17, 16)
    callers = [
        subprocess.Popen(  # noqa: ASYNC220 - our own module; the test has nothing else to do meanwhile.
            [sys.executable, "-m", "tests.features.connection.callers"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "DATABASE": database_url(house), "KEY": key, "ORIGIN": house.snow.url, "CALLS": str(share)},
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
    assert len(requests(house, "/oauth_token.do")) == 1
    assert len(requests(house, "/api/now")) == 50


async def test_02_every_call_after_a_renewal_carries_the_new_token(house: House) -> None:
    await house.connect()
    await expire(house)
    house.snow.instance.journal.clear()
    for _ in range(3):
        await with_client(house.resources, whoami)
    assert [entry.user for entry in requests(house, "/api/now")] == ["m365.integration"] * 3
    assert [entry.status for entry in requests(house, "/api/now")] == [200, 200, 200]


async def test_03_after_a_restart_the_rotated_token_is_used_not_the_first_one(house: House) -> None:
    key = with_known_key(house)
    await house.connect()
    house.snow.instance.switches.refresh_rotates_token = True
    for _ in range(3):
        await expire(house)
        process = open_resources(database_url(house), key, house.snow.url)
        assert await with_client(process, whoami)
        await process.servicenow.close()
        await process.microsoft.close()
        await process.database.close()
    [connection] = await connections(house)
    assert (connection.status, connection.token_version) == ("connected", 4)


async def test_04_what_one_worker_renewed_the_other_one_sees(house: House) -> None:
    key = with_known_key(house)
    await house.connect()
    house.snow.instance.switches.refresh_rotates_token = True
    first, second = (open_resources(database_url(house), key, house.snow.url) for _ in range(2))
    for process in (first, second):
        assert await with_client(process, whoami)
    await expire(house)
    house.snow.instance.journal.clear()
    for process in (first, second, first):
        assert await with_client(process, whoami)
    assert len(requests(house, "/oauth_token.do")) == 1
    for process in (first, second):
        await process.servicenow.close()
        await process.microsoft.close()
        await process.database.close()


@pytest.mark.parametrize("omits", [True, False])
async def test_05_both_shapes_of_a_refresh_answer_keep_a_refresh_token(house: House, omits: bool) -> None:
    before = await house.connect()
    house.snow.instance.switches.refresh_omits_token = omits
    for _ in range(2):
        await expire(house)
        assert await with_client(house.resources, whoami)
    [now] = await connections(house)
    assert before.refresh_token is not None
    assert now.refresh_token is not None
    vault = house.resources.vault
    assert vault.open(REFRESH_TOKEN, now.refresh_token) == vault.open(REFRESH_TOKEN, before.refresh_token)
    # A plain refresh is not taken for a new consent: the hundred days go on.
    assert now.refresh_expires_at == before.refresh_expires_at


async def test_05_a_rotated_refresh_token_lives_its_whole_time(house: House, still_clock: SetClock) -> None:
    before = await house.connect()
    house.snow.instance.switches.refresh_rotates_token = True
    still_clock.move(86_400 * 50)
    await expire(house)
    await with_client(house.resources, whoami)
    [now] = await connections(house)
    assert before.refresh_expires_at is not None
    assert now.refresh_expires_at is not None
    assert (now.refresh_expires_at - before.refresh_expires_at).days == 50


@pytest.mark.parametrize(
    ("status", "kind", "body", "error"),
    [
        (401, "json", '{"error_description": "access_denied", "error": "server_error"}', "SignedOut"),
        (400, "json", '{"error": "invalid_grant"}', "SignedOut"),
        (200, "json", '{"error": "server_error", "access_token": "x"}', "SignedOut"),
        (200, "html", "<title>Instance Hibernating page</title>", "Garbled"),
        (400, "html", "<h1>Bad request</h1>", "Garbled"),
        (401, "html", "<h1>Sign in</h1>", "Refused"),
        (403, "html", "Access restricted", "Refused"),
        (302, "html", "", "Garbled"),
        (404, "json", '{"error": {"message": "No such"}}', "Garbled"),
        (200, "json", '{"token_type": "Bearer"}', "Garbled"),
        (200, "json", '{"access_token": ""}', "Garbled"),
        (200, "json", '{"access_token": 5}', "Garbled"),
        (200, "json", "[]", "Garbled"),
        (200, "json", '{"access_tok', "Garbled"),
        (503, "html", "<h1>Maintenance</h1>", "Broken"),
        (429, "html", "", "Throttled"),
    ],
)
async def test_06_nothing_but_a_token_is_taken_for_a_token(status: int, kind: str, body: str, error: str) -> None:
    client, _ = oauth(Answer(status, {"content-type": f"application/{kind}"}, body.encode()))
    with pytest.raises(RemoteError) as caught:
        await client.refresh("r")
    assert type(caught.value).__name__ == error
    # Only a refusal in ServiceNow's own words ends the connection; everything else may pass.
    assert isinstance(caught.value, SignedOut) != caught.value.retry.allowed


@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("1799"), st.just(10**40),
        st.lists(st.integers(), max_size=2),
    )
)  # fmt: skip
def test_07_any_lifetime_becomes_a_sensible_number_of_seconds(named: object) -> None:
    body = {"access_token": "a"} | ({} if named is None else {"expires_in": named})
    client, _ = oauth(Answer(200, JSON, json.dumps(body).encode()))
    tokens = asyncio.run(client.refresh("r"))
    assert 0 < tokens.expires_in <= LONGEST_ACCESS_SECONDS
    if named in ("1799", 1799):
        assert tokens.expires_in == 1799
    if named is None or (isinstance(named, int) and named <= 0 and not isinstance(named, bool)):
        assert tokens.expires_in == USUAL_ACCESS_SECONDS


async def test_08_a_404_does_not_cost_the_token(house: House) -> None:
    await house.connect()
    house.snow.instance.journal.clear()
    for _ in range(3):
        with pytest.raises((Missing, RemoteError)):
            await with_client(house.resources, lambda client: client.check_readable("no_such_table"))
    assert await with_client(house.resources, whoami)
    assert requests(house, "/oauth_token.do") == []


async def test_09_a_write_that_met_a_401_is_repeated_to_the_letter(house: House) -> None:
    await house.connect()
    await expire(house, here=False)
    house.snow.instance.journal.clear()
    fields = {"short_description": "Ünïcode ✓", "correlation_id": "0123456789abcdef0123456789abcdef"}
    await with_client(house.resources, lambda client: client.create("incident", fields))
    first, second = [entry for entry in requests(house, "/api/now") if entry.method == "POST"]
    assert (first.status, second.status) == (401, 201)
    assert (first.body, first.query, first.path) == (second.body, second.query, second.path)
    assert json.loads(second.body) == fields


async def test_10_a_permanent_401_costs_one_renewal_and_one_repetition(house: House, monkeypatch: Any) -> None:
    await house.connect()
    house.snow.instance.journal.clear()
    monkeypatch.setattr(house.snow.instance, "user_of", lambda _token: None)
    with pytest.raises(NotConnected) as caught:
        await with_client(house.resources, whoami)
    assert "refuses even a fresh access token" in str(caught.value)
    assert len(requests(house, "/api/now")) == 2
    assert len(requests(house, "/oauth_token.do")) == 1
    for _ in range(3):
        with pytest.raises(NotConnected):
            await with_client(house.resources, whoami)
    assert len(requests(house, "/api/now")) == 2
    [connection] = await connections(house)
    assert connection.status == "needs_attention"


async def test_11_a_token_that_dies_while_a_rate_limit_is_waited_for_is_renewed(
    house: House, still_clock: SetClock
) -> None:
    await house.connect()
    trouble(house, "rate_limited", path="/api/now")
    with pytest.raises(Throttled):
        await with_client(house.resources, whoami)
    await expire(house, here=False)
    still_clock.move(3600)
    house.snow.instance.journal.clear()
    assert await with_client(house.resources, whoami)
    assert [entry.status for entry in requests(house, "/api/now")] == [200]  # Not tried with the dead one.


async def test_12_a_state_works_once_in_its_time_and_for_its_own_person(house: House, still_clock: SetClock) -> None:
    manager, other = await house.signed_in("manager"), await second_manager(house)
    start = await begin(house, manager)
    back = decide(house, start.headers["location"])
    foreign = await other.get(back)
    used = [await manager.get(back)]
    manager.cookies.update(start.cookies)
    used.append(await manager.get(back))
    late = await begin(house, manager)
    late_back = decide(house, late.headers["location"])
    still_clock.move(3601)
    expired = await manager.get(late_back)
    made_up = await manager.get(changed(late_back, state="0" * 48))
    assert [foreign.status_code, *(answer.status_code for answer in used)] == [400, 303, 400]
    assert [expired.status_code, made_up.status_code] == [400, 400]
    assert len(requests(house, "/oauth_token.do")) == 1


async def test_13_being_connected_does_not_stand_in_the_way_of_connecting_again(house: House) -> None:
    connection = await house.connect()
    manager = await house.signed_in("manager")
    assert (await connect_by_pages(house, manager)).status_code == 303
    await mark_attention(house.resources, connection.id, T("Expired."))
    assert (await connect_by_pages(house, manager)).status_code == 303
    [now] = await connections(house)
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


async def test_16_a_hundred_calls_cost_no_token_request(house: House) -> None:
    await house.connect()
    house.snow.instance.journal.clear()
    for _ in range(10):
        await asyncio.gather(*(with_client(house.resources, whoami) for _ in range(10)))
    assert len(requests(house, "/api/now")) == 100
    assert requests(house, "/oauth_token.do") == []


async def test_17_the_password_grant_is_never_asked_for(house: House) -> None:
    manager = await house.signed_in("manager")
    await connect_by_pages(house, manager)
    await expire(house)
    await with_client(house.resources, whoami)
    await manager.post("/servicenow/remove")
    asked = [parse_qs(entry.body)["grant_type"][0] for entry in requests(house, "/oauth_token.do")]
    assert asked == ["authorization_code", "refresh_token"]


async def test_18_session_cookies_are_never_sent_back(house: House) -> None:
    manager = await house.signed_in("manager")
    assert house.snow.instance.switches.session_cookies
    await connect_by_pages(house, manager)
    house.snow.instance.journal.clear()
    for _ in range(3):
        await with_client(house.resources, whoami)
    await expire(house)
    await with_client(house.resources, whoami)
    await manager.post("/servicenow/remove")
    assert len(requests(house, "/")) >= 6
    assert not [entry for entry in requests(house, "/") if entry.had_cookies]


async def test_19_no_answer_of_ours_holds_a_secret(house: House) -> None:
    manager = await house.signed_in("manager")
    await connect_by_pages(house, manager)
    async with house.resources.database.transaction() as session:
        connection = (await session.execute(select(Connection))).scalar_one()
    vault = house.resources.vault
    assert connection.access_token is not None
    assert connection.refresh_token is not None
    secrets = [
        house.snow.settings.client_secret,
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
