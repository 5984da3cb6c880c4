"""A create that was answered 429 did nothing: it is made once more, without a look, and waits for the pause alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import structlog
from sqlalchemy import text

from app.core import clock
from app.core.metrics import DELIVERIES
from app.features.connection.throttle import throttle_of
from app.features.tickets.delivery.drain import drain_outbox
from app.features.tickets.delivery.hand_over import start_lanes_in
from app.features.tickets.types import TicketKind
from app.integrations.http.errors import Throttled
from app.integrations.http.http_types import RemoteResponse, Request
from sandbox.faults import Fault
from tests.factories.calling import another_process, leases, throttle
from tests.factories.delivering import let_time_pass
from tests.factories.lanes import all_tickets, share_in_bulk
from tests.factories.system import System
from tests.factories.tickets import calls, read_ticket, records, run_due_and_waiting, share_one


def every_tenth(system: System) -> Fault:
    order = Fault("semaphore_full", 1000, "POST", "/table/", every=10)
    system.servicenow.instance.orders.order(order)
    return order


async def own_jobs(system: System) -> int:
    async with system.resources.database.transaction() as session:
        jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'tickets.deliver'")
        return int((await session.execute(jobs)).scalar_one())


async def test_a_first_create_that_was_throttled_is_made_once_more_without_a_look(system: System) -> None:
    await system.connect()
    system.servicenow.fault("semaphore_full", method="POST", path="/table/")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await drain_outbox(system.resources)
    assert [entry.method for entry in calls(system)] == ["POST", "POST"]
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.attempts, ticket.has_own_job) == ("shared", 2, False)
    assert len(records(system, "incident")) == 1
    assert await own_jobs(system) == 0


@pytest.mark.parametrize("throttled", ["semaphore_full", "rate_limited"])
async def test_a_repeated_create_that_was_throttled_is_looked_for_before_the_next_one(
    system: System, throttled: str
) -> None:
    """The first one may have arrived all the same."""
    await system.connect()
    orders = system.servicenow.instance.orders
    orders.order(Fault("dropped_before", 1, "POST", "/table/"))
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await drain_outbox(system.resources)
    orders.order(Fault(throttled, 1, "POST", "/table/"))
    await let_time_pass(system)
    await run_due_and_waiting(system)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.has_own_job, ticket.sent_at is None) == ("queued", True, False)
    assert [entry.method for entry in calls(system, "POST")] == ["POST"] * 2
    before = len(calls(system))
    await run_due_and_waiting(system)
    after = [entry.method for entry in calls(system)[before:]]
    assert (after[0], after[-1], after.count("POST")) == ("GET", "POST", 1)
    assert len(records(system, "incident")) == 1


async def test_after_a_401_a_429_still_says_that_nothing_was_done(system: System) -> None:
    await system.connect()
    orders = system.servicenow.instance.orders
    orders.order(Fault("signed_out", 1, "POST", "/table/"))
    orders.order(Fault("semaphore_full", 1, "POST", "/table/", every=1))
    await share_one(system, TicketKind.INCIDENT)
    await drain_outbox(system.resources)
    assert [entry.method for entry in calls(system)] == ["POST"] * 3
    assert len(records(system, "incident")) == 1


@pytest.mark.parametrize("body", [b"<html><body>Too many requests</body></html>", b'{"message": "Too many requests"}'])
async def test_after_a_429_of_a_gateway_the_create_that_it_passed_on_is_looked_for(
    system: System, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    await system.connect()
    real, answered = system.resources.servicenow.send, list[str]()

    async def through_gateway(request: Request) -> RemoteResponse:
        answer = await real(request)
        if request.method == "POST" and "/table/" in request.url and not answered:
            answered.append(request.url)
            return RemoteResponse(status=429, headers={}, body=body)
        return answer

    monkeypatch.setattr(system.resources.servicenow, "send", through_gateway)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await drain_outbox(system.resources)
    await run_due_and_waiting(system)
    assert [entry.method for entry in calls(system)] == ["POST", "GET"]
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(records(system, "incident")) == 1


async def test_every_tenth_answer_costs_one_request_more_and_no_job(system: System) -> None:
    await system.connect()
    fault = every_tenth(system)
    await share_in_bulk(system, 50)
    await drain_outbox(system.resources)
    assert {row.delivery for row in await all_tickets(system)} == {"shared"}
    refused = system.servicenow.instance.orders.struck["semaphore_full"]
    assert fault.times == 1000 - refused
    assert refused >= 5
    assert [entry.method for entry in calls(system)] == ["POST"] * (50 + refused)
    assert len(records(system, "incident")) == 50
    assert await own_jobs(system) == 0
    assert await leases(system) == []
    assert (await throttle(system)).requests == 50 + refused


async def test_two_processes_share_the_pause_and_the_probe(system: System) -> None:
    await system.connect()
    every_tenth(system)
    await share_in_bulk(system, 50)
    async with another_process(system) as other:
        await asyncio.gather(drain_outbox(system.resources), drain_outbox(other))
    refused = system.servicenow.instance.orders.struck["semaphore_full"]
    assert {row.delivery for row in await all_tickets(system)} == {"shared"}
    assert [entry.method for entry in calls(system)] == ["POST"] * (50 + refused)
    assert len(records(system, "incident")) == 50


async def test_a_job_that_waits_for_a_longer_pause_does_not_make_the_tickets_wait_as_long(system: System) -> None:
    """As that of a connection that was removed, whose instance had named a day."""
    await system.connect()
    queue, starts = system.resources.queue, list[float]()
    for seconds in (86400, 10, 600):
        async with system.resources.database.transaction() as session:
            await start_lanes_in(session, queue, seconds)
    async with system.resources.database.transaction() as session:
        jobs = await session.execute(text("SELECT scheduled_at FROM procrastinate_jobs"))
        starts += [(at - clock.now()).total_seconds() for at in jobs.scalars()]
    assert [8 < start < 13 for start in starts] == [True]


async def test_tickets_that_wait_for_a_named_pause_are_told_of_in_log_and_metrics(system: System) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        pace = await throttle_of(session, connection.id)
        pace.paused_until, pace.reason = clock.now() + timedelta(minutes=5), Throttled().message.to_json()
    await share_in_bulk(system, 3)
    before = DELIVERIES.labels("deferred")._value.get()
    with structlog.testing.capture_logs() as lines:
        await drain_outbox(system.resources)
        await drain_outbox(system.resources)
    assert DELIVERIES.labels("deferred")._value.get() == before + 3
    told = [line["tickets"] for line in lines if line["event"] == "delivery.deferred"]
    assert told == [3, 0]
    assert calls(system) == []
