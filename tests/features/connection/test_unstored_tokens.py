"""Tokens that cannot be stored are given back, and the manager is told in a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.features.connection import authorize
from app.integrations.http.http_types import RemoteResponse, Request
from tests.factories.connecting import connect_by_pages, connections, said
from tests.factories.system import System


def hear(system: System, monkeypatch: pytest.MonkeyPatch, **changed: object) -> list[str]:
    """Change members of the token answer on the way; gives the tokens that are revoked."""
    transport, revoked = system.resources.servicenow, list[str]()
    real = transport.send

    async def send(request: Request) -> RemoteResponse:
        if request.url.endswith("/oauth_revoke_token.do"):
            revoked.append(request.query["token"])
        answer = await real(request)
        if request.url.endswith("/oauth_token.do") and (request.form or {}).get("grant_type") == "authorization_code":
            body = json.dumps(json.loads(answer.body) | changed).encode()
            return RemoteResponse(answer.status, answer.headers, body)
        return answer

    monkeypatch.setattr(transport, "send", send)
    return revoked


@pytest.mark.parametrize("token", ["tök", "lone\ud800", "two words", "t\0k", "", "x" * 20_000, 17, None, ["a"]])
async def test_a_token_that_no_request_can_carry_is_told_and_the_other_is_revoked(
    system: System, monkeypatch: pytest.MonkeyPatch, token: object
) -> None:
    revoked = hear(system, monkeypatch, access_token=token)
    manager = await system.signed_in("manager")
    answer = await connect_by_pages(system, manager)
    assert answer.status_code == 409
    assert "holds no access token that can be used" in said(answer)
    assert await connections(system) == []
    assert len(revoked) >= 1
    assert revoked[0] not in ("", str(token))


@pytest.mark.parametrize("scope", ["user\ud800account", "a\0b", "s" * 5_000_000, ["useraccount"], {"a": 1}])
async def test_an_odd_scope_is_cleaned_and_connects(
    system: System, monkeypatch: pytest.MonkeyPatch, scope: object
) -> None:
    revoked = hear(system, monkeypatch, scope=scope)
    manager = await system.signed_in("manager")
    answer = await connect_by_pages(system, manager)
    assert answer.status_code == 303
    [connection] = await connections(system)
    assert len(connection.scope) <= 255
    assert "\0" not in connection.scope
    assert revoked == []


async def test_what_no_one_foresaw_while_storing_gives_the_tokens_back(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise UnicodeError("surrogates not allowed")

    revoked = hear(system, monkeypatch)
    monkeypatch.setattr(authorize, "store_tokens", broken)
    manager = await system.signed_in("manager")
    answer = await connect_by_pages(system, manager)
    assert answer.status_code == 409
    assert "the consent was given back" in said(answer)
    assert await connections(system) == []
    assert len(revoked) == 2
