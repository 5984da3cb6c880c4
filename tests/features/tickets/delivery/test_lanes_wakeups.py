"""Lanes end, or go on, whatever happens while a claim is under way: nothing waits for a change that has come already."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.core import clock
from app.features.connection import slots
from app.features.connection.gateway import call
from app.features.connection.slots import CallUnderWay, Lane
from app.features.connection.throttle import throttle_of
from app.features.tickets.delivery import claim_tickets, own_sys_id, prepared
from app.features.tickets.delivery.drain import drain_outbox
from app.features.tickets.types import TABLES, TicketKind
from app.integrations.servicenow.schemas import RemoteTicket
from tests.factories.calling import another_process, at_once
from tests.factories.lanes import Watched, all_tickets, share_in_bulk
from tests.factories.system import System
from tests.factories.tickets import calls, records, run_due_and_waiting

CLAIM = "app.features.tickets.delivery.lanes.claim"


async def test_answers_that_come_while_a_claim_waits_for_the_database(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All lanes were busy when it began, so it takes nothing; none is when it ends."""
    await system.connect()
    real, slow = claim_tickets.claim, list[int]()

    async def claim(*given: Any) -> Any:
        made = await real(*given)
        if given[2].busy and not made.ready and not made.is_last:
            slow.append(len(given[2].busy))
            await asyncio.sleep(0.3)
        return made

    await share_in_bulk(system, 1)
    await drain_outbox(system.resources)  # From now on the instance's clock is known, and an answer locks nothing.
    monkeypatch.setattr(CLAIM, claim)
    await share_in_bulk(system, 8)
    async with asyncio.timeout(10):
        await drain_outbox(system.resources)
    assert slow
    assert {row.delivery for row in await all_tickets(system)} == {"shared"}


async def test_slots_that_were_lost_with_the_last_tickets_ready(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process was frozen, others have taken its leases for those of a dead one, and no more tickets wait."""
    await system.connect()
    real, lost = claim_tickets.claim, list[int]()

    async def claim(*given: Any) -> Any:
        session, wanted = given[1:]
        if wanted.ready and not lost:
            lost.append(wanted.ready)
            await session.execute(text("DELETE FROM call_lease"))
            await session.execute(text("UPDATE ticket SET delivery = 'held' WHERE sent_at IS NULL"))
        return await real(*given)

    monkeypatch.setattr(CLAIM, claim)
    Watched(system, monkeypatch, seconds=0.05)
    await share_in_bulk(system, 60)
    async with asyncio.timeout(10):
        await drain_outbox(system.resources)
    assert lost
    tickets = await all_tickets(system)
    assert {row.delivery for row in tickets} == {"shared", "held"}
    sent = [row for row in tickets if row.delivery == "shared"]
    assert len(sent) == len(calls(system, "POST")) == len(records(system, "incident"))


async def test_a_ticket_that_someone_has_locked_is_looked_at_again_soon(system: System) -> None:
    """It is skipped by the claim that finds no others. The sweep alone would bring it after a minute or two."""
    await system.connect()
    *_, locked = await share_in_bulk(system, 3)
    async with system.resources.database.transaction() as session:
        await session.execute(text("DELETE FROM procrastinate_jobs"))
    async with system.resources.database.transaction() as session:
        await session.execute(text("SELECT 1 FROM ticket WHERE id = :id FOR UPDATE"), {"id": locked})
        await drain_outbox(system.resources)
    async with system.resources.database.transaction() as session:
        jobs = text("SELECT scheduled_at < now() + interval '10 seconds' FROM procrastinate_jobs WHERE status = 'todo'")
        assert list((await session.execute(jobs)).scalars()) == [True]
    await run_due_and_waiting(system)
    assert {row.delivery for row in await all_tickets(system)} == {"shared"}
    async with system.resources.database.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM procrastinate_jobs"))).scalar_one() == 0


async def test_a_stopped_worker_that_cannot_give_back_leaves_its_job(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job fails, so that the queue runs it again, in another worker."""
    await system.connect()
    await share_in_bulk(system, 30)
    watched = Watched(system, monkeypatch, seconds=0.005)

    async def stop() -> None:
        system.resources.queue.is_stopping = True

    async def busy(*_: Any) -> None:
        raise OperationalError("UPDATE procrastinate_jobs", None, ConnectionError("canceled: lock timeout"))

    watched.at[10] = stop
    monkeypatch.setattr("app.features.tickets.delivery.lanes.start_lanes", busy)
    with pytest.raises(OperationalError):
        await drain_outbox(system.resources)


async def test_two_processes_that_learn_of_both_tables_at_once_do_not_deadlock(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await system.connect()
    for kind in (TicketKind.CHANGE, TicketKind.INCIDENT):
        await share_in_bulk(system, 2, kind)
    async with system.resources.database.transaction() as session:
        await throttle_of(session, connection.id)  # It is there as soon as anything was claimed.
        rows = await prepared.next_rows(session, connection.id, 4)
        attempts = prepared.prepare(system.resources, rows, {})
    arrived = [prepared.Arrived(one, [_made_of(one)], _call(connection.id)) for one in attempts]
    real, both = own_sys_id.learn, asyncio.Barrier(2)

    async def learn(*given: Any) -> None:
        await real(*given)
        with contextlib.suppress(TimeoutError, asyncio.BrokenBarrierError):
            async with asyncio.timeout(0.2):
                await both.wait()

    monkeypatch.setattr("app.features.tickets.delivery.deliver.learn", learn)
    change, other_change, incident, other_incident = arrived
    await asyncio.gather(
        prepared.store(system.resources, connection.id, [change, incident]),
        prepared.store(system.resources, connection.id, [other_incident, other_change]),
    )
    assert {row.delivery for row in await all_tickets(system)} == {"shared"}


def _call(connection_id: UUID) -> CallUnderWay:
    return CallUnderWay(uuid4(), connection_id, Lane.DELIVERY, answered=True)


def _made_of(attempt: prepared.PreparedAttempt) -> RemoteTicket:
    """The record that answers its create."""
    ticket, now = attempt.ticket, clock.now()
    return RemoteTicket(
        sys_id=ticket.own_sys_id,
        number="",
        table=TABLES[TicketKind(ticket.kind)],
        state="1",
        state_label="New",
        priority="3",
        assigned_to="",
        correlation_id=ticket.correlation_id,
        correlation_display="",
        created_at=now,
        updated_at=now,
        values={},
    )


async def test_a_probe_that_was_answered_in_a_lane_wakes_the_calls_of_other_processes(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only when the lanes end, nor when a timer does."""
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        pace = await throttle_of(session, connection.id)
        pace.failures, pace.paused_until = 1, clock.now()
    await share_in_bulk(system, 120)
    watched, begun = Watched(system, monkeypatch, seconds=0.02), asyncio.Event()
    monkeypatch.setattr(slots, "RECHECK_SECONDS", 60.0)

    async def begin() -> None:
        begun.set()
        await asyncio.sleep(0.3)

    watched.at[1] = begin
    async with another_process(system) as other:
        draining = asyncio.create_task(drain_outbox(system.resources))
        await begun.wait()
        assert await call(other, at_once, lane=Lane.BACKGROUND) == "answered"
        assert not draining.done()
        await draining
