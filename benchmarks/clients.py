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

# IDs per query of the other clients.
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
    """A client under measurement: one method per task."""

    name: str

    async def prepare(self) -> None:
        """Get tokens that are valid during the task."""

    async def refresh(self, rows: Sequence[dict[str, str]]) -> Outcome:
        """Read the states of these records by their IDs."""

    async def changes(self, rows: Sequence[dict[str, str]], since: str) -> Outcome:
        """Read the states of these records by a query for what changed since `since`."""

    async def create(self, count: int) -> Outcome:
        """Create `count` records."""

    async def workers(self, count: int, stored: dict[str, Any]) -> Outcome:
        """Start `count` workers that hold the same expired token."""


class Product:
    """This product."""

    name = "ours"

    def __init__(self, ours: Ours, sandbox: SandboxProcess) -> None:
        self._ours, self._sandbox = ours, sandbox

    async def prepare(self) -> None:
        await self._ours.hold(self._sandbox.tokens())

    async def refresh(self, rows: Sequence[dict[str, str]]) -> Outcome:
        """What the worker does each minute; the product stores the states of the last poll."""
        await self._ours.forget()
        await self._ours.know(rows)
        started = time.perf_counter()
        await self._ours.refresh()
        seconds = time.perf_counter() - started
        told = await self._ours.told()
        # A card that says why it is old admits that none of its states is of now.
        return Outcome(seconds, told, len(rows) if told else 0, {} if told else await self._ours.states())

    async def changes(self, rows: Sequence[dict[str, str]], since: str) -> Outcome:  # noqa: ARG002 - it knows since when.
        """The same as `refresh`: the product always queries for changes."""
        return await self.refresh(rows)

    async def create(self, count: int) -> Outcome:
        """Each record is shared in one transaction with its job, then delivered."""
        await self._ours.forget()
        started = time.perf_counter()
        ids, held = await self._ours.create(count)
        return Outcome(time.perf_counter() - started, held, held, ids=ids)

    async def workers(self, count: int, stored: dict[str, Any]) -> Outcome:
        """Each has its own connection pool and process memory, over one database."""
        await self._ours.hold(stored, expired=True)
        started = time.perf_counter()
        answers, failures = await self._ours.workers(count)
        return Outcome(time.perf_counter() - started, failures, failures, answers=answers)


class Peer:
    """Another client, in its own process. Its time is measured there, without the interpreter's start."""

    def __init__(self, name: str, sandbox: SandboxProcess) -> None:
        self.name, self._sandbox, self._token = name, sandbox, ""

    async def prepare(self) -> None:
        self._token = self._sandbox.tokens()["access_token"]

    async def refresh(self, rows: Sequence[dict[str, str]]) -> Outcome:
        """By ID, a hundred per query: these clients store nothing between calls."""
        done = self._do("refresh", sys_ids=[row["sys_id"] for row in rows])
        states = {row["sys_id"]: row["state"] for row in done.results}
        return Outcome(done.seconds, done.failures, done.failures * CHUNK, states)

    async def changes(self, rows: Sequence[dict[str, str]], since: str) -> Outcome:
        """The caller stores the states of the last run and writes the query."""
        query = f"correlation_display={MARKERS[TicketKind.INCIDENT]}^sys_updated_on>={since}"
        done = self._do("walk", query=query)
        known = {row["sys_id"]: row["state"] for row in rows}
        changed = {row["sys_id"]: row["state"] for row in done.results if row["sys_id"] in known}
        return Outcome(done.seconds, done.failures, len(rows) if done.failures else 0, known | changed)

    async def create(self, count: int) -> Outcome:
        """One request after the other."""
        ids = [uuid4().hex for _ in range(count)]
        bodies = [
            {"short_description": f"Made by {self.name} {n}", "impact": "2", "urgency": "2", "correlation_id": one}
            for n, one in enumerate(ids)
        ]
        done = self._do("create", bodies=bodies)
        return Outcome(done.seconds, done.failures, done.failures, ids=ids)

    async def workers(self, count: int, stored: dict[str, Any]) -> Outcome:
        """Each has its own session, made of the stored token."""
        settings = self._sandbox.settings
        credentials = {"client_id": settings.client_id, "client_secret": settings.client_secret}
        done = self._do("workers", workers=count, stored=stored, **credentials)
        return Outcome(done.seconds, done.failures, done.failures, answers=len(done.results))

    def _do(self, what: str, **job: Any) -> peer.Done:
        return peer.do(self.name, what=what, url=self._sandbox.url, token=self._token, **job)
