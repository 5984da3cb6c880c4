"""Calls through the gateway that a test holds open, the rows they leave, and a second process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from app.core import clock
from app.core.database import Database, make_engine
from app.core.keyed_locks import KeyedLocks
from app.features.connection.gateway import Lane, ServiceNowClient, call
from app.features.connection.models import CallLease, InstanceThrottle
from app.features.connection.slots import SLOTS, Pool
from app.features.connection.throttle import throttle_of
from app.integrations.http.errors import Throttled
from app.resources import Resources
from tests.factories.system import System


@asynccontextmanager
async def another_process(system: System) -> AsyncIterator[Resources]:
    """Resources that share nothing with the system's but the database and the transport."""
    database = Database(make_engine(system.resources.database.engine.url.render_as_string(hide_password=False)))
    try:
        yield replace(system.resources, database=database, keyed_locks=KeyedLocks())
    finally:
        await database.close()


class Gate:
    """Work that waits until the gate is opened, and counts how many calls wait at the same time."""

    def __init__(self) -> None:
        self.now, self.most, self.entered, self.open = 0, 0, asyncio.Semaphore(0), asyncio.Event()

    async def work(self, _client: ServiceNowClient) -> str:
        self.now += 1
        self.most = max(self.most, self.now)
        self.entered.release()
        await self.open.wait()
        self.now -= 1
        return "answered"

    async def fill(
        self, resources: Resources, calls: int = SLOTS[Pool.SHARED], *, lane: Lane = Lane.BACKGROUND
    ) -> list[asyncio.Task[str]]:
        """Start this many calls, and wait until all of them are in `work`."""
        tasks = [asyncio.create_task(call(resources, self.work, lane=lane)) for _ in range(calls)]
        entered = asyncio.create_task(self._entered(calls))
        done, _ = await asyncio.wait([entered, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if entered not in done:  # A call that failed would otherwise be waited for without an end.
            entered.cancel()
            await asyncio.gather(*done)
        return tasks

    async def _entered(self, calls: int) -> None:
        for _ in range(calls):
            await self.entered.acquire()


async def at_once(_client: ServiceNowClient) -> str:
    return "answered"


async def leases(system: System) -> list[CallLease]:
    async with system.resources.database.transaction() as session:
        return list((await session.execute(select(CallLease))).scalars())


async def throttle(system: System) -> InstanceThrottle:
    async with system.resources.database.transaction() as session:
        return (await session.execute(select(InstanceThrottle))).scalar_one()


async def pause(system: System, connection_id: UUID, seconds: float) -> None:
    async with system.resources.database.transaction() as session:
        row = await throttle_of(session, connection_id)
        row.paused_until, row.failures = clock.now() + timedelta(seconds=seconds), 1
        row.reason = Throttled.default.to_json()
