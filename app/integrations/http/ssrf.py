"""Lets a connection go only to public addresses, and to the very address that was checked. Speaks no HTTP itself.

A name may point inside the house, and may point elsewhere a moment after it was checked. So the name is looked up once,
every address it has is judged, and the connection is made to one of those, never to the name. TLS still asks for the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any
from urllib.parse import urlsplit

import httpcore

from app.core.errors import Retry
from app.core.messages import T
from app.integrations.http.errors import Unreachable

Resolve = Callable[[str, int], Awaitable[list[str]]]
LOOKUP_SECONDS = 5.0
# Addresses that carry an IPv4 address inside (RFC 6052): judged by what is inside.
NAT64 = ipaddress.ip_network("64:ff9b::/96")
DEFAULT_PORTS = {"https": 443, "http": 80}


class AddressNotPublic(Unreachable):
    """The name points to an address inside some network, where an instance has no business to be."""

    why = "address"
    retry = Retry.NEVER


class HostNotFound(Unreachable):
    """There is no such name, as far as this server's name service knows."""

    why = "name"


class AddressPolicy:
    """Judges addresses before anything is sent to them. Origins that the operator lists are not judged."""

    def __init__(self, exempt: Collection[str] = (), *, resolve: Resolve | None = None) -> None:
        self._exempt = {_host_and_port(origin) for origin in exempt}
        self._resolve = resolve or resolve_host

    def allow(self, origin: str) -> None:
        """List one more origin."""
        self._exempt.add(_host_and_port(origin))

    async def check(self, origin: str) -> None:
        """Raises NotPublic or NameUnknown when this origin would not be called."""
        host, port = _host_and_port(origin)
        await self.addresses(host, port)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where to connect to: the host itself when it is exempt, else its addresses, all of them public."""
        if (host.lower().rstrip("."), port) in self._exempt:
            return [host]
        found = await self._looked_up(host, port)
        inside = [address for address in found if not is_public(address)]
        if inside:
            raise AddressNotPublic(
                T(
                    "%(host)s points to %(address)s, an address inside a private network, so nothing was sent. If that is "
                    "right, the operator of this security center lists the address in SERVICENOW_ALLOWED_ORIGINS.",
                    host=host,
                    address=inside[0],
                )
            )
        return found

    async def _looked_up(self, host: str, port: int) -> list[str]:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError, too.
            raise _unknown(host) from error
        if not found:
            raise _unknown(host)
        return list(dict.fromkeys(found))


class PolicyCheckedNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections for the HTTP client, each to an address that the guard has let through."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend, guard: AddressPolicy) -> None:
        self._inner = inner
        self._guard = guard

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the base's signature.
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Try the addresses in turn. Raises what the last one raised."""
        addresses = await self._guard.addresses(host, port)
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Between the client's own attempts."""
        await self._inner.sleep(seconds)


async def resolve_host(host: str, port: int) -> list[str]:
    """Every address of a name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(text: str) -> bool:
    """Whether an address belongs to the open internet; addresses that carry another are judged by that one."""
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        carried = _carried(address)
        if carried:
            return all(is_public(str(inner)) for inner in carried)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _carried(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [inner for inner in carried if inner is not None]


def _host_and_port(origin: str) -> tuple[str, int]:
    parts = urlsplit(origin)
    return (parts.hostname or "").rstrip("."), parts.port or DEFAULT_PORTS.get(parts.scheme, 443)


def _unknown(host: str) -> HostNotFound:
    return HostNotFound(
        T(
            "The name %(host)s could not be found. Check how the instance name is written, and whether this server can "
            "look up names of the internet.",
            host=host,
        )
    )
