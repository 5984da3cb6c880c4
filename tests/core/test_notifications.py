"""Waking across connections of one database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from app.core.database import Database, make_engine
from app.core.notifications import NOTIFY

KEY = "a slot"


@pytest.fixture
async def databases(database_url: str) -> AsyncIterator[tuple[Database, Database]]:
    """Two processes' worth."""
    one, other = (Database(make_engine(database_url)) for _ in range(2))
    yield one, other
    await one.close()
    await other.close()


async def notify(database: Database, key: str = KEY) -> None:
    async with database.transaction() as session:
        await session.execute(NOTIFY, {"key": key})


async def test_a_notification_of_another_process_sets_the_event(databases: tuple[Database, Database]) -> None:
    one, other = databases
    async with one.notifications.subscribe(KEY) as event:
        await notify(other)
        await asyncio.wait_for(event.wait(), 10)


async def test_only_its_own_key_wakes(databases: tuple[Database, Database]) -> None:
    one, other = databases
    async with one.notifications.subscribe(KEY) as event, one.notifications.subscribe("another") as stranger:
        await notify(other)
        await asyncio.wait_for(event.wait(), 10)
        assert not stranger.is_set()


async def test_what_is_rolled_back_wakes_nobody(databases: tuple[Database, Database]) -> None:
    one, other = databases
    async with one.notifications.subscribe(KEY) as event:
        async with other.transaction() as session:
            await session.execute(NOTIFY, {"key": KEY})
            await session.rollback()
        await notify(other, "another")
        await asyncio.sleep(0.2)
        assert not event.is_set()


async def test_wake_sets_the_events_of_this_process_alone(databases: tuple[Database, Database]) -> None:
    one, other = databases
    async with one.notifications.subscribe(KEY) as here, other.notifications.subscribe(KEY) as there:
        one.notifications.wake(KEY)
        assert (here.is_set(), there.is_set()) == (True, False)


async def test_a_lost_connection_wakes_everything_and_is_opened_again(databases: tuple[Database, Database]) -> None:
    one, other = databases
    async with one.notifications.subscribe(KEY) as event:
        async with other.transaction() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
            )
        await asyncio.wait_for(event.wait(), 10)
    async with one.notifications.subscribe(KEY) as event:
        await notify(other)
        await asyncio.wait_for(event.wait(), 10)
