"""Requests to the token service, and what is accepted as a token."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.integrations.http.errors import RemoteError, Unauthorized
from app.integrations.http.http_types import RemoteResponse
from app.integrations.http.transport import Transport
from app.integrations.servicenow.oauth import LONGEST_ACCESS_SECONDS, USUAL_ACCESS_SECONDS, ServiceNowOAuth
from tests.factories.connecting import (
    JSON,
    oauth,
)
from tests.factories.servers import serve


@pytest.mark.fact("other-connectors bug-6")
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
async def test_nothing_but_a_token_is_taken_for_a_token(status: int, kind: str, body: str, error: str) -> None:
    client, _ = oauth(RemoteResponse(status, {"content-type": f"application/{kind}"}, body.encode()))
    with pytest.raises(RemoteError) as caught:
        await client.refresh("r")
    assert type(caught.value).__name__ == error
    # Only a refusal in ServiceNow's own words ends the connection; everything else may pass.
    assert isinstance(caught.value, Unauthorized) != caught.value.retry.allowed


@pytest.mark.fact("other-connectors bug-7")
@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("1799"), st.just(10**40),
        st.lists(st.integers(), max_size=2),
    )
)  # fmt: skip
def test_any_lifetime_becomes_a_sensible_number_of_seconds(named: object) -> None:
    body = {"access_token": "a"} | ({} if named is None else {"expires_in": named})
    client, _ = oauth(RemoteResponse(200, JSON, json.dumps(body).encode()))
    tokens = asyncio.run(client.refresh("r"))
    assert 0 < tokens.expires_in <= LONGEST_ACCESS_SECONDS
    if named in ("1799", 1799):
        assert tokens.expires_in == 1799
    if named is None or (isinstance(named, int) and named <= 0 and not isinstance(named, bool)):
        assert tokens.expires_in == USUAL_ACCESS_SECONDS


@pytest.mark.fact("other-connectors bug-14")
async def test_the_port_stays_in_every_address() -> None:
    client, sent = oauth()
    await client.exchange(code="c", code_verifier="v", state="s")
    await client.refresh("r")
    address = client.authorize_url(state="s", code_challenge="c")
    await client.revoke("r")
    assert {urlsplit(request.url).netloc for request in sent} == {"vanity.contoso.example:8443"}
    assert urlsplit(address).netloc == "vanity.contoso.example:8443"


@pytest.mark.fact("other-connectors bug-15", "servicenow 1.1", "servicenow 1.3")
async def test_a_token_request_holds_exactly_what_it_must_and_nothing_in_its_address() -> None:
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
        await client.exchange(code="c", code_verifier="v", state="s")
        await client.refresh("r")
        await transport.close()
    credentials = {"client_id": ["id"], "client_secret": ["secret"]}
    form = "application/x-www-form-urlencoded"
    code = {
        "grant_type": ["authorization_code"],
        "code": ["c"],
        "code_verifier": ["v"],
        "state": ["s"],
        "redirect_uri": ["https://us/cb"],
    }
    again = {"grant_type": ["refresh_token"], "refresh_token": ["r"]}
    assert received == [("POST", "", form, credentials | code), ("POST", "", form, credentials | again)]


async def test_a_refused_exchange_names_the_proof_key_and_the_scope_among_the_causes_and_where_to_switch_them_off() -> (
    None
):
    client, _ = oauth(RemoteResponse(401, JSON, b'{"error_description":"access_denied","error":"server_error"}'))
    with pytest.raises(Unauthorized) as caught:
        await client.exchange(code="c", code_verifier="v", state="s")
    for words in ("PKCE", "useraccount", "under Advanced in this form"):
        assert words in str(caught.value)


def test_the_scope_is_asked_for_unless_it_is_switched_off() -> None:
    client, _ = oauth()
    asked = {
        sends: parse_qs(urlsplit(client.authorize_url(state="s", code_challenge="c", sends_scope=sends)).query)
        for sends in (True, False)
    }
    assert asked[True]["scope"] == ["useraccount"]
    assert "scope" not in asked[False]


@pytest.mark.fact("servicenow 1.5")
async def test_a_refused_code_is_no_consent_that_is_over() -> None:
    """`invalid_grant` is said of the code: a proof key that the client does not take is among its causes."""
    answer = RemoteResponse(400, {"content-type": "application/json"}, b'{"error": "invalid_grant"}')
    client, _ = oauth(answer)
    with pytest.raises(Unauthorized, match="PKCE"):
        await client.exchange(code="c", code_verifier="v", state="s")
    client, _ = oauth(answer)
    with pytest.raises(Unauthorized, match="this consent is over"):
        await client.refresh("r")
