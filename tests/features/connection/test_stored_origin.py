"""The address in a connection's row is judged before each call: who changes it in the database gets nothing sent there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app.features.connection.disconnect import remove_connection
from app.features.connection.gateway import Lane, call, call_with_token, ping
from app.features.connection.renewal import renew_now
from app.features.connection.stored_origin import check_stored_origin
from app.features.connection.token_errors import SecretsMoved, StoredOriginRefused
from app.integrations.servicenow.client import ServiceNowClient
from app.resources import Resources
from tests.factories.connecting import connections, expire, requests, viewer_of
from tests.factories.provisioning import diagnose
from tests.factories.system import System

ELSEWHERE = "https://attacker.example.net"


async def whoami(client: ServiceNowClient) -> object:
    return await client.whoami()


async def stored_as(system: System, origin: str) -> None:
    """As who can write to the database does it; nothing that was received before counts."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE connection SET origin = :origin"), {"origin": origin})
    system.servicenow.instance.journal.clear()


def another_name(system: System) -> str:
    """A second address of the sandbox, which answers there as well."""
    return system.servicenow.url.replace("127.0.0.1", "localhost")


def listing(system: System, *more: str) -> Resources:
    """The product with further addresses in SERVICENOW_ALLOWED_ORIGINS."""
    config, policy = system.resources.config, system.resources.servicenow.address_policy
    assert policy is not None
    origins = (*config.servicenow_allowed_origins, *more)
    for origin in more:
        policy.allow(origin)
    return replace(system.resources, config=replace(config, servicenow_allowed_origins=origins))


@pytest.mark.parametrize("origin", ["https://contoso.service-now.com", "https://a-1.service-now.com"])
def test_an_instance_of_servicenows_cloud_may_be_called(system: System, origin: str) -> None:
    check_stored_origin(system.resources, origin)
    check_stored_origin(system.resources, system.servicenow.url)


@pytest.mark.parametrize(
    "origin",
    [
        ELSEWHERE, "http://contoso.service-now.com", "https://contoso.service-now.com.example.net", "https://10.0.0.1",
        "https://contoso.service-now.com:8443", "https://user@contoso.service-now.com", "contoso", "", "https://",
        "https://contoso.service-now.com/path", "https://CONTOSO.service-now.com", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_logged(system: System, origin: str) -> None:
    with capture_logs() as logged, pytest.raises(StoredOriginRefused) as caught:
        check_stored_origin(system.resources, origin)
    assert "nothing was sent" in str(caught.value)
    assert caught.value.retry.allowed  # Tickets wait for the operator.
    assert [(line["event"], line["origin"]) for line in logged] == [("connection.origin.refused", origin)]


Sending = Callable[[Resources, UUID], Awaitable[Any]]
CALLS: list[Sending] = [
    lambda resources, _: call(resources, whoami),
    lambda resources, _: renew_now(resources),
    lambda resources, _: call_with_token(resources, whoami, origin=ELSEWHERE, access_token="t"),
    lambda resources, _: ping(resources, ELSEWHERE),
]


@pytest.mark.parametrize("send", CALLS, ids=["call", "renewal", "call with a token", "ping"])
async def test_every_kind_of_call_is_refused(system: System, send: Sending) -> None:
    connection = await system.connect()
    await stored_as(system, ELSEWHERE)
    # The network itself would be let through: the row's own judgment has to refuse.
    listing(system, ELSEWHERE)
    with pytest.raises(StoredOriginRefused):
        await send(system.resources, connection.id)
    assert [entry.host for entry in system.resources.servicenow.recent if "attacker" in entry.host] == []
    [row] = await connections(system)
    assert row.status == "connected"  # Undone in the database, it works again.
    await stored_as(system, system.servicenow.url)
    # Calls of jobs pause for a while, as after any trouble of the whole instance.
    assert await call(system.resources, whoami, lane=Lane.INTERACTIVE)


@pytest.mark.parametrize("is_expired", [False, True])
async def test_another_listed_address_gets_neither_token_nor_client_secret(system: System, is_expired: bool) -> None:
    await system.connect()
    if is_expired:
        await expire(system)
    await stored_as(system, another_name(system))
    resources = listing(system, another_name(system))
    with capture_logs() as logged, pytest.raises(SecretsMoved):
        await call(resources, whoami)
    assert requests(system, "/") == []
    assert "token.sealed_for_another_place" in {line["event"] for line in logged}


async def test_removing_the_connection_revokes_nothing_at_another_address(system: System) -> None:
    connection = await system.connect()
    viewer = await viewer_of(system, await system.signed_in("manager"))
    await stored_as(system, ELSEWHERE)
    removal = await remove_connection(system.resources, viewer, connection.id)
    assert not removal.revoked
    assert requests(system, "/") == []
    [row] = await connections(system)
    assert (row.status, row.refresh_token) == ("removed", None)


async def test_the_diagnosis_says_it(system: System) -> None:
    await system.connect()
    await stored_as(system, ELSEWHERE)
    found = await diagnose(system)
    assert ELSEWHERE in str(found["private_address"].meaning)
    assert "SERVICENOW_ALLOWED_ORIGINS or the database was changed" in str(found["private_address"].advice)
    assert requests(system, "/") == []


async def test_authorizing_again_sends_no_browser_there(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    await stored_as(system, ELSEWHERE)
    answer = await manager.post("/servicenow/authorize")
    assert "attacker" not in answer.headers.get("location", "")
