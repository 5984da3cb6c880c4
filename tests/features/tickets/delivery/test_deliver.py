"""One attempt at a ticket: noted before it is sent, waiting loses nothing, and a newer attempt supersedes an older one."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from app.core import clock
from app.core.errors import RetryLater
from app.features.connection import gateway
from app.features.tickets.delivery.deliver import deliver
from app.features.tickets.jobs import sweep
from app.features.tickets.models import Ticket
from app.features.tickets.types import TicketKind
from app.integrations.http.errors import Unauthorized
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.schemas import RemoteTicket
from sandbox.faults import Fault
from tests.factories.delivering import run_sweep, set_status
from tests.factories.system import System
from tests.factories.tickets import calls, read_ticket, records, run_due_and_waiting, share_one, shared_ticket, told


async def test_the_first_attempt_is_one_request(system: System) -> None:
    await system.connect()
    await share_one(system)
    await system.work()
    assert [entry.method for entry in calls(system)] == ["POST"]


@pytest.mark.fact("other-connectors bug-65")
async def test_the_attempt_is_committed_before_anything_is_sent(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    seen: list[tuple[int, bool]] = []

    async def die(*_: object) -> None:
        ticket = await read_ticket(system, ticket_id)
        seen.append((ticket.attempts, ticket.sent_at is not None))
        raise KeyboardInterrupt

    monkeypatch.setattr("app.integrations.servicenow.client.ServiceNowClient.create", die)
    with pytest.raises(KeyboardInterrupt):
        await deliver(system.resources, ticket_id)
    assert seen == [(1, True)]
    assert (await read_ticket(system, ticket_id)).in_flight_since is not None


async def test_another_process_leaves_a_ticket_alone_that_is_in_flight(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).values(in_flight_since=clock.now(), attempts=1, sent_at=clock.now()))
    with pytest.raises(RetryLater):
        await deliver(system.resources, ticket_id)
    assert calls(system) == []


async def test_a_ticket_waits_for_the_connection_and_is_taken_up_after_reconnecting(system: System) -> None:
    await system.connect()
    await set_status(system, "needs_attention")
    ticket_id = await share_one(system)
    await system.work()
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.next_try_at, ticket.in_flight_since) == ("queued", None, None)
    await run_sweep(system)
    assert calls(system) == []

    await set_status(system, "connected")
    await run_sweep(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(records(system, "change_request")) == 1


async def test_a_dead_token_holds_nothing_back_for_ever(system: System) -> None:
    """The refresh token is dead: the connection needs attention, and the ticket waits with the sentence."""
    await system.connect()
    for row in list(system.servicenow.instance.store.rows("oauth_credential")):
        system.servicenow.instance.store.remove("oauth_credential", row["sys_id"])
    ticket_id = await share_one(system)
    await system.work()
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.uncertain_until, ticket.next_try_at) == ("queued", None, None)
    assert ticket.problem is not None
    assert records(system, "change_request") == []


@pytest.mark.fact("servicenow sandbox-49")
async def test_a_refusal_is_believed_the_second_time_and_then_held_with_the_reason(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    assert (await read_ticket(system, ticket_id)).delivery == "queued"
    await run_due_and_waiting(system)
    ticket = await read_ticket(system, ticket_id)
    assert ticket.delivery == "held"
    assert "ACL Exception Insert Failed" in str(ticket.problem)
    assert [entry.method for entry in calls(system)] == ["POST", "GET", "GET", "GET", "POST"]


@pytest.mark.fact("servicenow sandbox-17")
async def test_a_401_in_the_middle_renews_the_token_and_sends_once(system: System) -> None:
    await system.connect()
    for row in list(system.servicenow.instance.store.rows("oauth_credential")):
        if row["kind"] == "access":
            system.servicenow.instance.store.remove("oauth_credential", row["sys_id"])
    ticket_id = await share_one(system)
    await system.work()
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert [entry.status for entry in calls(system)] == [401, 201]


@pytest.mark.fact("servicenow sandbox-42")
async def test_a_slow_down_with_a_named_time_is_obeyed(system: System) -> None:
    await system.connect()
    system.servicenow.instance.orders.order(Fault("rate_limited", 1, "POST", "/table/"))
    ticket_id = await share_one(system)
    await system.work()
    ticket = await read_ticket(system, ticket_id)
    assert ticket.next_try_at is not None
    assert 6 <= (ticket.next_try_at - clock.now()).total_seconds() <= 7.1
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"


@pytest.mark.parametrize("trouble", ["rate_limited", "semaphore_full", "dropped_before", "bad_gateway", "hibernating"])
async def test_a_look_that_fails_says_nothing_of_the_create_before_it(system: System, trouble: str) -> None:
    """The create may still arrive; a lookup that was throttled must not allow a second one."""
    await system.connect()
    orders = system.servicenow.instance.orders
    orders.order(Fault("dropped_before", 1, "POST", "/table/"))
    orders.order(Fault(trouble, 1, "GET", "/table/"))
    await share_one(system)
    await run_due_and_waiting(system, 4)
    assert [entry.method for entry in calls(system)] == ["POST", "GET", "GET", "GET"]


async def test_a_ticket_whose_job_was_lost_is_queued_again_once(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    async with system.resources.database.transaction() as session:
        await session.execute(text("DELETE FROM procrastinate_jobs"))
        await session.execute(update(Ticket).values(next_try_at=clock.now() - timedelta(minutes=2)))
    await sweep.function(system.resources)
    await sweep.function(system.resources)
    async with system.resources.database.transaction() as session:
        jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'tickets.drain_outbox'")
        assert (await session.execute(jobs)).scalar_one() == 1
    await system.work()
    assert (await read_ticket(system, ticket_id)).delivery == "shared"


@pytest.mark.fact("other-connectors bug-66")
async def test_two_workers_at_the_same_ticket_make_one_record(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    outcomes = await asyncio.gather(*(deliver(system.resources, ticket_id) for _ in range(4)), return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, RetryLater) for outcome in outcomes)
    assert len(records(system, "incident")) == 1


@pytest.mark.fact("other-connectors bug-66")
async def test_a_stalled_attempt_that_wakes_up_sends_nothing(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its token took so long that another attempt began and delivered: the number of the attempt stops it."""
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    waiting, go_on = asyncio.Event(), asyncio.Event()
    real = ServiceNowClient.create

    async def stalls(client: ServiceNowClient, *arguments: Any) -> RemoteTicket:
        if not waiting.is_set():
            waiting.set()
            await go_on.wait()
            raise Unauthorized  # Not done, so the token is renewed and the call made again from its beginning.
        return await real(client, *arguments)

    monkeypatch.setattr(ServiceNowClient, "create", stalls)
    stalled = asyncio.create_task(deliver(system.resources, ticket_id))
    await waiting.wait()
    async with system.resources.database.transaction() as session:
        old = text("UPDATE ticket SET in_flight_since = now() - interval '76 seconds', uncertain_until = NULL")
        await session.execute(old)
    await deliver(system.resources, ticket_id)
    go_on.set()
    await stalled
    assert len(records(system, "incident")) == 1
    assert (await read_ticket(system, ticket_id)).attempts == 2


async def test_an_attempt_that_another_one_overtook_before_it_got_its_slot_sends_nothing(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had seen a ticket that was never sent; by the time it may call, the other one has sent it."""
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    waiting, go_on = asyncio.Event(), asyncio.Event()
    real = gateway.call

    async def stalls(*arguments: Any, **named: Any) -> Any:
        if not waiting.is_set():
            waiting.set()
            await go_on.wait()
        return await real(*arguments, **named)

    monkeypatch.setattr("app.features.tickets.delivery.outbound.call", stalls)
    stalled = asyncio.create_task(deliver(system.resources, ticket_id))
    await waiting.wait()
    system.servicenow.fault("dropped_before", method="POST", path="/table/")
    with pytest.raises(RetryLater):
        await deliver(system.resources, ticket_id)
    go_on.set()
    # Its job goes on: the other attempt may be one that no job brings again.
    with pytest.raises(RetryLater):
        await stalled
    assert [entry.method for entry in calls(system)] == ["POST"]
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.attempts, ticket.in_flight_since) == ("queued", 1, None)


async def test_a_pause_leaves_no_attempt_behind(system: System) -> None:
    await system.connect()
    await share_one(system)
    system.servicenow.fault("rate_limited", method="POST", path="/table/")
    await system.work()
    ticket_id = await share_one(system)
    await system.work()
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.attempts, ticket.sent_at, ticket.in_flight_since) == ("queued", 0, None, None)
    assert ticket.problem is not None
    assert ticket.next_try_at is not None


@pytest.mark.fact("other-connectors bug-68")
async def test_a_create_carries_no_filter_of_the_question_before(system: System) -> None:
    await system.connect()
    system.servicenow.fault("acl_hiccup", method="POST", path="/table/")
    await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 2)
    assert [call.method for call in calls(system)] == ["POST", "GET", "GET", "GET", "POST"]
    for call in calls(system, "POST"):
        assert "sysparm_query" not in call.query
        assert "sysparm_limit" not in call.query


async def test_what_servicenow_cut_or_dropped_is_told(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.connect()
    real = ServiceNowClient.create

    async def loses(self: ServiceNowClient, table: Any, fields: dict[str, str], own_sys_id: str) -> RemoteTicket:
        kept = {**fields, "description": fields["description"][:100], "due_date": "", "u_unknown": "x"}
        return await real(self, table, kept, own_sys_id)

    monkeypatch.setattr("app.integrations.servicenow.client.ServiceNowClient.create", loses)
    ticket_id, _ = await shared_ticket(system)
    page = await told(system, f"/tickets/{ticket_id}")
    assert "Description: ServiceNow cut it after 100 characters." in page
    assert "Due date: ServiceNow did not keep it." in page


async def test_what_is_sent_is_what_the_page_shows(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    body = json.loads(calls(system, "POST")[0].body)
    ticket: Ticket = await read_ticket(system, ticket_id)
    assert body == {**ticket.record, "sys_id": ticket.own_sys_id}
    page = await told(system, f"/tickets/{ticket_id}")
    for name in body:
        assert f"<code>{name}</code>" in page
