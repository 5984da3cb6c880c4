"""Ours and the others behind one face, so that each does the same tasks. Measures only what a client itself takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from app.features.tickets.types import MARKERS, TicketKind
from benchmarks import peer
from benchmarks.ours import Ours
from benchmarks.stand_in import SandboxProcess

# How many ids the other clients' callers ask for in one question.
CHUNK = 100


@dataclass(frozen=True)
class Outcome:
    """What a client says of its task. `states` by sys_id, `ids` the correlation ids it was to make records for.

    `admitted` is how many results it says it could not give.
    """

    seconds: float
    failures: int
    admitted: int = 0
    states: dict[str, str] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    answers: int = 0


class Client(Protocol):
    """One that can do every task."""

    name: str

    async def prepare(self) -> None:
        """Hold tokens that live."""

    async def refresh(self, rows: Sequence[dict[str, str]]) -> Outcome:
        """The states of these known records."""

    async def changes(self, rows: Sequence[dict[str, str]], since: str) -> Outcome:
        """The same, by asking what changed since then, as the caller of any client could."""

    async def create(self, count: int) -> Outcome:
        """So many new records."""

    async def workers(self, count: int, stored: dict[str, Any]) -> Outcome:
        """So many workers that hold the same expired token."""


class Product:
    """Ours."""

    name = "ours"

    def __init__(self, ours: Ours, sandbox: SandboxProcess) -> None:
        self._ours, self._sandbox = ours, sandbox

    async def prepare(self) -> None:
        """Hold tokens that live."""
        await self._ours.hold(self._sandbox.tokens())

    async def refresh(self, rows: Sequence[dict[str, str]]) -> Outcome:
        """What the worker does each minute, knowing the states of the last look."""
        await self._ours.forget()
        await self._ours.know(rows)
        started = time.perf_counter()
        await self._ours.refresh()
        seconds = time.perf_counter() - started
        told = await self._ours.told()
        # A card that says why it is old admits that none of its states is of now.
        return Outcome(seconds, told, len(rows) if told else 0, {} if told else await self._ours.states())

    async def changes(self, rows: Sequence[dict[str, str]], since: str) -> Outcome:  # noqa: ARG002 - it knows since when.
        """It asks nothing else anyway."""
        return await self.refresh(rows)

    async def create(self, count: int) -> Outcome:
        """Shared in one transaction each with its job, then delivered."""
        await self._ours.forget()
        started = time.perf_counter()
        ids, held = await self._ours.create(count)
        return Outcome(time.perf_counter() - started, held, held, ids=ids)

    async def workers(self, count: int, stored: dict[str, Any]) -> Outcome:
        """Each with a pool and memory of its own over one database."""
        await self._ours.hold(stored, expired=True)
        started = time.perf_counter()
        answers, failures = await self._ours.workers(count)
        return Outcome(time.perf_counter() - started, failures, failures, answers=answers)


class Peer:
    """Another client, in its own process. Its time is measured there, without the interpreter's start."""

    def __init__(self, name: str, sandbox: SandboxProcess) -> None:
        self.name, self._sandbox, self._token = name, sandbox, ""

    async def prepare(self) -> None:
        """Hold tokens that live."""
        self._token = self._sandbox.tokens()["access_token"]

    async def refresh(self, rows: Sequence[dict[str, str]]) -> Outcome:
        """By their ids, a hundred in a question: these clients remember nothing."""
        done = self._do("refresh", sys_ids=[row["sys_id"] for row in rows])
        states = {row["sys_id"]: row["state"] for row in done.results}
        return Outcome(done.seconds, done.failures, done.failures * CHUNK, states)

    async def changes(self, rows: Sequence[dict[str, str]], since: str) -> Outcome:
        """With the states of the last look remembered by the caller, and the question written by the caller."""
        query = f"correlation_display={MARKERS[TicketKind.INCIDENT]}^sys_updated_on>={since}"
        done = self._do("walk", query=query)
        known = {row["sys_id"]: row["state"] for row in rows}
        changed = {row["sys_id"]: row["state"] for row in done.results if row["sys_id"] in known}
        return Outcome(done.seconds, done.failures, len(rows) if done.failures else 0, known | changed)

    async def create(self, count: int) -> Outcome:
        """One after the other."""
        ids = [uuid4().hex for _ in range(count)]
        bodies = [
            {"short_description": f"Made by {self.name} {n}", "impact": "2", "urgency": "2", "correlation_id": one}
            for n, one in enumerate(ids)
        ]
        done = self._do("create", bodies=bodies)
        return Outcome(done.seconds, done.failures, done.failures, ids=ids)

    async def workers(self, count: int, stored: dict[str, Any]) -> Outcome:
        """Each with a session of its own, made of the stored token."""
        settings = self._sandbox.settings
        credentials = {"client_id": settings.client_id, "client_secret": settings.client_secret}
        done = self._do("workers", workers=count, stored=stored, **credentials)
        return Outcome(done.seconds, done.failures, done.failures, answers=len(done.results))

    def _do(self, what: str, **job: Any) -> peer.Done:
        return peer.do(self.name, what=what, url=self._sandbox.url, token=self._token, **job)
