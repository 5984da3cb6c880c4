"""Send requests over one HTTP client without cookies, and map its failures to RemoteError. Retries nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.core import clock
from app.core.bounds import line
from app.core.logging import bind_fields, current_correlation_id, get_logger
from app.core.messages import Message, T
from app.core.metrics import count_call
from app.core.tracing import span
from app.integrations.http.errors import Ambiguous, InvalidResponse, RemoteError, Unreachable
from app.integrations.http.http_types import CallLogEntry, RemoteResponse, Request
from app.integrations.http.response_body import ACCEPTED_CODING, TOO_LARGE, read_body
from app.integrations.http.ssrf import AddressPolicy, PolicyCheckedNetwork

log = get_logger(__name__)

# httpcore tries to import it several times for each request, and where it is not installed each try searches all folders,
# which cost more than the rest of a request. An entry of None makes the import fail at once.
# https://docs.python.org/3/reference/import.html#the-module-cache
if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
# Added to the read time-out for the whole call: httpx's read time-out starts again with every byte that arrives.
# https://www.python-httpx.org/advanced/timeouts/
SPARE_SECONDS = 5.0
# Call log entries that wait for the gateway to store them.
RECENT_CALLS = 500
USER_AGENT = "security-center/0.1"

# httpx's failures before the request is sent. All others leave open whether it was received.
# https://www.python-httpx.org/exceptions/
NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.InvalidURL,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
CAUSES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (socket.gaierror, "name"),
    (ssl.SSLError, "tls"),
    ((ConnectionRefusedError, ConnectionResetError), "refused"),
    ((httpx.TimeoutException, TimeoutError), "slow"),
)
SENTENCES = {
    "name": T("The name %(host)s could not be found. Nothing was sent; we will try again."),
    "tls": T(
        "%(host)s could not prove that it is itself (TLS). A proxy that opens encrypted traffic may be in between, or the "
        "certificate may have expired. Nothing was sent; we will try again."
    ),
    "proxy": T("The proxy on the way to %(host)s refused the connection. Nothing was sent; we will try again."),
    "refused": T("%(host)s refused the connection. Nothing was sent; we will try again."),
    "slow": T("%(host)s did not take the connection in time. Nothing was sent; we will try again."),
    "other": T("%(host)s could not be reached. Nothing was sent; we will try again."),
    "late": T("The request to %(host)s waited too long before it could leave. Nothing was sent; we will try again."),
}
# An access token or an address that came from outside and is no plain ASCII.
UNWRITABLE = T("The request holds characters that cannot be sent.")


class _NoCookies(httpx.Cookies):
    # A reused ServiceNow session serializes calls and drops some of them with 202, and it outlives an expired token:
    # docs/facts/servicenow.md#2-8-cookies-and-concurrency and docs/facts/other-connectors.md#bug-18
    def extract_cookies(self, response: httpx.Response) -> None:
        """Override that stores nothing."""


class Transport:
    """One connection pool; `name` is its name in logs."""

    def __init__(
        self,
        name: str,
        *,
        max_connections: int = 10,
        answer_seconds: float = ANSWER_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
        address_policy: AddressPolicy | None = None,
    ) -> None:
        """`answer_seconds` is the read time-out, in seconds; a whole call may take SPARE_SECONDS longer.

        `address_policy` prevents SSRF. Behind a proxy it does not apply: the proxy resolves names.
        """
        self.name = name
        self.whole_seconds = answer_seconds + SPARE_SECONDS
        self.address_policy = address_policy
        # Taken and stored by the gateway; the oldest are dropped if nothing stores them.
        self.recent: deque[CallLogEntry] = deque(maxlen=RECENT_CALLS)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(answer_seconds, connect=connect_seconds),
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            follow_redirects=False,  # A redirect would carry the token to another host.
            trust_env=True,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPTED_CODING},
        )
        self._client._cookies = _NoCookies()  # httpx has no switch for this.
        if address_policy is not None and isinstance(self._client._transport, httpx.AsyncHTTPTransport):
            pool = self._client._transport._pool  # httpx has no switch for this either.
            pool._network_backend = PolicyCheckedNetwork(pool._network_backend, address_policy)

    async def check(self, origin: str) -> None:
        """Raises Unreachable if the name of this origin cannot be resolved or the address policy refuses it."""
        if self.address_policy is not None and not self.goes_through_proxy(origin):
            await self.address_policy.check(origin)

    def goes_through_proxy(self, url: str) -> bool:
        """Whether calls to this address go through a proxy (HTTPS_PROXY, NO_PROXY), which then resolves the name."""
        return self._client._transport_for_url(httpx.URL(url)) is not self._client._transport

    async def send(self, request: Request) -> RemoteResponse:
        """The response, with any status. Raises Unreachable, Ambiguous, or InvalidResponse when its body cannot be taken."""
        started, at = time.monotonic(), clock.now()
        try:
            with span(
                f"call {self.name}", http_method=request.method, server_address=urlsplit(request.url).netloc
            ) as call:
                answer = await self._exchange(request)
                call.set_attribute("http.status", answer.status)
        except RemoteError as error:
            self._note(request, at, started, outcome=type(error).__name__)
            raise
        self._note(request, at, started, answer)
        return answer

    def _note(
        self,
        request: Request,
        at: datetime,
        started: float,
        answer: RemoteResponse | None = None,
        *,
        outcome: str = "answered",
    ) -> None:
        parts = urlsplit(request.url)
        note = CallLogEntry(
            at=at,
            method=request.method,
            host=parts.netloc,
            path=parts.path,
            status=answer.status if answer else 0,
            outcome=outcome,
            milliseconds=round((time.monotonic() - started) * 1000),
            transaction_id=line(answer.header("x-transaction-id"), 64) if answer else "",
            correlation_id=current_correlation_id(),
        )
        self.recent.append(note)
        count_call(self.name, answer.status if answer else outcome, note.milliseconds / 1000)
        facts = {"to": self.name, "method": note.method, "host": note.host, "path": note.path, "ms": note.milliseconds}
        if answer is None:
            log.warning("http.call.failed", **facts, outcome=outcome)
        else:
            log.info("http.call.answered", **facts, status=note.status, transaction=note.transaction_id)
            # The line that says what became of a job names the call that decided it.
            bind_fields(last_transaction=note.transaction_id)

    async def _exchange(self, request: Request) -> RemoteResponse:
        try:
            async with (
                asyncio.timeout(None) as limit,
                self._client.stream(
                    request.method,
                    request.url,
                    params=dict(request.query) or None,
                    headers=dict(request.headers),
                    data=dict(request.form) if request.form is not None else None,
                    json=request.body,
                    extensions={"trace": _when_sending(limit, self.whole_seconds, request.leave_by)},
                ) as response,
            ):
                # Raw, because httpx would inflate without a limit.
                received, coding = response.aiter_raw(), response.headers.get("content-encoding", "")
                body = await read_body(received, coding, request.largest_answer)
        except NOTHING_SENT as error:
            raise _unreachable(request.url, error) from error
        except _TooLate as error:
            raise (Ambiguous() if error.has_begun else _unreachable(request.url, error)) from error
        except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
            raise Ambiguous from error
        except UnicodeError as error:
            raise InvalidResponse(UNWRITABLE) from error
        except MemoryError as error:
            raise InvalidResponse(TOO_LARGE) from error
        return RemoteResponse(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
        )

    async def close(self) -> None:
        await self._client.aclose()


class _TooLate(Exception):
    """The time by which the request had to leave has passed. Without its body, nothing is done with what has left."""

    def __init__(self, *, has_begun: bool) -> None:
        super().__init__()
        self.has_begun = has_begun


def _when_sending(
    limit: asyncio.Timeout, seconds: float, leave_by: float | None
) -> Callable[[str, Any], Awaitable[None]]:
    # The time-out of the whole call starts when the request is sent: waiting for the pool and connecting have their own.
    # https://www.python-httpx.org/advanced/extensions/#trace

    async def trace(event: str, _details: Any) -> None:  # noqa: ANN401 - the library's own.
        begins = event.endswith("send_request_headers.started")
        if begins:
            limit.reschedule(asyncio.get_running_loop().time() + seconds)
        # Between this and the system call that writes, nothing else of this process runs. A process that was frozen before
        # it would otherwise send what others have looked for meanwhile, and sent themselves.
        writes = begins or event.endswith("send_request_body.started")
        if writes and leave_by is not None and clock.seconds_awake_and_asleep() > leave_by:
            raise _TooLate(has_begun=not begins)

    return trace


def _unreachable(url: str, error: BaseException) -> Unreachable:
    why = _why(error)
    host = urlsplit(url).hostname or url
    failure = Unreachable(Message(SENTENCES[why].message, {"host": host}))
    failure.why = why
    # What kept it is here, so that other calls need not pause for it.
    failure.is_instance_wide = why != "late"
    return failure


def _why(error: BaseException) -> str:
    # httpx says no more than "could not connect"; the cause is further down the chain of exceptions.
    if isinstance(error, httpx.ProxyError):
        return "proxy"
    if isinstance(error, _TooLate):
        return "late"
    cause: BaseException | None = error
    while cause is not None:
        for kinds, why in CAUSES:
            if isinstance(cause, kinds):
                return why
        cause = cause.__cause__ or cause.__context__
    return "other"
