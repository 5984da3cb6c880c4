"""Concurrent calls: at most four wait for an answer, over any number of workers and processes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.core import clock
from app.core.errors import RetryLater
from app.features.connection import slots
from app.features.connection.models import CallLease
from app.features.connection.slots import SLOTS, Pool
from app.features.tickets.delivery import outbound
from app.features.tickets.delivery.deliver import deliver
from app.features.tickets.models import Ticket
from app.features.tickets.notes.deliver_note import deliver_note
from app.features.tickets.notes.fetch_notes import read_notes
from app.features.tickets.notes.write_note import add_note
from app.integrations.http.errors import RecordNotFound
from tests.factories.connecting import viewer_of
from tests.factories.system import System
from tests.factories.tickets import (
    records,
    refresh_now,
    run_due_and_waiting,
    share_one,
    shared_ticket,
)

CALLS_AT_ONCE = SLOTS[Pool.SHARED]


class Line:
    """Calls that are answered once the limit of waiting calls is reached; counts the most that waited together."""

    def __init__(self, outcome: Exception) -> None:
        self.outcome, self.now, self.most, self.full = outcome, 0, 0, asyncio.Event()

    async def answer(self, *_: object) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now == CALLS_AT_ONCE:
            self.full.set()
        await self.full.wait()
        await asyncio.sleep(0.05)
        self.now -= 1
        raise self.outcome

    def stand_in_for(self, monkeypatch: pytest.MonkeyPatch, *methods: str) -> None:
        for method in methods:
            monkeypatch.setattr(f"app.integrations.servicenow.client.ServiceNowClient.{method}", self.answer)


async def test_at_most_four_wait_for_an_answer_however_many_workers(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries of twelve workers in parallel, over any number of processes: the rows decide."""
    await system.connect()
    tickets = [await share_one(system) for _ in range(12)]
    line = Line(LookupError())
    line.stand_in_for(monkeypatch, "create")
    monkeypatch.setitem(slots.LONGEST_WAIT_SECONDS, Pool.SHARED, 60.0)

    async def one(ticket_id: UUID) -> None:
        with pytest.raises(RetryLater):  # What no one foresaw is tried again.
            await deliver(system.resources, ticket_id)
        async with system.resources.database.transaction() as session:
            (await session.get_one(Ticket, ticket_id, with_for_update=True)).in_flight_since = None

    await asyncio.gather(*(one(ticket_id) for ticket_id in tickets))
    assert line.most == CALLS_AT_ONCE


async def test_notes_and_questions_wait_in_the_same_line_as_shares(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    notes = [await a_note(system, ticket_id) for _ in range(6)]
    tickets = [await share_one(system) for _ in range(6)]
    line = Line(RecordNotFound())
    line.stand_in_for(monkeypatch, "create", "add_note", "journal")
    monkeypatch.setitem(slots.LONGEST_WAIT_SECONDS, Pool.SHARED, 60.0)
    done = await asyncio.gather(
        *(deliver_note(system.resources, note_id) for note_id in notes),
        *(deliver(system.resources, other) for other in tickets),
        *(read_notes(system.resources, ticket_id) for _ in range(4)),
        return_exceptions=True,
    )
    assert {type(outcome) for outcome in done} == {RetryLater, type(None)}
    assert line.most == CALLS_AT_ONCE
    async with system.resources.database.transaction() as session:
        assert list((await session.execute(select(CallLease))).scalars()) == []


async def a_note(system: System, ticket_id: UUID) -> UUID:
    viewer = await viewer_of(system, await system.signed_in("sharer"))
    async with system.resources.database.transaction() as session:
        note_id = uuid4()
        queue = system.resources.queue
        await add_note(session, queue, ticket_id, note_id=note_id, text="Hello", viewer=viewer)
    return note_id


async def test_a_slot_that_a_killed_process_took_is_free_after_a_while(system: System) -> None:
    connection = await system.connect()
    ticket_id, _ = await shared_ticket(system)
    ended = clock.now() - timedelta(seconds=1)
    async with system.resources.database.transaction() as session:
        session.add_all(
            CallLease(id=uuid4(), connection_id=connection.id, pool=Pool.SHARED, expires_at=ended)
            for _ in range(CALLS_AT_ONCE)
        )
    await refresh_now(system)
    async with system.resources.database.transaction() as session:
        assert list((await session.execute(select(CallLease))).scalars()) == []
    assert ticket_id


async def test_calls_of_a_killed_process_do_not_block_the_others_for_ever(system: System) -> None:
    await system.connect()
    dead = [await share_one(system) for _ in range(CALLS_AT_ONCE)]
    async with system.resources.database.transaction() as session:
        for ticket_id in dead:
            ticket = await session.get_one(Ticket, ticket_id)
            ticket.in_flight_since = clock.now() - timedelta(seconds=outbound.ATTEMPT_SECONDS + 1)
            ticket.attempts = 1
    await share_one(system)
    await run_due_and_waiting(system)
    assert len(records(system, "change_request")) == 5
