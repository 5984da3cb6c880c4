"""The outermost layer of the stand-in: carries out ordered faults and writes the journal, around whatever answers."""

from __future__ import annotations

import asyncio
import json
from http.cookies import SimpleCookie
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.faults import Fault
from sandbox.journal import Entry, without_secrets
from sandbox.servicenow.instance import Instance

HIBERNATING = "<html><head><title>Instance Hibernating page</title></head><body>This instance is asleep.</body></html>"
SIGN_ON = "<html><head><title>Sign in</title></head><body>Continue to your organisation's sign-in page.</body></html>"
GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
CANCELLED = {
    "error": {
        "message": "Transaction cancelled: maximum execution time exceeded",
        "detail": "Transaction cancelled: maximum execution time exceeded Check logs for error trace",
    },
    "status": "failure",
}
LIMITED = {
    "error": {
        "message": "Rate limit exceeded",
        "detail": "Rate limit of 100 requests per hour for Table API exceeded",
    },
    "status": "failure",
}
API_ACL = {
    "error": {"message": "User Not Authorized", "detail": "Failed API level ACL Validation"},
    "status": "failure",
}
REFUSED = {
    "error": {"message": "Operation Failed", "detail": "ACL Exception Insert Failed due to security constraints"},
    "status": "failure",
}
# Headers of a real call (facts 2.7).
USUAL = (
    (b"server", b"snow_adc"),
    (b"x-is-logged-in", b"true"),
    (b"cache-control", b"no-cache,no-store,must-revalidate,max-age=-1"),
    (b"pragma", b"no-store,no-cache"),
    (b"expires", b"0"),
)
COOKIES = (
    b"JSESSIONID=0; Path=/; HttpOnly",
    b"glide_user_route=glide.0; Path=/; HttpOnly",
    b"glide_session_store=0; Max-Age=1800; Path=/; HttpOnly",
)
# 43, 45, 48: the work is done, and only then the answer goes wrong.
AFTER_COMMIT = {"cancelled_after_commit", "refused_after_commit", "dropped_after_commit"}
JSON = "application/json;charset=UTF-8"
HTML = "text/html;charset=UTF-8"
RATE_HEADERS = {"Retry-After": "7", "X-RateLimit-Limit": "100", "X-RateLimit-Rule": "0" * 32}
# What is answered in place of the truth: status, body, kind, further headers.
SPOILED: dict[str, tuple[int, str, str, dict[str, str]]] = {
    "rate_limited": (429, json.dumps(LIMITED), JSON, RATE_HEADERS),
    "semaphore_full": (429, "", HTML, {}),
    "cancelled_after_commit": (500, json.dumps(CANCELLED), JSON, {}),
    "partial_result": (200, json.dumps({"result": [], **CANCELLED}), JSON, {}),
    "broken_json": (200, '{"result":[{"sys_id":"', JSON, {}),
    "refused_after_commit": (403, json.dumps(REFUSED), JSON, {}),
    "hibernating": (200, HIBERNATING, HTML, {}),
    "hibernating_503": (503, HIBERNATING, HTML, {}),
    "sso_page": (200, SIGN_ON, HTML, {}),
    "bad_gateway": (502, GATEWAY, HTML, {}),
    "ip_blocked": (403, "Access restricted", "text/plain", {}),
    "acl_hiccup": (403, json.dumps(API_ACL), JSON, {}),
    "session_overflow": (202, "", JSON, {}),
}


class Troubled:
    """Wraps the stand-in's own application; only API and token calls are troubled and written down."""

    def __init__(self, app: ASGIApp, instance: Instance) -> None:
        self._app = app
        self.instance = instance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox"):
            await self._app(scope, receive, send)
            return
        body = await _read_all(receive)
        fault = self.instance.orders.take(scope["method"], scope["path"])
        if fault is None and self.instance.switches.api_asleep and scope["path"].startswith(("/api/", "/oauth_token")):
            fault = Fault("hibernating")
        recorder = _Recorder(send, cookies=self.instance.switches.session_cookies and scope["path"].startswith("/api/"))
        try:
            await self._carry_out(fault, scope, body, recorder)
        finally:
            self._write_down(scope, body, fault, recorder.status)

    async def _carry_out(self, fault: Fault | None, scope: Scope, body: bytes, recorder: _Recorder) -> None:
        if fault is not None and fault.name in AFTER_COMMIT:
            await self._app(scope, _replay(body), _swallow)
        name = fault.name if fault else ""
        if name.startswith("dropped"):
            recorder.drop()
        elif name in SPOILED:
            await recorder.answer(*SPOILED[name])
        elif fault and name == "slow":
            await self._app(scope, _replay(body), recorder.slowly(fault.seconds))
        else:
            await self._app(scope, _replay(body), recorder)

    def _write_down(self, scope: Scope, body: bytes, fault: Fault | None, status: int) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        text = body.decode(errors="replace")[:4000]
        if "urlencoded" in headers.get("content-type", ""):
            text = without_secrets(text)
        self.instance.journal.write(
            Entry(
                method=scope["method"],
                path=scope["path"],
                query=without_secrets(scope["query_string"].decode()),
                status=status,
                user=scope.get("state", {}).get("user", ""),
                fault=fault.name if fault else "",
                body=text
                if "json" in headers.get("content-type", "") or "urlencoded" in headers.get("content-type", "")
                else "",
                had_cookies=bool(SimpleCookie(headers.get("cookie", ""))),
            )
        )


class _Recorder:
    """Passes an answer on, noting its status and adding the headers every answer of an instance has."""

    def __init__(self, send: Send, *, cookies: bool) -> None:
        self._send = send
        self._cookies = cookies
        self.status = 0

    async def __call__(self, message: Message) -> None:
        """One ASGI message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            extra = [*USUAL, *((b"set-cookie", cookie) for cookie in COOKIES if self._cookies)]
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await self._send(message)

    async def answer(self, status: int, body: str, kind: str, extra: dict[str, str]) -> None:
        """A whole answer of our own."""
        headers = {"content-type": kind, "content-length": str(len(body.encode())), **extra}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": status, "headers": raw})
        await self({"type": "http.response.body", "body": body.encode()})

    def drop(self) -> None:
        """Cut the connection without an answer; uvicorn's `send` is a method of the cycle that owns the transport."""
        cycle: Any = getattr(self._send, "__self__", None)
        cycle.transport.abort()

    def slowly(self, seconds: float) -> Send:
        """Answer, but only after so long."""

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(seconds)
            await self(message)

        return send


async def _read_all(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


def _replay(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _swallow(_message: Message) -> None:
    """Nobody hears this answer."""
