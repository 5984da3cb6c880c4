"""The gateway over the resources of two processes: slots, waking, lanes, pauses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from app.core import clock
from app.features.connection import slots
from app.features.connection.active_connection import NotConnected
from app.features.connection.gateway import InstancePaused, Lane, ServiceNowClient, call, call_with_token, ping
from app.features.connection.models import CallLease, Connection, ConnectionStatus, InstanceThrottle
from app.features.connection.slots import LEASE_SECONDS, SLOTS, Pool
from app.features.connection.throttle import BUDGET, throttle_of
from app.integrations.http.errors import Ambiguous, Forbidden, Throttled
from tests.factories.calling import Gate, another_process, at_once, leases, pause, throttle
from tests.factories.connecting import requests
from tests.factories.system import System


@pytest.mark.fact("servicenow 2.8")
async def test_never_more_than_four_calls_at_once_over_two_processes(system: System) -> None:
    await system.connect()
    gate = Gate()

    async def work(client: ServiceNowClient) -> str:
        if gate.now + 1 == SLOTS[Pool.SHARED]:
            gate.open.set()
        return await gate.work(client)

    async with another_process(system) as other:
        answers = await asyncio.gather(
            *(call(resources, work) for resources in (system.resources, other) for _ in range(8))
        )
    assert answers == ["answered"] * 16
    assert gate.most == SLOTS[Pool.SHARED]
    assert await leases(system) == []


async def test_a_waiting_caller_is_woken_when_another_process_releases(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the notification: the timer is far away, and there is no loop that looks again."""
    await system.connect()
    monkeypatch.setitem(slots.LONGEST_WAIT_SECONDS, Pool.SHARED, 50.0)
    monkeypatch.setattr(slots, "RECHECK_SECONDS", 50.0)
    gate = Gate()
    async with another_process(system) as other:
        held = await gate.fill(other)
        waiting = asyncio.create_task(call(system.resources, at_once))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        gate.open.set()
        started = time.monotonic()
        assert await asyncio.wait_for(waiting, 20) == "answered"
        assert time.monotonic() - started < LEASE_SECONDS / 3
        await asyncio.gather(*held)


async def test_callers_of_one_process_go_first_in_first_out(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = await system.connect()
    monkeypatch.setitem(slots.LONGEST_WAIT_SECONDS, Pool.SHARED, 50.0)
    gate, order = Gate(), list[int]()
    held = await gate.fill(system.resources)

    async def nth(number: int) -> None:
        async def work(_client: ServiceNowClient) -> None:
            order.append(number)

        # By its id: a query for the connection before the wait would decide the order.
        await call(system.resources, work, connection_id=connection.id)

    waiting = [asyncio.create_task(nth(number)) for number in range(5)]
    await asyncio.sleep(0.05)
    gate.open.set()
    await asyncio.gather(*held, *waiting)
    assert order == [0, 1, 2, 3, 4]


def test_the_slot_of_a_killed_process_is_free_before_a_waiting_person_gives_up() -> None:
    assert slots.LONGEST_WAIT_SECONDS[Pool.INTERACTIVE] > LEASE_SECONDS


async def test_a_person_is_not_held_up_by_four_calls_in_the_background(system: System) -> None:
    await system.connect()
    gate = Gate()
    held = await gate.fill(system.resources)
    assert await call(system.resources, at_once, lane=Lane.INTERACTIVE) == "answered"
    assert gate.now == SLOTS[Pool.SHARED]
    gate.open.set()
    await asyncio.gather(*held)


async def test_only_one_interactive_call_at_a_time(system: System) -> None:
    await system.connect()
    gate = Gate()
    first = asyncio.create_task(call(system.resources, gate.work, lane=Lane.INTERACTIVE))
    await gate.entered.acquire()
    second = asyncio.create_task(call(system.resources, gate.work, lane=Lane.INTERACTIVE))
    await asyncio.sleep(0.3)
    assert gate.most == 1
    gate.open.set()
    assert [await first, await second] == ["answered"] * 2
    assert gate.most == 1


async def test_the_slot_of_a_dead_process_is_free_after_its_lease(system: System) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        await throttle_of(session, connection.id)
        end = clock.now() + timedelta(seconds=0.5)
        session.add_all(
            CallLease(id=uuid4(), connection_id=connection.id, pool=Pool.SHARED, expires_at=end)
            for _ in range(SLOTS[Pool.SHARED])
        )
    # Nothing is notified: the timer for the next lease that expires wakes the caller.
    assert await call(system.resources, at_once) == "answered"
    assert clock.now() >= end
    assert await leases(system) == []


async def test_a_lease_is_extended_while_its_call_goes_on(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.connect()
    monkeypatch.setattr("app.features.connection.slots.EXTEND_EVERY_SECONDS", 0.05)
    gate = Gate()
    held = await gate.fill(system.resources, 1)
    before = (await leases(system))[0].expires_at
    for _ in range(100):
        await asyncio.sleep(0.05)
        if (await leases(system))[0].expires_at > before:
            break
    assert (await leases(system))[0].expires_at > before
    gate.open.set()
    await asyncio.gather(*held)


async def test_waiting_for_a_slot_ends_and_nothing_is_sent(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.connect()
    gate = Gate()
    held = await gate.fill(system.resources)
    monkeypatch.setitem(slots.LONGEST_WAIT_SECONDS, Pool.SHARED, 0.2)
    outcomes = await asyncio.gather(*(call(system.resources, gate.work) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [InstancePaused] * 3
    assert all(isinstance(outcome, InstancePaused) and outcome.reason is None for outcome in outcomes)
    assert gate.most == SLOTS[Pool.SHARED]
    gate.open.set()
    await asyncio.gather(*held)


async def test_a_cancelled_caller_gives_its_slot_back(system: System) -> None:
    await system.connect()
    gate = Gate()
    [asked] = await gate.fill(system.resources, 1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await leases(system) == []


async def test_a_pause_holds_back_jobs_and_not_a_person(system: System) -> None:
    connection = await system.connect()
    await pause(system, connection.id, 40)
    for lane in (Lane.BACKGROUND, Lane.DELIVERY):
        with pytest.raises(InstancePaused) as caught:
            await call(system.resources, at_once, lane=lane)
        assert 30 < caught.value.seconds <= 40
        assert caught.value.reason == Throttled.default
    assert await call(system.resources, at_once, lane=Lane.INTERACTIVE) == "answered"
    # Its success neither ends nor shortens the pause: the jobs would all go on before the time that was named.
    with pytest.raises(InstancePaused) as caught:
        await call(system.resources, at_once)
    assert 30 < caught.value.seconds <= 40


async def test_a_full_gateway_tells_of_a_pause_at_once(system: System) -> None:
    connection = await system.connect()
    gate = Gate()
    held = await gate.fill(system.resources)
    await pause(system, connection.id, 40)
    with pytest.raises(InstancePaused) as caught:
        await call(system.resources, at_once)
    assert caught.value.reason is not None
    gate.open.set()
    await asyncio.gather(*held)


async def test_after_a_pause_one_call_goes_ahead_and_the_others_wait_for_its_outcome(system: System) -> None:
    connection = await system.connect()
    await pause(system, connection.id, -1)
    gate = Gate()
    [probe] = await gate.fill(system.resources, 1)
    with pytest.raises(InstancePaused):
        await call(system.resources, at_once)
    gate.open.set()
    await probe
    assert await call(system.resources, at_once) == "answered"


async def test_the_budget_stops_polling_and_neither_deliveries_nor_persons(system: System) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        row = await throttle_of(session, connection.id)
        row.requests, row.hour = BUDGET, clock.now().replace(minute=0, second=0, microsecond=0)
    with pytest.raises(InstancePaused) as caught:
        await call(system.resources, at_once)
    assert "budget" in str(caught.value.reason)
    for lane in (Lane.DELIVERY, Lane.INTERACTIVE):
        assert await call(system.resources, at_once, lane=lane) == "answered"
    assert (await throttle(system)).requests == BUDGET + 2


async def test_failures_pause_the_instance_and_a_refusal_of_one_record_does_not(system: System) -> None:
    await system.connect()

    async def refused(_client: ServiceNowClient) -> None:
        raise Forbidden

    async def limited(_client: ServiceNowClient) -> None:
        raise Throttled(seconds=30)

    with pytest.raises(Forbidden):
        await call(system.resources, refused)
    assert (await throttle(system)).failures == 0
    with pytest.raises(Throttled):
        await call(system.resources, limited)
    row = await throttle(system)
    assert row.failures == 1
    assert row.paused_until is not None


async def test_an_interactive_failure_starts_no_pause(system: System) -> None:
    await system.connect()

    async def lost(_client: ServiceNowClient) -> None:
        raise Ambiguous

    for _ in range(4):
        with pytest.raises(Ambiguous):
            await call(system.resources, lost, lane=Lane.INTERACTIVE)
    row = await throttle(system)
    assert (row.failures, row.paused_until) == (0, None)


async def test_without_a_connection_nothing_is_called(system: System) -> None:
    with pytest.raises(NotConnected):
        await call(system.resources, at_once)
    with pytest.raises(NotConnected):
        await call(system.resources, at_once, connection_id=uuid4())


async def test_an_outcome_that_cannot_be_recorded_does_not_spoil_the_answer(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record was made at ServiceNow; the slot's lease ends by itself."""
    await system.connect()

    async def database_away(*_: object) -> None:
        raise SQLAlchemyError

    monkeypatch.setattr(slots, "give_back_slots", database_away)
    assert await call(system.resources, at_once) == "answered"
    assert len(await leases(system)) == 1


async def who_was_granted(system: System) -> str:
    """Asked with a token that no connection holds."""
    granted = system.servicenow.tokens("m365.integration", system.servicenow.consented("m365.integration"))
    user = await call_with_token(
        system.resources,
        lambda client: client.whoami(),
        origin=system.servicenow.url,
        access_token=granted["access_token"],
    )
    return "" if user is None else user.user_name


async def refused_ping(system: System) -> str:
    return str((await ping(system.resources, system.servicenow.url)).answer.status)


async def test_an_instance_that_was_never_connected_is_called_without_a_slot(system: System) -> None:
    assert await who_was_granted(system) == "m365.integration"
    assert await refused_ping(system) == "401"
    async with system.resources.database.transaction() as session:
        assert (await session.execute(select(InstanceThrottle))).all() == []


@pytest.mark.parametrize(
    ("ask", "answer"), [(who_was_granted, "m365.integration"), (refused_ping, "401")], ids=["token", "ping"]
)
@pytest.mark.parametrize("status", list(ConnectionStatus))
async def test_a_call_without_the_connections_token_takes_the_slot_of_interactive_calls(
    system: System, ask: Callable[[System], Coroutine[Any, Any, str]], answer: str, status: ConnectionStatus
) -> None:
    """An authorized instance is authorized again, or checked, while jobs call it."""
    connection = await system.connect()
    gate = Gate()
    held = await gate.fill(system.resources, 1, lane=Lane.INTERACTIVE)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(status=status))
    before = (await throttle(system)).requests
    system.servicenow.instance.journal.clear()
    asking = asyncio.create_task(ask(system))
    await asyncio.sleep(0.3)
    assert requests(system, "/api/now") == []
    gate.open.set()
    assert await asking == answer
    await asyncio.gather(*held)
    row = await throttle(system)
    assert (row.connection_id, row.requests, row.failures) == (connection.id, before + 1, 0)
    assert await leases(system) == []
