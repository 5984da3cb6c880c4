"""The outermost layer of the stand-in: carries out faults and the edge's switches, and writes the journal."""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.faults import AFTER, BEFORE, FAULTS, MIDWAY, Fault
from sandbox.journal import Entry, without_secrets
from sandbox.servicenow.answers import COOKIES, Answer, new_transaction, partial, spoiled, usual_headers
from sandbox.servicenow.instance import Instance
from sandbox.servicenow.schema import TICKETS
from sandbox.servicenow.sessions import COOKIE, Overflow, turn_in
from sandbox.servicenow.wire import Caught, Wire

TABLE = re.compile(r"^/api/now/(?:v\d/)?(?:table|stats)/([^/]+)")
CONSOLE = ("/_sandbox", "/favicon.ico")
# What a program calls; browsers come from other addresses and know other pages.
MACHINE = ("/api/", "/oauth_token.do", "/oauth_revoke_token.do")
SHOWN_BODIES = ("json", "urlencoded")
KEPT_BODY = 4000


@dataclass
class Visit:
    """One request on its way through."""

    scope: Scope
    body: bytes
    wire: Wire
    fault: Fault | None = None
    is_written: bool = False
    transaction: str = field(default_factory=new_transaction)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.method: str = self.scope["method"]
        self.path: str = self.scope["path"]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.scope["headers"]}
        self.is_api = self.path.startswith("/api/")
        self.is_machine = self.path.startswith(MACHINE)
        found = TABLE.match(self.path)
        self.table = found[1] if found else "change_request" if self.path.startswith("/api/sn_chg_rest/") else ""


class Troubled:
    """Wraps the stand-in's own application; the console is never troubled nor written down."""

    def __init__(self, app: ASGIApp, instance: Instance) -> None:
        self._app = app
        self.instance = instance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = Visit(scope, await _read_all(receive), Wire(send))
        if visit.path.startswith(CONSOLE):
            await visit.wire.whole(await self._work(visit))
            return
        visit.fault = self.instance.orders.take(visit.method, visit.path, visit.table)
        try:
            await self._serve(visit)
        finally:
            self._write_down(visit, 0)  # Unless it is written down already.

    async def _serve(self, visit: Visit) -> None:
        session = self.instance.sessions.of(visit.headers.get("cookie", "")) if visit.is_api else None
        if not self.instance.switches.session_sync:
            session = None
        try:
            async with turn_in(session):
                if self.instance.switches.latency_ms > 0:
                    await asyncio.sleep(self.instance.switches.latency_ms / 1000)
                await self._carry_out(visit)
        except Overflow:
            await self._finish(visit, self._spoiled("session_overflow"))

    async def _carry_out(self, visit: Visit) -> None:
        """The fault ordered, then trouble that lasts, then the truth."""
        fault = visit.fault
        if fault is None:
            standing = self._standing_trouble(visit)
            await self._finish(visit, Caught.answer(standing) if standing else await self._work(visit))
            return
        place = fault.place or _natural_place(fault, visit)
        if fault.name.startswith("record_"):
            await self._take_away(visit, fault, place)
        elif fault.name == "slow":
            await self._slowly(visit, fault, place)
        elif fault.name.startswith("dropped"):
            await self._drop(visit, place)
        else:
            caught = await self._work(visit) if place == AFTER else Caught()
            await self._finish(visit, self._spoil(fault, caught))

    async def _work(self, visit: Visit) -> Caught:
        """What the instance really answers."""
        caught = Caught()
        await self._app(visit.scope, _replay(visit.body), caught)
        return caught

    async def _finish(self, visit: Visit, caught: Caught) -> None:
        self._dress(visit, caught)
        self._write_down(visit, caught.status)
        await visit.wire.whole(caught)

    async def _slowly(self, visit: Visit, fault: Fault, place: str) -> None:
        if place == BEFORE:  # The work itself comes late, even if nobody waits for it any more.
            await asyncio.sleep(fault.seconds)
            await self._finish(visit, await self._work(visit))
            return
        caught = await self._work(visit)
        if place == MIDWAY:
            self._dress(visit, caught)
            self._write_down(visit, caught.status)
            await visit.wire.partly(caught, then_wait=fault.seconds)
            return
        await asyncio.sleep(fault.seconds)
        await self._finish(visit, caught)

    async def _drop(self, visit: Visit, place: str) -> None:
        caught = Caught() if place == BEFORE else await self._work(visit)
        self._write_down(visit, 0)
        if place == MIDWAY:
            self._dress(visit, caught)
            await visit.wire.partly(caught, then_wait=None)
        else:
            visit.wire.cut()

    async def _take_away(self, visit: Visit, fault: Fault, place: str) -> None:
        """50: a record goes, before this call looks or after it has looked."""
        caught = await self._work(visit) if place == AFTER else None
        take_away(self.instance, fault, visit.table)
        await self._finish(visit, caught or await self._work(visit))

    def _spoil(self, fault: Fault, caught: Caught) -> Caught:
        """What comes in place of the truth; of some faults the truth is a part."""
        if fault.name == "not_created":
            caught.status = 200 if caught.status == 201 else caught.status
        elif fault.name == "partial_result" and caught.status == 200:
            caught.replace_body(partial(caught.body))
        elif fault.name == "broken_json" and len(caught.body) > 1:
            caught.replace_body(caught.body[: len(caught.body) * 2 // 3])
        else:
            return self._spoiled(fault.name, fault.retry_after)
        return caught

    def _spoiled(self, name: str, retry_after: str = "7") -> Caught:
        return Caught.answer(spoiled(name, self.instance.store.now(), retry_after))

    def _standing_trouble(self, visit: Visit) -> Answer | None:
        """Switches at the instance's edge; they strike before anything is looked at."""
        switches, name = self.instance.switches, ""
        if switches.ip_blocked and visit.is_machine:
            name = "ip_blocked"
        elif switches.api_asleep:
            name = "hibernating_503" if switches.asleep_with_503 else "hibernating"
        elif switches.api_sso and visit.is_api:
            name = f"sso_{switches.api_sso}"
        return spoiled(name, self.instance.store.now()) if name else None

    def _dress(self, visit: Visit, caught: Caught) -> None:
        """The headers every answer has, cookies, compression."""
        switches = self.instance.switches
        user_id = visit.scope.get("state", {}).get("user_id", "")
        caught.headers += usual_headers(self.instance.store.now(), visit.transaction, signed_in=bool(user_id))
        if visit.is_api and switches.session_cookies:
            if self.instance.sessions.of(visit.headers.get("cookie", "")) is None:
                cookie = f"{COOKIE}={self.instance.sessions.begin(user_id)}; Path=/; HttpOnly"
                caught.headers.append((b"set-cookie", cookie.encode()))
            caught.headers += [(b"set-cookie", one) for one in COOKIES]
        if visit.is_api and switches.compress and "gzip" in visit.headers.get("accept-encoding", ""):
            caught.compress()

    def _write_down(self, visit: Visit, status: int) -> None:
        """Once, and before the answer leaves: who has the answer finds it in the journal. 0 is a dropped connection."""
        if visit.is_written:
            return
        visit.is_written = True
        kind = visit.headers.get("content-type", "")
        text = visit.body.decode(errors="replace")[:KEPT_BODY] if any(k in kind for k in SHOWN_BODIES) else ""
        self.instance.journal.write(
            Entry(
                method=visit.method,
                path=visit.path,
                query=without_secrets(visit.scope["query_string"].decode("latin-1")),
                status=status,
                user=visit.scope.get("state", {}).get("user", ""),
                fault=visit.fault.name if visit.fault else "",
                body=without_secrets(text) if "urlencoded" in kind else text,
                had_cookies="cookie" in visit.headers,
                table=visit.table,
                transaction=visit.transaction,
                milliseconds=round((time.monotonic() - visit.started) * 1000),
            )
        )


def take_away(instance: Instance, fault: Fault, table: str) -> None:
    """Delete or hide one ticket: the one named, or any that somebody gave a correlation id."""
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


def _natural_place(fault: Fault, visit: Visit) -> str:
    """Where a fault strikes that names no place. A read is done first, so that its spoiled answer holds real rows."""
    if fault.name in ("partial_result", "broken_json"):
        return AFTER if visit.method == "GET" else BEFORE
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
