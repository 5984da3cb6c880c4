"""Waiting for a slot while notifications are lost, or the database takes no connection that listens."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from app.features.connection import slots
from app.features.connection.gateway import InstancePaused, call
from app.features.connection.slots import Pool
from tests.factories.calling import Gate, another_process, at_once
from tests.factories.system import System


async def test_a_waiting_caller_listens_again_after_its_connection_was_lost(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    monkeypatch.setitem(slots.LONGEST_WAIT_SECONDS, Pool.SHARED, 50.0)
    monkeypatch.setattr(slots, "RECHECK_SECONDS", 50.0)  # So it is not the timer that wakes the caller.
    gate = Gate()
    async with another_process(system) as other:
        held = await gate.fill(other)
        waiting = asyncio.create_task(call(system.resources, at_once))
        await asyncio.sleep(1)
        async with other.database.transaction() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
            )
        await asyncio.sleep(1)
        gate.open.set()
        started = time.monotonic()
        assert await asyncio.wait_for(waiting, 20) == "answered"
        assert time.monotonic() - started < 10
        await asyncio.gather(*held)


async def test_a_lost_notification_costs_seconds_and_few_statements(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler in transaction mode, which drops the LISTEN."""
    await system.connect()
    monkeypatch.setitem(slots.LONGEST_WAIT_SECONDS, Pool.SHARED, 50.0)
    gate, tries = Gate(), 0
    try_to_start = slots._try_to_start

    async def counted(*given: Any) -> float | None:
        nonlocal tries
        tries += 1
        return await try_to_start(*given)

    async with another_process(system) as other:
        held = await gate.fill(other)
        monkeypatch.setattr(system.resources.database.notifications, "wake", lambda _key: None)
        monkeypatch.setattr(slots, "_try_to_start", counted)
        waiting = asyncio.create_task(call(system.resources, at_once))
        await asyncio.sleep(2 * slots.RECHECK_SECONDS)
        assert 1 < tries <= 4
        gate.open.set()
        started = time.monotonic()
        assert await asyncio.wait_for(waiting, 30) == "answered"
        assert time.monotonic() - started < 5 * slots.RECHECK_SECONDS
        await asyncio.gather(*held)


async def test_a_database_that_refuses_to_listen_does_not_fail_the_call(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()

    async def refused(**_: object) -> None:
        raise psycopg.OperationalError("FATAL: sorry, too many clients already")

    gate = Gate()
    held = await gate.fill(system.resources)
    monkeypatch.setattr(psycopg.AsyncConnection, "connect", refused)
    waiting = asyncio.create_task(call(system.resources, at_once))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    gate.open.set()
    assert await asyncio.wait_for(waiting, 20) == "answered"
    await asyncio.gather(*held)


async def test_a_database_that_hangs_holds_no_caller_up_past_the_deadline(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()

    async def hang(**_: object) -> None:
        await asyncio.Event().wait()

    gate = Gate()
    held = await gate.fill(system.resources)
    monkeypatch.setitem(slots.LONGEST_WAIT_SECONDS, Pool.SHARED, 0.2)
    monkeypatch.setattr(psycopg.AsyncConnection, "connect", hang)
    with pytest.raises(InstancePaused) as caught:
        await asyncio.wait_for(call(system.resources, at_once), 10)
    assert caught.value.reason is None
    gate.open.set()
    await asyncio.gather(*held)
