"""Around every request: a correlation id, refusal of cross-site writes and oversized bodies, and security headers."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.logging import bind_correlation_id, get_logger

log = get_logger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_BODY_BYTES = 512 * 1024
Refuse = Callable[[Scope, Receive, Send, int], Awaitable[None]]


class BodyTooLarge(Exception):
    """More came than any form of ours holds. Raised into whoever reads the body; it ends in 413."""


class SecurityMiddleware:
    """The product's own middleware. `refuse` answers a request that is not let in, with the given status."""

    def __init__(self, app: ASGIApp, *, public_url: str, form_targets: tuple[str, ...], refuse: Refuse) -> None:
        self._app = app
        parts = urlsplit(public_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._is_https = parts.scheme == "https"
        self._form_targets = " ".join(form_targets)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["correlation_id"] = secrets.token_hex(8)
        state["csp_nonce"] = secrets.token_urlsafe(16)
        state["viewer"] = None
        bind_correlation_id(state["correlation_id"])
        guarded = self._with_headers(scope, send)
        if scope["method"] not in SAFE_METHODS and not self._from_ourselves(headers):
            log.warning("cross-site write refused", path=scope["path"], origin=headers.get("origin", ""))
            await self._refuse(scope, receive, guarded, 403)
        elif self._too_large(headers):
            await self._refuse(scope, receive, guarded, 413)
        else:
            await self._counting(scope, receive, guarded)

    async def _counting(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A body that does not say its length, or not the truth, is counted while it comes."""
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
            if has_answered:
                raise
            await self._refuse(scope, receive, send, 413)

    def _from_ourselves(self, headers: Headers) -> bool:
        """Browsers say where a write comes from; what says nothing at all is no browser and holds no cookie of one."""
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        origin = headers.get("origin")
        return origin is None or origin == self._origin

    @staticmethod
    def _too_large(headers: Headers) -> bool:
        length = headers.get("content-length", "0")
        return not length.isdigit() or int(length) > LARGEST_BODY_BYTES

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        state = scope["state"]
        policy = "; ".join(
            (
                "default-src 'none'",
                f"script-src 'self' 'nonce-{state['csp_nonce']}'",
                "style-src 'self'",
                "img-src 'self' data:",
                "font-src 'self'",
                "connect-src 'self'",
                # Browsers apply this to redirects after a form as well: authorizing ends at Entra ID or ServiceNow.
                f"form-action 'self' {self._form_targets}".strip(),
                "base-uri 'none'",
                "frame-ancestors 'none'",
            )
        )

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Correlation-ID"] = state["correlation_id"]
                headers["Content-Security-Policy"] = policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                if self._is_https:
                    headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        return send_with_headers
