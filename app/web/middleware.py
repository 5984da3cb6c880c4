"""Security around every request: CSRF refusal, a limit on body size, and security headers. Knows no person and no page."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.logging import bind_correlation_id
from app.web.host_names import host_name

# Methods that change nothing, so a forged one does no harm: RFC 9110 9.2.1.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# The largest form is a bulk share of 1,000 actions (MOST_AT_ONCE), whose ids take about 100 KiB; 512 KiB is several times
# that. Without a limit one request could fill the memory (denial of service):
# https://cheatsheetseries.owasp.org/cheatsheets/Denial_of_Service_Cheat_Sheet.html
LARGEST_BODY_BYTES = 512 * 1024
# Path and query in bytes. Nothing of ours comes near: proxies take some 8,000 (https://nginx.org/r/large_client_header_buffers),
# a sign-in comes back with 2,000 of Entra ID's. Work and page size grow with an address, which any other site can make.
LONGEST_ADDRESS = 8_000
# Cookies of eight begun sign-ins and a session take 2 KiB. https://nginx.org/r/large_client_header_buffers, 32 KiB in all.
LARGEST_HEAD_BYTES = 32 * 1024
# A query is printable ASCII (RFC 3986 3.4), yet servers hand on other bytes as well, at which Starlette's Request.url fails.
NOT_IN_A_QUERY = re.compile(rb"[^\x21-\x7e]")
# XSS (cross-site scripting) and content injection: only our own files may run or style anything, and no page has a script
# or style within. https://cheatsheetseries.owasp.org/cheatsheets/Content_Security_Policy_Cheat_Sheet.html
CONTENT_SECURITY_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    # An image from a data: URL runs nothing and calls nothing.
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    # No form of ours ends on another site: app/web/leaving.py.
    "form-action 'self'",
    # An injected <base> would redirect every relative link and script.
    "base-uri 'none'",
    # Clickjacking: no other page may frame ours. It replaces X-Frame-Options, says
    # https://cheatsheetseries.owasp.org/cheatsheets/Clickjacking_Defense_Cheat_Sheet.html
    "frame-ancestors 'none'",
)
# The set and its values follow https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
SECURITY_HEADERS = {
    "Content-Security-Policy": "; ".join(CONTENT_SECURITY_POLICY),
    # MIME sniffing: a response must not be run as a script because its bytes look like one.
    "X-Content-Type-Options": "nosniff",
    # Paths hold ticket ids and search words: no other site learns them. Ours needs them after a sign-in.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Cross-site leaks (XS-Leaks): no window handle for sites that open us, no embedding of our files.
    # https://cheatsheetseries.owasp.org/cheatsheets/XS_Leaks_Cheat_Sheet.html
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# HSTS, one year: RFC 6797. Over plain HTTP browsers must ignore it (8.1). Without includeSubDomains (6.1.2), which would bind
# every host below ours: those are for their owners to decide.
OVER_HTTPS = {"Strict-Transport-Security": "max-age=31536000"}
# Pages hold what only their viewer may read: no cache stores them, unless a response says otherwise: RFC 9111 5.2.2.5.
NOT_KEPT = (b"cache-control", b"no-store")
Refuse = Callable[[Scope, Receive, Send, int], Awaitable[None]]


class BodyTooLarge(Exception):
    """The body passed the limit while it was read. Raised into the reader; ends in 413."""


class SecurityMiddleware:
    """`refuse` logs why and sends the error page for a status; 500 while an exception is handled."""

    def __init__(self, app: ASGIApp, *, public_url: str, refuse: Refuse) -> None:
        self._app = app
        parts = urlsplit(public_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._name_and_scheme = (host_name(parts.netloc), parts.scheme)
        self._refuse = refuse
        # Bytes made once, as ASGI wants them: nine settings for each response would cost more than all checks above.
        named = SECURITY_HEADERS | (OVER_HTTPS if parts.scheme == "https" else {})
        self._headers = tuple((name.lower().encode(), value.encode()) for name, value in named.items())
        self._names = frozenset(name for name, _ in self._headers) | {b"x-correlation-id"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["correlation_id"] = secrets.token_hex(8)
        state["viewer"] = None
        bind_correlation_id(state["correlation_id"])
        scope["query_string"] = NOT_IN_A_QUERY.sub(lambda found: b"%%%02X" % found[0][0], scope["query_string"])
        send_with_headers = self._with_security_headers(scope, send)
        writes = scope["method"] not in SAFE_METHODS
        if writes and self._is_from_another_name(headers):
            await self._refuse(scope, receive, send_with_headers, 400)
        elif writes and not self._is_same_origin(headers):
            await self._refuse(scope, receive, send_with_headers, 403)
        elif len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > LONGEST_ADDRESS:
            await self._refuse(scope, receive, send_with_headers, 414)
        elif sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEAD_BYTES:
            await self._refuse(scope, receive, send_with_headers, 431)
        elif self._declares_too_much(headers):
            await self._refuse(scope, receive, send_with_headers, 413)
        else:
            await self._limit_body(scope, receive, send_with_headers)

    # CSRF (cross-site request forgery): another site makes the browser post to us with our cookie. Every browser of today
    # sends Sec-Fetch-Site, which no script can set; older ones send Origin with a POST. There is no token in forms to forget.
    # https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html#fetch-metadata-headers
    # https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
    def _is_same_origin(self, headers: Headers) -> bool:
        site = headers.get("sec-fetch-site")
        if site is not None:
            # "none" is the person's own doing, such as a bookmark. "same-site" is a sibling domain, which we do not trust.
            return site in ("same-origin", "none")
        # Neither header: a program, not a browser, so that no browser's cookie can be abused.
        origin = headers.get("origin")
        return origin is None or origin == self._origin

    # A page of ours, opened under another name or without TLS: nothing done there can end well, because the browser comes back
    # from a sign-in to PUBLIC_URL, where its cookie is not. Origin is the browser's own word, which no proxy changes.
    def _is_from_another_name(self, headers: Headers) -> bool:
        scheme, _, netloc = headers.get("origin", "").partition("://")
        name = host_name(netloc)
        if not name or (name, scheme) == self._name_and_scheme:
            return False
        if "sec-fetch-site" in headers:
            return headers["sec-fetch-site"] == "same-origin"
        return name != self._name_and_scheme[0] and name == host_name(headers.get("host", ""))

    @staticmethod
    def _declares_too_much(headers: Headers) -> bool:
        # A Content-Length is decimal digits and nothing else: RFC 9110 8.6. Any other value is refused as too large.
        length = headers.get("content-length", "0")
        # isdigit() accepts "²" as well, and int() refuses thousands of digits.
        is_number = length.isascii() and length.isdigit() and len(length) < 20
        return not is_number or int(length) > LARGEST_BODY_BYTES

    async def _limit_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a body that declares no length, or a false one, while it is read."""
        taken, has_answered = 0, False

        async def receive_counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > LARGEST_BODY_BYTES:
                raise BodyTooLarge
            return message

        async def send_noted(message: Message) -> None:
            nonlocal has_answered
            has_answered = True
            await send(message)

        try:
            await self._app(scope, receive_counted, send_noted)
        except BodyTooLarge:
            # ASGI allows one response per request: one that has begun cannot become a 413.
            if has_answered:
                raise
            await self._refuse(scope, receive, send, 413)
        except Exception:
            # Here, because Starlette's own place for it lies outside of this middleware: its page would have none of these
            # headers, and no X-Correlation-ID. https://www.starlette.io/exceptions/#errors-and-handled-exceptions
            if has_answered:
                raise
            await self._refuse(scope, receive, send, 500)

    def _with_security_headers(self, scope: Scope, send: Send) -> Send:
        correlation_id = scope["state"]["correlation_id"].encode()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message.get("headers", ()) if pair[0] not in self._names]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append(NOT_KEPT)
                message["headers"] = [*headers, (b"x-correlation-id", correlation_id), *self._headers]
            await send(message)

        return send_with_headers
