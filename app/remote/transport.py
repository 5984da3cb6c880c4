"""Sends requests over one HTTP client without a cookie jar, and turns its failures into our own."""

from __future__ import annotations

import ipaddress
import socket
import time
from urllib.parse import urlsplit

import httpx

from app.foundation.logs import get_logger
from app.foundation.text import T, Text
from app.remote.errors import Ambiguous, Garbled, RemoteError, Unreachable
from app.remote.messages import Answer, Request

log = get_logger(__name__)

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
USER_AGENT = "security-center/0.1"

# Failures of httpx that happen before the request has left us.
NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class _NoCookies(httpx.Cookies):
    """Forgets every cookie: a reused ServiceNow session serialises calls and silently drops some with 202."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Keep nothing."""


class Transport:
    """One pool of connections; `name` is what logs call it."""

    def __init__(
        self,
        name: str,
        *,
        max_connections: int = 10,
        answer_seconds: float = ANSWER_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self.name = name
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(answer_seconds, connect=connect_seconds),
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            follow_redirects=False,
            trust_env=True,
            headers={"User-Agent": USER_AGENT},
        )
        self._client._cookies = _NoCookies()  # httpx has no switch for this.

    async def send(self, request: Request) -> Answer:
        """The answer, whatever its status. Raises Unreachable, Ambiguous or Garbled (too large)."""
        started = time.monotonic()
        parts = urlsplit(request.url)
        facts = {"to": self.name, "method": request.method, "host": parts.netloc, "path": parts.path}
        try:
            answer = await self._exchange(request)
        except RemoteError as error:
            log.warning("call failed", **facts, outcome=type(error).__name__, ms=_milliseconds(started))
            raise
        log.info("call answered", **facts, status=answer.status, ms=_milliseconds(started))
        return answer

    async def _exchange(self, request: Request) -> Answer:
        try:
            async with self._client.stream(
                request.method,
                request.url,
                params=dict(request.query) or None,
                headers=dict(request.headers),
                data=dict(request.form) if request.form is not None else None,
                json=request.body,
            ) as response:
                body = await _bounded(response)
        except NOTHING_SENT as error:
            raise Unreachable(unreachable_sentence(request.url)) from error
        except httpx.HTTPError as error:
            raise Ambiguous from error
        except httpx.InvalidURL as error:
            raise Unreachable(unreachable_sentence(request.url)) from error
        return Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()


async def _bounded(response: httpx.Response) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > LARGEST_ANSWER_BYTES:
            raise Garbled(T("The answer is larger than we accept."))
        chunks.append(chunk)
    return b"".join(chunks)


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def unreachable_sentence(url: str) -> Text:
    """Who could not be reached."""
    return T("%(host)s could not be reached. Nothing was sent; we will try again.", host=urlsplit(url).hostname or url)


def resolves_to_public_addresses(host: str) -> bool:
    """Whether every address of this name is a public one; a name that does not resolve is not our concern here."""
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except OSError:
        return True
    return all(ipaddress.ip_address(str(entry[4][0]).split("%")[0]).is_global for entry in found)
