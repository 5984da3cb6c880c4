"""Refuse server-side request forgery (SSRF): connect to public addresses only, and to the address that was checked.

A name may resolve to a private address, and to another one a moment after it was checked (DNS rebinding). So the name is
resolved once, every address it has is checked, and the connection goes to one of those addresses, never to the name. TLS
still verifies the name. Speaks no HTTP itself.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
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
from app.core.logging import get_logger
from app.core.messages import T
from app.integrations.http.errors import Unreachable

log = get_logger(__name__)

# RFC 1035 2.3.4; a longer one is no name.
LONGEST_HOST = 255
Resolve = Callable[[str, int], Awaitable[list[str]]]
LOOKUP_SECONDS = 5.0
# The well-known prefix for IPv4 addresses inside IPv6: https://www.rfc-editor.org/rfc/rfc6052#section-2.1
NAT64 = ipaddress.ip_network("64:ff9b::/96")
DEFAULT_PORTS = {"https": 443, "http": 80}


class AddressNotPublic(Unreachable):
    """The name resolves to an address that is not public."""

    why = "address"
    retry = Retry.NEVER


class HostNotFound(Unreachable):
    """The name cannot be resolved."""

    why = "name"


class AddressPolicy:
    """Which addresses may be called. `exempt` origins, which the operator lists, are not checked."""

    def __init__(self, exempt: Collection[str] = (), *, resolve: Resolve | None = None) -> None:
        self._exempt = {_host_and_port(origin) for origin in exempt}
        self._resolve = resolve or resolve_host

    def allow(self, origin: str) -> None:
        self._exempt.add(_host_and_port(origin))

    async def check(self, origin: str) -> None:
        """Raises AddressNotPublic or HostNotFound when this origin would not be called."""
        host, port = _host_and_port(origin)
        await self.addresses(host, port)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where to connect: the host itself when it is exempt, else its addresses. Raises unless all of them are public."""
        if (host.lower().rstrip("."), port) in self._exempt:
            return [host]
        found = await self._resolved(host, port)
        inside = [address for address in found if not is_public(address)]
        if inside:
            log.warning("refused.call_address", host=host[:LONGEST_HOST], address=inside[0])
            raise AddressNotPublic(
                T(
                    "%(host)s points to %(address)s, an address inside a private network, so nothing was sent. If that is "
                    "right, the operator of this security center lists the address in SERVICENOW_ALLOWED_ORIGINS.",
                    code="address.not_public",
                    host=host,
                    address=inside[0],
                )
            )
        return found

    async def _resolved(self, host: str, port: int) -> list[str]:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError, too.
            raise _unknown(host) from error
        if not found:
            raise _unknown(host)
        return list(dict.fromkeys(found))


class PolicyCheckedNetwork(httpcore.AsyncNetworkBackend):
    """The network backend of the HTTP client: connects to addresses that the policy has allowed."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend, policy: AddressPolicy) -> None:
        self._inner = inner
        self._policy = policy

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the base's signature.
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        # One address after the other, as a host may have a dead one among several.
        addresses = await self._policy.addresses(host, port)
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def resolve_host(host: str, port: int) -> list[str]:
    """Every address of a name, as text. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(text: str) -> bool:
    """Whether an address is on the public internet. One that carries an IPv4 address is checked by that one."""
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


# IPv4-mapped (::ffff:127.0.0.1), 6to4, Teredo and NAT64 addresses all lead to the IPv4 address inside.
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
