"""Outermost middleware of the ServiceNow sandbox: injects faults, applies network switches, writes the request journal."""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.faults import AFTER, BEFORE, FAULTS, MIDWAY, Fault
from sandbox.request_journal import JournalEntry, redacted
from sandbox.servicenow.api_sessions import COOKIE, SessionQueueFull, session_turn
from sandbox.servicenow.canned_responses import (
    COOKIES,
    JSON,
    CannedResponse,
    canned_response,
    new_transaction,
    partial,
    standard_headers,
)
from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.send import CapturedResponse, ResponseSender
from sandbox.servicenow.table_schema import TICKETS

TABLE = re.compile(r"^/api/now/(?:v\d/)?(?:table|stats)/([^/]+)")
UNJOURNALED = ("/_sandbox", "/favicon.ico")
# Paths that programs call. An IP rule blocks these, while browsers, on other networks, still reach the login pages.
PROGRAM_PATHS = ("/api/", "/oauth_token.do", "/oauth_revoke_token.do")
SHOWN_BODIES = ("json", "urlencoded")
KEPT_BODY = 4000


@dataclass
class Exchange:
    """One request while it is being handled."""

    scope: Scope
    body: bytes
    sender: ResponseSender
    fault: Fault | None = None
    is_journaled: bool = False
    transaction: str = field(default_factory=new_transaction)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.method: str = self.scope["method"]
        self.path: str = self.scope["path"]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.scope["headers"]}
        self.is_api = self.path.startswith("/api/")
        self.is_program_path = self.path.startswith(PROGRAM_PATHS)
        self.address_length = len(self.scope.get("raw_path") or b"") + len(self.scope["query_string"])
        found = TABLE.match(self.path)
        self.table = found[1] if found else "change_request" if self.path.startswith("/api/sn_chg_rest/") else ""


class FaultMiddleware:
    """Wraps the application. Console requests are neither disturbed nor journaled."""

    def __init__(self, app: ASGIApp, instance: SandboxInstance) -> None:
        self._app = app
        self.instance = instance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, await _read_all(receive), ResponseSender(send))
        if exchange.path.startswith(UNJOURNALED):
            await exchange.sender.send_whole(await self._call_app(exchange))
            return
        exchange.fault = self.instance.orders.take(exchange.method, exchange.path, exchange.table)
        try:
            await self._serve_in_session(exchange)
        finally:
            self._journal(exchange, 0)  # Has no effect when the request was journaled already.

    async def _serve_in_session(self, exchange: Exchange) -> None:
        session = self.instance.sessions.from_cookies(exchange.headers.get("cookie", "")) if exchange.is_api else None
        # Without session synchronization, calls of one session run in parallel: docs/facts/servicenow.md#sandbox-38
        if not self.instance.switches.session_sync:
            session = None
        try:
            async with session_turn(session):
                if self.instance.switches.latency_ms > 0:
                    await asyncio.sleep(self.instance.switches.latency_ms / 1000)
                await self._respond(exchange)
        except SessionQueueFull:
            await self._finish(exchange, self._canned("session_overflow"))

    async def _respond(self, exchange: Exchange) -> None:
        # Order of precedence: an ordered fault, a lasting switch, the application's own response.
        fault = exchange.fault
        if fault is None:
            standing = self._edge_response(exchange)
            await self._finish(
                exchange, CapturedResponse.from_canned(standing) if standing else await self._call_app(exchange)
            )
            return
        place = fault.place or _default_place(fault, exchange)
        if fault.name.startswith("record_"):
            await self._remove_ticket(exchange, fault, place)
        elif fault.name == "slow":
            await self._delay(exchange, fault, place)
        elif fault.name.startswith("dropped"):
            await self._drop(exchange, place)
        else:
            captured = await self._call_app(exchange) if place == AFTER else CapturedResponse()
            await self._finish(exchange, self._alter(fault, captured))

    async def _call_app(self, exchange: Exchange) -> CapturedResponse:
        captured = CapturedResponse()
        await self._app(exchange.scope, _replay(exchange.body), captured)
        return captured

    async def _finish(self, exchange: Exchange, captured: CapturedResponse) -> None:
        self._add_headers(exchange, captured)
        self._journal(exchange, captured.status)
        await exchange.sender.send_whole(captured)

    async def _delay(self, exchange: Exchange, fault: Fault, place: str) -> None:
        if place == BEFORE:  # The work is done late, even when the client has given up by then.
            await asyncio.sleep(fault.seconds)
            await self._finish(exchange, await self._call_app(exchange))
            return
        captured = await self._call_app(exchange)
        if place == MIDWAY:
            self._add_headers(exchange, captured)
            self._journal(exchange, captured.status)
            await exchange.sender.send_partly(captured, then_wait=fault.seconds)
            return
        await asyncio.sleep(fault.seconds)
        await self._finish(exchange, captured)

    async def _drop(self, exchange: Exchange, place: str) -> None:
        captured = CapturedResponse() if place == BEFORE else await self._call_app(exchange)
        self._journal(exchange, 0)
        if place == MIDWAY:
            self._add_headers(exchange, captured)
            await exchange.sender.send_partly(captured, then_wait=None)
        else:
            exchange.sender.abort()

    async def _remove_ticket(self, exchange: Exchange, fault: Fault, place: str) -> None:
        # See docs/facts/servicenow.md#sandbox-50: the record disappears before or after this call reads it.
        captured = await self._call_app(exchange) if place == AFTER else None
        remove_ticket(self.instance, fault, exchange.table)
        await self._finish(exchange, captured or await self._call_app(exchange))

    def _alter(self, fault: Fault, captured: CapturedResponse) -> CapturedResponse:
        """Return the faulty response; some faults alter the real one."""
        if fault.name == "not_created":
            captured.status = 200 if captured.status == 201 else captured.status
        elif fault.name == "partial_result" and captured.status == 200:
            captured.replace_body(partial(captured.body))
        elif fault.name == "broken_json" and len(captured.body) > 1:
            captured.replace_body(captured.body[: len(captured.body) * 2 // 3])
        else:
            return self._canned(fault.name, fault.retry_after)
        return captured

    def _canned(self, name: str, retry_after: str = "7") -> CapturedResponse:
        return CapturedResponse.from_canned(canned_response(name, self.instance.store.now(), retry_after))

    def _edge_response(self, exchange: Exchange) -> CannedResponse | None:
        """Return the response of a lasting network switch, or None. Applies before anything is read or written."""
        # See docs/facts/servicenow.md#sandbox-46 (hibernation, single sign-on) and #sandbox-47 (IP rules)
        switches, name = self.instance.switches, ""
        if exchange.is_api and 0 < switches.address_limit < exchange.address_length:
            name = "address_too_long"
        elif switches.ip_blocked and exchange.is_program_path:
            name = "ip_blocked"
        elif switches.api_asleep:
            name = "hibernating_503" if switches.asleep_with_503 else "hibernating"
        elif switches.api_sso and exchange.is_api:
            name = f"sso_{switches.api_sso}"
        return canned_response(name, self.instance.store.now()) if name else None

    def _add_headers(self, exchange: Exchange, captured: CapturedResponse) -> None:
        # See docs/facts/servicenow.md#2-7-response-headers-on-a-real-call and #sandbox-38
        switches = self.instance.switches
        user_id = exchange.scope.get("state", {}).get("user_id", "")
        if exchange.is_api:
            captured.headers = [(k, JSON.encode() if v == b"application/json" else v) for k, v in captured.headers]
        captured.headers += standard_headers(self.instance.store.now(), exchange.transaction, signed_in=bool(user_id))
        if exchange.is_api and switches.session_cookies:
            if self.instance.sessions.from_cookies(exchange.headers.get("cookie", "")) is None:
                cookie = f"{COOKIE}={self.instance.sessions.start(user_id)}; Path=/; HttpOnly"
                captured.headers.append((b"set-cookie", cookie.encode()))
            captured.headers += [(b"set-cookie", one) for one in COOKIES]
        if exchange.is_api and switches.compress and "gzip" in exchange.headers.get("accept-encoding", ""):
            captured.compress()

    def _journal(self, exchange: Exchange, status: int) -> None:
        """Write the journal entry once, before the response is sent, so that a client can read its own entry."""
        if exchange.is_journaled:
            return
        exchange.is_journaled = True
        kind = exchange.headers.get("content-type", "")
        text = exchange.body.decode(errors="replace")[:KEPT_BODY] if any(k in kind for k in SHOWN_BODIES) else ""
        self.instance.journal.write(
            JournalEntry(
                method=exchange.method,
                path=exchange.path,
                query=redacted(exchange.scope["query_string"].decode("latin-1")),
                status=status,
                user=exchange.scope.get("state", {}).get("user", ""),
                fault=exchange.fault.name if exchange.fault else "",
                note=exchange.scope.get("state", {}).get("note", ""),
                body=redacted(text) if "urlencoded" in kind else text,
                had_cookies="cookie" in exchange.headers,
                table=exchange.table,
                transaction=exchange.transaction,
                milliseconds=round((time.monotonic() - exchange.started) * 1000),
            )
        )


def remove_ticket(instance: SandboxInstance, fault: Fault, table: str) -> None:
    """Delete or hide one ticket: the one the fault names, or a random visible one with a correlation ID."""
    tables = (table,) if table in TICKETS else TICKETS
    found = [
        (name, row)
        for name in tables
        for row in instance.store.rows(name)
        if (row["number"] == fault.number if fault.number else row["correlation_id"] and row.get("_hidden") != "true")
    ]
    if not found:
        return
    name, row = random.Random(f"{fault.seed} {len(found)}").choice(found)  # noqa: S311 - repeatable on purpose.
    if fault.name == "record_deleted":
        instance.store.remove(name, row["sys_id"])
    else:
        instance.store.put(name, row | {"_hidden": "true"})


def _default_place(fault: Fault, exchange: Exchange) -> str:
    # A read runs first, so that the altered response contains real rows.
    if fault.name in ("partial_result", "broken_json"):
        return AFTER if exchange.method == "GET" else BEFORE
    return FAULTS[fault.name].places[0]


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
