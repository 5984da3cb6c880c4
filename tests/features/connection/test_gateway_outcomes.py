"""What the outcome of a call does to the pause of its instance: by lane, and for the probe after a pause."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import SQLAlchemyError

from app.core.errors import RetryLater
from app.features.connection.connection_view import connection_view
from app.features.connection.gateway import InstancePaused, Lane, ServiceNowClient, call
from app.features.tickets.delivery.adapter import Superseded
from app.integrations.http.errors import Ambiguous, ServerError, Throttled
from tests.factories.calling import Gate, at_once, pause, throttle
from tests.factories.connecting import connections
from tests.factories.system import System


class Raising:
    """Work that ends with this error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def work(self, _client: ServiceNowClient) -> None:
        raise self.error


@pytest.mark.fact("other-connectors bug-59")
async def test_a_named_wait_is_not_undercut_by_a_call_that_a_person_waits_for(system: System) -> None:
    await system.connect()
    with pytest.raises(Throttled):
        await call(system.resources, Raising(Throttled(seconds=45)).work, lane=Lane.DELIVERY)
    before = await throttle(system)
    assert await call(system.resources, at_once, lane=Lane.INTERACTIVE) == "answered"
    with pytest.raises(InstancePaused) as caught:
        await call(system.resources, at_once, lane=Lane.DELIVERY)
    assert 35 < caught.value.seconds <= 45
    after = await throttle(system)
    assert (after.failures, after.paused_until, after.reason) == (1, before.paused_until, before.reason)
    assert after.requests == before.requests + 1


async def test_an_interactive_success_forgets_no_failures(system: System) -> None:
    await system.connect()
    for _ in range(2):
        with pytest.raises(Ambiguous):
            await call(system.resources, Raising(Ambiguous()).work)
    await call(system.resources, at_once, lane=Lane.INTERACTIVE)
    assert (await throttle(system)).failures == 2


async def test_an_interactive_failure_neither_prolongs_nor_ends_a_pause(system: System) -> None:
    connection = await system.connect()
    await pause(system, connection.id, 40)
    before = await throttle(system)
    for error in (Throttled(seconds=300), ServerError()):
        with pytest.raises(type(error)):
            await call(system.resources, Raising(error).work, lane=Lane.INTERACTIVE)
    after = await throttle(system)
    assert (after.failures, after.paused_until, after.reason) == (before.failures, before.paused_until, before.reason)


async def shown_pause(system: System) -> str | None:
    async with system.resources.database.transaction() as session:
        view = await connection_view(session)
    assert view is not None
    return None if view.pause is None else str(view.pause)


async def test_the_connection_shows_no_pause_for_what_an_interactive_call_was_answered(system: System) -> None:
    """Nothing is paused by it, so the page says nothing of a pause (docs/decisions/0006-one-gateway.md)."""
    await system.connect()
    with pytest.raises(Throttled):
        await call(system.resources, Raising(Throttled(seconds=45)).work, lane=Lane.INTERACTIVE)
    assert await shown_pause(system) is None
    await call(system.resources, at_once, lane=Lane.INTERACTIVE)
    [connection] = await connections(system)
    assert connection.last_success_at is not None


async def test_the_connection_shows_the_pause_that_calls_obey(system: System) -> None:
    """An interactive success does not end the pause, so it does not hide it either."""
    await system.connect()
    with pytest.raises(Throttled):
        await call(system.resources, Raising(Throttled(seconds=45)).work)
    shown = await shown_pause(system)
    assert shown is not None
    assert shown.startswith(str(Throttled.default))
    assert "We ask again at " in shown
    await call(system.resources, at_once, lane=Lane.INTERACTIVE)
    assert await shown_pause(system) == shown
    with pytest.raises(InstancePaused):
        await call(system.resources, at_once)
    manager = await system.signed_in("manager")
    assert "We ask again at " in (await manager.get("/servicenow")).text


@pytest.mark.parametrize("error", [Superseded(), RetryLater(seconds=1), SQLAlchemyError()])
async def test_a_probe_without_an_outcome_lets_the_next_call_probe_at_once(system: System, error: Exception) -> None:
    connection = await system.connect()
    await pause(system, connection.id, -1)
    with pytest.raises(type(error)):
        await call(system.resources, Raising(error).work, lane=Lane.DELIVERY)
    row = await throttle(system)
    assert row.failures == 1  # Not forgotten: nothing was learned of the instance.
    assert await call(system.resources, at_once) == "answered"
    assert (await throttle(system)).failures == 0


async def test_a_probe_that_is_cancelled_lets_the_next_call_probe_at_once(system: System) -> None:
    connection = await system.connect()
    await pause(system, connection.id, -1)
    [probe] = await Gate().fill(system.resources, 1)
    with pytest.raises(InstancePaused):
        await call(system.resources, at_once)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert await call(system.resources, at_once) == "answered"


async def test_a_call_that_is_no_probe_gives_none_back(system: System) -> None:
    """It began before the pause; the probe is still under way when it ends without an outcome."""
    connection = await system.connect()
    early, probing = Gate(), Gate()
    [before] = await early.fill(system.resources, 1)
    await pause(system, connection.id, -1)
    [probe] = await probing.fill(system.resources, 1)
    before.cancel()
    with pytest.raises(asyncio.CancelledError):
        await before
    with pytest.raises(InstancePaused):
        await call(system.resources, at_once)
    probing.open.set()
    await probe
