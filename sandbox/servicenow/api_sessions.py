"""Sessions by cookie: calls that share one wait for one another, and past ten waiters they are dropped (facts 2.8)."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

COOKIE = "JSESSIONID"
WAITERS = 10
KEPT = 5_000


@dataclass
class ApiSession:
    """One session: whose it is, and who is waiting in it."""

    user_id: str = ""
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class SessionQueueFull(Exception):
    """Ten calls wait already: this one is dropped, and answered 202."""


class ApiSessions:
    """The sessions of one instance; the oldest are forgotten."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, ApiSession] = OrderedDict()

    def of(self, cookies: str) -> ApiSession | None:
        """The session that a Cookie header names, if we gave it out."""
        try:
            named = SimpleCookie(cookies).get(COOKIE)
        except CookieError:
            return None
        return self._sessions.get(named.value) if named else None

    def begin(self, user_id: str) -> str:
        """A new session; gives its cookie's value."""
        name = secrets.token_hex(16).upper()
        self._sessions[name] = ApiSession(user_id)
        while len(self._sessions) > KEPT:
            self._sessions.popitem(last=False)
        return name


@asynccontextmanager
async def session_turn(session: ApiSession | None) -> AsyncIterator[None]:
    """Wait for the session's turn. Raises Overflow."""
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
