"""Connections go to public addresses only, and to the very address that was checked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.integrations.http.errors import Unreachable
from app.integrations.http.http_types import Request
from app.integrations.http.ssrf import AddressNotPublic, AddressPolicy, HostNotFound, PolicyCheckedNetwork, is_public
from app.integrations.http.transport import Transport
from tests.factories.servers import serve


def names(**addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(host: str, _port: int) -> list[str]:
        found = addresses.get(host.split(".")[0])
        if found is None:
            raise OSError("unknown")
        return found.split(",")

    return resolve


@pytest.mark.fact("other-connectors bug-74")
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104 - refused here, not listened on.
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "fec0::1",
        "ff02::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:53aa:64c:0:0:80ff:fffe", "localhost", "",
    ],
)  # fmt: skip
def test_addresses_inside_are_told(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_pass(address: str) -> None:
    assert is_public(address)


@pytest.mark.fact("other-connectors bug-74")
@given(st.ip_addresses(v=4))
def test_no_private_address_passes_in_any_dress(address: Any) -> None:
    number = int(address)
    for dressed in (f"::ffff:{address}", f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}"):
        assert is_public(dressed) == is_public(str(address))


@pytest.mark.fact("other-connectors bug-74")
@pytest.mark.parametrize("found", ["10.0.0.1", "8.8.8.8,10.0.0.1", "::1"])
async def test_one_private_address_among_them_is_enough_to_refuse(found: str) -> None:
    policy = AddressPolicy(resolve=names(contoso=found))
    with pytest.raises(AddressNotPublic) as caught:
        await policy.check("https://contoso.service-now.com")
    assert "SERVICENOW_ALLOWED_ORIGINS" in str(caught.value)
    assert not caught.value.retry.allowed


async def test_a_name_that_does_not_exist_says_so() -> None:
    with pytest.raises(HostNotFound) as caught:
        await AddressPolicy(resolve=names()).check("https://contosso.service-now.com")
    assert "contosso.service-now.com could not be found" in str(caught.value)


async def test_listed_origins_are_not_checked_but_their_neighbours_are() -> None:
    policy = AddressPolicy(
        ("http://127.0.0.1:8100", "https://servicenow.contoso.example/"), resolve=names(servicenow="10.0.0.1")
    )
    await policy.check("http://127.0.0.1:8100")
    await policy.check("https://servicenow.contoso.example")
    for origin in ("http://127.0.0.1:8101", "https://servicenow.contoso.example:8443"):
        with pytest.raises(Unreachable):
            await policy.check(origin)


class Wires(httpcore.AsyncMockBackend):
    """Notes where connections are opened to."""

    def __init__(self, *refusing: str) -> None:
        super().__init__([])
        self.opened: list[str] = []
        self.refusing = refusing

    async def connect_tcp(self, host: str, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        self.opened.append(host)
        if host in self.refusing:
            raise httpcore.ConnectError
        return await super().connect_tcp(host, *args, **kwargs)


@pytest.mark.fact("other-connectors bug-74")
async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    wires = Wires()
    await PolicyCheckedNetwork(wires, AddressPolicy(resolve=names(contoso="8.8.8.8"))).connect_tcp(
        "contoso.service-now.com", 443
    )
    assert wires.opened == ["8.8.8.8"]


async def test_a_second_address_is_tried_when_the_first_does_not_answer() -> None:
    wires = Wires("2606:4700::1111")
    network = PolicyCheckedNetwork(wires, AddressPolicy(resolve=names(contoso="2606:4700::1111,8.8.8.8")))
    await network.connect_tcp("contoso.service-now.com", 443)
    assert wires.opened == ["2606:4700::1111", "8.8.8.8"]


@pytest.mark.fact("other-connectors bug-74")
async def test_a_name_that_changes_between_check_and_use_is_caught_at_the_call() -> None:
    answers = iter(["8.8.8.8", "127.0.0.1"])

    async def rebinding(_host: str, _port: int) -> list[str]:
        return [next(answers)]

    policy = AddressPolicy(resolve=rebinding)
    transport = Transport("servicenow", address_policy=policy)
    await transport.check("https://contoso.service-now.com")
    with pytest.raises(AddressNotPublic):
        await transport.send(Request("GET", "https://contoso.service-now.com/"))
    await transport.close()


@pytest.mark.fact("other-connectors bug-74")
async def test_a_redirect_to_the_inside_is_not_followed() -> None:
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        headers = [(b"location", b"http://169.254.169.254/latest/meta-data/")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    with serve(app) as url:
        transport = Transport("servicenow", address_policy=AddressPolicy((url,)))
        answer = await transport.send(Request("GET", f"{url}/api"))
        await transport.close()
    assert answer.status == 302
    assert asked == ["/api"]


async def test_a_listed_origin_is_reached_over_real_sockets() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})

    with serve(app) as url:
        transport = Transport("servicenow", address_policy=AddressPolicy((url,)))
        assert (await transport.send(Request("GET", url))).body == b"here"
        unlisted = Transport("servicenow", address_policy=AddressPolicy())
        with pytest.raises(AddressNotPublic):
            await unlisted.send(Request("GET", url))
        await transport.close()
        await unlisted.close()


async def test_a_slow_name_service_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr("app.integrations.http.ssrf.LOOKUP_SECONDS", 0.05)
    with pytest.raises(HostNotFound):
        await AddressPolicy(resolve=never).check("https://contoso.service-now.com")
