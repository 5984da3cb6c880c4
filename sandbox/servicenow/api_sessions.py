"""API sessions by cookie. Calls of one session run one at a time; past ten waiting calls, further ones are dropped."""
# See docs/facts/servicenow.md#2-8-cookies-and-concurrency, #sandbox-38 and #trap-2 (KB0564204)

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

COOKIE = "JSESSIONID"
# KB0564204 names ten waiting transactions per session: docs/facts/servicenow.md#2-8-cookies-and-concurrency
WAITERS = 10
# Clients without a cookie jar start a session per call; without a bound, long runs would exhaust memory.
KEPT = 5_000


@dataclass
class ApiSession:
    """One session: its user, and how many calls wait for it."""

    user_id: str = ""
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class SessionQueueFull(Exception):
    """WAITERS calls wait already: this one is dropped and answered 202 with nothing done."""


class ApiSessions:
    """The sessions of one instance; above KEPT, the oldest is dropped."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, ApiSession] = OrderedDict()

    def from_cookies(self, cookies: str) -> ApiSession | None:
        """Return the session of a Cookie header, or None when this instance did not issue it."""
        try:
            named = SimpleCookie(cookies).get(COOKIE)
        except CookieError:
            return None
        return self._sessions.get(named.value) if named else None

    def start(self, user_id: str) -> str:
        """Start a session and return the value of its cookie."""
        name = secrets.token_hex(16).upper()
        self._sessions[name] = ApiSession(user_id)
        while len(self._sessions) > KEPT:
            self._sessions.popitem(last=False)
        return name


@asynccontextmanager
async def session_turn(session: ApiSession | None) -> AsyncIterator[None]:
    """Hold the session for the block, waiting for earlier calls. Raises SessionQueueFull."""
    if session is None:
        yield
        return
    if session.turn.locked() and session.waiting >= WAITERS:
        raise SessionQueueFull
    session.waiting += 1
    try:
        await session.turn.acquire()
    finally:
        session.waiting -= 1
    try:
        yield
    finally:
        session.turn.release()
