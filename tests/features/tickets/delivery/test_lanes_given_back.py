"""Tickets that were claimed and did not leave are sent next, also where they were the last ones that waited."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from app.core import clock
from app.features.connection import gateway
from app.features.connection.throttle import throttle_of, usage
from app.features.tickets.delivery import outbound, prepared
from app.features.tickets.delivery.deliver import deliver
from app.features.tickets.delivery.drain import drain_outbox
from app.features.tickets.delivery.hand_over import give_orphans_own_jobs, give_own_job
from app.features.tickets.models import Ticket
from tests.factories.calling import throttle
from tests.factories.lanes import Watched, all_tickets, share_in_bulk
from tests.factories.system import System
from tests.factories.tickets import calls

# The last ones of these are claimed while others are on their way.
FEW = 22


async def without_jobs(system: System) -> int:
    """How many tickets wait although neither a job of their own nor one that drains the outbox does."""
    async with system.resources.database.transaction() as session:
        drains = await session.execute(
            text("SELECT 1 FROM procrastinate_jobs WHERE task_name = 'tickets.drain_outbox' AND status = 'todo'")
        )
        if drains.first() is not None:
            return 0
    waiting = [row for row in await all_tickets(system) if row.delivery == "queued"]
    return sum(not row.has_own_job for row in waiting)


@pytest.mark.parametrize("at", [14, 16, 18, 20])
async def test_a_failure_with_the_last_tickets_ready(system: System, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    await system.connect()
    await share_in_bulk(system, FEW)
    watched = Watched(system, monkeypatch, seconds=0.005)

    async def refuse() -> None:
        system.servicenow.fault("acl_hiccup", method="POST", path="/table/")

    watched.at[at] = refuse
    await drain_outbox(system.resources)
    waiting = [row for row in await all_tickets(system) if row.delivery == "queued"]
    assert [(row.refusals, row.has_own_job) for row in waiting] == [(1, True)]


@pytest.mark.parametrize("at", [14, 16, 18, 20])
async def test_a_worker_that_is_stopped_with_the_last_tickets_ready(
    system: System, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    await system.connect()
    await share_in_bulk(system, FEW)
    async with system.resources.database.transaction() as session:
        await session.execute(text("DELETE FROM procrastinate_jobs"))
    watched = Watched(system, monkeypatch, seconds=0.005)

    async def stop() -> None:
        system.resources.queue.is_stopping = True

    watched.at[at] = stop
    await drain_outbox(system.resources)
    assert await without_jobs(system) == 0


@pytest.mark.parametrize("at", [14, 16, 18, 20])
async def test_a_frozen_process_with_the_last_tickets_ready(
    system: System, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    await system.connect()
    await share_in_bulk(system, FEW)
    watched, frozen = Watched(system, monkeypatch, seconds=0.005), [0.0]
    real = clock.seconds_awake_and_asleep
    monkeypatch.setattr(clock, "seconds_awake_and_asleep", lambda: real() + frozen[0])

    async def freeze() -> None:
        frozen[0] += prepared.READY_FOR_SECONDS + 1

    watched.at[at] = freeze
    await drain_outbox(system.resources)
    assert {row.delivery for row in await all_tickets(system)} == {"shared"}
    assert len(calls(system)) == FEW


async def test_a_probe_that_did_not_leave_holds_no_other_call_back(system: System) -> None:
    connection = await system.connect()
    await share_in_bulk(system, 1)
    probe_until = clock.now() + timedelta(seconds=60)
    async with system.resources.database.transaction() as session:
        (await throttle_of(session, connection.id)).probe_until = probe_until
        attempts = prepared.prepare(system.resources, await prepared.next_rows(session, connection.id, 1), {})
    attempts[0].probe_until = probe_until
    await prepared.give_back(system.resources, connection.id, attempts)
    assert (await throttle(system)).probe_until is None


async def test_what_is_given_back_in_the_next_hour_adds_nothing_to_its_budget(system: System) -> None:
    connection = await system.connect()
    await share_in_bulk(system, 3)
    async with system.resources.database.transaction() as session:
        attempts = prepared.prepare(system.resources, await prepared.next_rows(session, connection.id, 3), {})
    await prepared.give_back(system.resources, connection.id, attempts)
    assert usage(await throttle(system)).used == 0


async def test_a_due_date_that_was_moved_on_for_a_send_is_moved_and_told_with_the_next_one(system: System) -> None:
    connection = await system.connect()
    await share_in_bulk(system, 1)
    async with system.resources.database.transaction() as session:
        await session.execute(
            text(
                "UPDATE ticket SET due_date = DATE '2020-01-01',"
                " record = jsonb_set(record::jsonb, '{due_date}', '\"2020-01-01 12:00:00\"')"
            )
        )
    (before,) = await all_tickets(system)
    async with system.resources.database.transaction() as session:
        attempts = prepared.prepare(system.resources, await prepared.next_rows(session, connection.id, 1), {})
    assert attempts[0].tickets.late is not None
    await prepared.give_back(system.resources, connection.id, attempts)
    (after,) = await all_tickets(system)
    assert (after.record, after.warnings) == (before.record, before.warnings)
    await drain_outbox(system.resources)
    async with system.resources.database.transaction() as session:
        told = await session.execute(text("SELECT count(*) FROM ticket_event WHERE message::text LIKE '%due_day%'"))
        assert told.scalar_one() == 1


async def test_what_a_woken_process_gives_back_does_not_stop_the_tickets_own_job(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job was given while the process was frozen, and has read the number of the attempt."""
    connection = await system.connect()
    await share_in_bulk(system, 1)
    async with system.resources.database.transaction() as session:
        rows = await prepared.next_rows(session, connection.id, 1)
        attempts = prepared.prepare(system.resources, rows, {})
    ticket_id, past = rows[0].id, clock.now() - timedelta(seconds=outbound.ATTEMPT_SECONDS + 1)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).values(in_flight_since=past))
        assert await give_orphans_own_jobs(session, system.resources.queue, connection.id) == 1
    waiting, go_on, real = asyncio.Event(), asyncio.Event(), gateway.call

    async def stalls(*arguments: Any, **named: Any) -> Any:
        waiting.set()
        await go_on.wait()
        return await real(*arguments, **named)

    monkeypatch.setattr(outbound, "call", stalls)
    own = asyncio.create_task(deliver(system.resources, ticket_id))
    await waiting.wait()
    await prepared.give_back(system.resources, connection.id, attempts)
    go_on.set()
    await own
    assert [row.delivery for row in await all_tickets(system)] == ["shared"]
    assert len(calls(system, "POST")) == 1


async def test_a_ticket_gets_one_job_of_its_own_and_no_second_one(system: System) -> None:
    await system.connect()
    await share_in_bulk(system, 1)
    (ticket,) = await all_tickets(system)
    await give_own_job(system.resources, ticket.id, 60)
    await give_own_job(system.resources, ticket.id, 1)
    async with system.resources.database.transaction() as session:
        jobs = await session.execute(
            text("SELECT count(*) FROM procrastinate_jobs WHERE args ->> 'ticket_id' = :id"), {"id": str(ticket.id)}
        )
        assert jobs.scalar_one() == 1
