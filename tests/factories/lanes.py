"""Many tickets at once, and a transport that counts what waits for an answer and tells when the n-th create leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, select

from app.core.database import Database
from app.features.tickets.models import Ticket
from app.features.tickets.sharing.share import ShareCommand, share_many
from app.features.tickets.types import TicketKind
from app.integrations.http.http_types import RemoteResponse, Request
from tests.factories.system import PUBLIC_URL, System
from tests.factories.tickets import SENDER, an_ask


async def share_in_bulk(system: System, count: int, kind: TicketKind = TicketKind.INCIDENT) -> list[UUID]:
    """Queued tickets of one bulk share."""
    batch_id = uuid4()
    commands = [
        ShareCommand(an_ask(kind, name=f"Task {number}"), [], str(uuid4()), batch_id=batch_id)
        for number in range(count)
    ]
    async with system.resources.database.transaction() as session:
        made = await share_many(session, system.resources.queue, commands, SENDER, public_url=PUBLIC_URL)
    return [one.ticket_id for one in made]


async def all_tickets(system: System) -> list[Ticket]:
    async with system.resources.database.transaction() as session:
        return list((await session.execute(select(Ticket).order_by(Ticket.created_at, Ticket.id))).scalars())


class Watched:
    """The transport's calls: `most` waited at once; `at` maps the number of a create to what happens before it leaves."""

    def __init__(self, system: System, monkeypatch: pytest.MonkeyPatch, *, seconds: float = 0) -> None:
        self.now = self.most = self.creates = 0
        self.at: dict[int, Callable[[], Awaitable[Any]]] = {}
        self._real, self._seconds = system.resources.servicenow.send, seconds
        monkeypatch.setattr(system.resources.servicenow, "send", self._send)

    async def _send(self, request: Request) -> RemoteResponse:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if request.method == "POST" and "/table/" in request.url:
                self.creates += 1
                if self.creates in self.at:
                    await self.at.pop(self.creates)()
            await asyncio.sleep(self._seconds)
            return await self._real(request)
        finally:
            self.now -= 1


class Commits:
    """Counts the transactions of a database that end with COMMIT."""

    def __init__(self, database: Database) -> None:
        self.count, self._engine = 0, database.engine.sync_engine

    def __enter__(self) -> Commits:
        event.listen(self._engine, "commit", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "commit", self._note)

    def _note(self, _connection: Any) -> None:
        self.count += 1
