"""Reaching the instance: name, network, filters, limits, the consent page and the clocks."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from app.features.connection.models import Connection
from app.features.provisioning.checks.connectivity import evaluate_answer, evaluate_clock, local_address
from app.features.provisioning.finding import State
from app.integrations.http.http_types import RemoteResponse
from app.integrations.http.ssrf import AddressPolicy
from app.integrations.http.transport import Transport
from tests.factories.provisioning import check_context, diagnose
from tests.factories.system import System


def elsewhere(system: System, address_policy: AddressPolicy | None = None, **options: Any) -> None:
    """The same system, looking for ServiceNow over another network."""
    system.resources = replace(
        system.resources, servicenow=Transport("servicenow", address_policy=address_policy, **options)
    )
    system.app.state.resources = system.resources


async def move(system: System, **values: Any) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(**values))
    config = system.resources.config
    if "origin" in values:  # As if the operator had listed it.
        origins = (*config.servicenow_allowed_origins, str(values["origin"]))
        system.resources = replace(system.resources, config=replace(config, servicenow_allowed_origins=origins))
        system.app.state.resources = system.resources


async def test_dns_is_told_from_tls_from_a_closed_port(system: System) -> None:
    await system.connect()

    async def unknown(_host: str, _port: int) -> list[str]:
        raise OSError

    async def inside(_host: str, _port: int) -> list[str]:
        return ["10.0.0.7"]

    host = re.sub(r"^http:", "https:", system.servicenow.url)
    for origin, address_policy, key in (
        ("https://contosso.service-now.com", AddressPolicy(resolve=unknown), "dns"),
        ("https://contoso.service-now.com", AddressPolicy(resolve=inside), "private_address"),
        (host, AddressPolicy((host,)), "tls"),
        ("http://127.0.0.1:1", AddressPolicy(("http://127.0.0.1:1",)), "unreachable"),
    ):
        await move(system, origin=origin)
        elsewhere(system, address_policy)
        found = await diagnose(system)
        assert key in found, (origin, list(found))
        assert "token" not in found  # Later checks do not run.
        await system.resources.servicenow.close()


async def test_a_proxy_that_refuses_is_told_from_the_instance(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.connect()
    await move(system, origin="https://contoso.service-now.com")
    monkeypatch.setenv("HTTPS_PROXY", system.servicenow.url)  # A web server, but no proxy: it refuses CONNECT.
    elsewhere(system, AddressPolicy())
    finding = (await diagnose(system))["proxy"]
    assert "Ask whoever runs the proxy" in str(finding.advice)
    await system.resources.servicenow.close()


@pytest.mark.fact("servicenow 1.9")
async def test_our_address_is_read_from_a_refusal_that_names_it(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.ip_blocked = True
    finding = (await diagnose(system))["ip_filter"]
    assert re.search(r"\d+\.\d+\.\d+\.\d+", f"{finding.meaning}")
    assert re.search(r"allow the address \d+\.\d+", f"{finding.message}")


JSON_TYPE, HTML_TYPE = {"content-type": "application/json"}, {"content-type": "text/html"}
NOT_AUTHENTICATED = b'{"error": {"message": "User Not Authenticated", "detail": null}, "status": "failure"}'


@pytest.mark.fact("servicenow 2.6", "servicenow 5", "servicenow trap-1")
@pytest.mark.parametrize(
    ("answer", "key", "words"),
    [
        (RemoteResponse(401, JSON_TYPE, NOT_AUTHENTICATED), "reachable", "awake"),
        (RemoteResponse(200, HTML_TYPE, b"<title>Instance Hibernating page</title>"), "asleep", "hibernates"),
        (RemoteResponse(302, {"location": "https://login.example/saml"}, b""), "sso_before_api", "status 302"),
        (RemoteResponse(403, HTML_TYPE, b"Access restricted (203.0.113.9 not authorized)"), "ip_filter", "203.0.113.9"),
        (RemoteResponse(403, HTML_TYPE, b"Access restricted"), "ip_filter", "It does not name our address"),
        (RemoteResponse(429, JSON_TYPE | {"retry-after": "60"}, b"{}"), "rate_limit", "names 60 seconds"),
        (RemoteResponse(429, JSON_TYPE, b"{}"), "rate_limit", "without a time"),
        (RemoteResponse(502, HTML_TYPE, b"Bad Gateway"), "gateway", "status 502"),
        (RemoteResponse(200, HTML_TYPE, b"<h1>Welcome</h1>"), "not_servicenow", "status 200"),
    ],
)  # fmt: skip
def test_who_answered_is_told_by_status_and_shape(answer: RemoteResponse, key: str, words: str) -> None:
    finding = evaluate_answer(check_context(origin="https://127.0.0.1"), answer)
    assert finding.key == key
    assert words in str(finding.meaning)


@pytest.mark.parametrize(
    ("ahead", "state", "words"),
    [
        (None, State.UNKNOWN, "names no time"),
        (60.4, State.GOOD, "60 s"),
        (-60.0, State.GOOD, "60 s"),
        (61.0, State.NOTE, "61 s off"),
        (-3600.0, State.NOTE, "-3600 s off"),
    ],
)
def test_clocks_may_differ_by_a_minute(ahead: float | None, state: State, words: str) -> None:
    finding = evaluate_clock(check_context(), ahead)
    assert (finding.key, finding.state) == ("clock", state)
    assert words in str(finding.meaning)


def test_our_own_address_is_asked_of_the_routing_table() -> None:
    assert local_address("https://127.0.0.1") == "127.0.0.1"
    assert local_address("https://127.0.0.1:8443") == "127.0.0.1"
    assert local_address("https://") == "" or local_address("https://").count(".") == 3
    assert local_address("https://no such host") == ""
