"""Waking across connections of one database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import text

from app.core.database import Database, make_engine
from app.core.database_connection import ConnectionOptions
from app.core.notifications import NOTIFY

KEY = "a slot"


@pytest.fixture
async def databases(database_url: str) -> AsyncIterator[tuple[Database, Database]]:
    """Database objects of two processes."""
    one, other = (Database(make_engine(database_url)) for _ in range(2))
    yield one, other
    await one.close()
    await other.close()


async def notify(database: Database, key: str = KEY) -> None:
    async with database.transaction() as session:
        await session.execute(NOTIFY, {"key": key})


async def end_listening(database: Database) -> None:
    """As when the server ends the connections that listen."""
    async with database.transaction() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
            )
        )


async def test_a_notification_of_another_process_sets_the_event(databases: tuple[Database, Database]) -> None:
    one, other = databases
    async with one.notifications.subscribe(KEY) as event:
        await notify(other)
        await asyncio.wait_for(event.wait(), 10)


async def test_listening_reads_the_address_as_the_engine_does(database_url: str) -> None:
    """An option with a space: in an address that SQLAlchemy writes it is "+", which libpq does not read."""
    separator = "&" if "?" in database_url else "?"
    database = Database(make_engine(f"{database_url}{separator}options=-c%20statement_timeout%3D60000"))
    try:
        async with database.transaction() as session:
            assert (await session.execute(text("SHOW statement_timeout"))).scalar_one() == "1min"
        async with database.notifications.subscribe(KEY) as event:
            await notify(database)
            await asyncio.wait_for(event.wait(), 10)
    finally:
        await database.close()


async def test_a_connection_that_was_lost_is_opened_again_for_those_who_still_wait(
    databases: tuple[Database, Database],
) -> None:
    one, other = databases
    async with one.notifications.subscribe(KEY) as event:
        await end_listening(other)
        await asyncio.wait_for(event.wait(), 10)
        await one.notifications.listen()
        event.clear()
        await notify(other)
        await asyncio.wait_for(event.wait(), 10)


@pytest.mark.parametrize("error", [psycopg.OperationalError("too many clients"), OSError("no route to host")])
async def test_a_connection_that_is_refused_raises_nothing_and_is_not_tried_without_end(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    one, _ = databases
    tries = 0

    async def refused(**_: object) -> None:
        nonlocal tries
        tries += 1
        raise error

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", refused)
    async with one.notifications.subscribe(KEY) as event, one.notifications.subscribe("another"):
        one.notifications.wake(KEY)  # Within this process waking needs no connection.
        assert event.is_set()
        for _ in range(5):
            await one.notifications.listen()
    assert tries == 1


async def test_a_server_that_does_not_answer_holds_no_waiter_up(
    databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = databases
    given = dict[str, object]()

    async def hang(**arguments: object) -> None:
        given.update(arguments)
        await asyncio.Event().wait()

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", hang)
    async with asyncio.timeout(10), one.notifications.subscribe(KEY, patience=0.1):
        await one.notifications.listen(0)
    assert given["connect_timeout"] == str(ConnectionOptions().connect_seconds)


async def test_only_its_own_key_wakes(databases: tuple[Database, Database]) -> None:
    one, other = databases
    async with one.notifications.subscribe(KEY) as event, one.notifications.subscribe("another") as unrelated:
        await notify(other)
        await asyncio.wait_for(event.wait(), 10)
        assert not unrelated.is_set()


async def test_what_is_rolled_back_wakes_no_subscriber(databases: tuple[Database, Database]) -> None:
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
        await end_listening(other)
        await asyncio.wait_for(event.wait(), 10)
    async with one.notifications.subscribe(KEY) as event:
        await notify(other)
        await asyncio.wait_for(event.wait(), 10)
