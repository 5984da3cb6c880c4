"""Every connection has a name and time-outs, and one address means the same to the engine, the queue and the listener."""

from __future__ import annotations

import asyncio
import math
from contextlib import AsyncExitStack
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from app.core.database import Database, make_engine
from app.core.database_connection import (
    GRACE_SECONDS,
    ConnectionOptions,
    UnreadableAddress,
    as_psycopg_url,
    complete_url,
    connect_arguments,
    connection_class,
    patience,
)
from app.core.jobs import Queue
from tests.factories.outages import proxied
from tests.factories.servers import free_port

OPTIONS = ConnectionOptions("security-center test", statement_seconds=1.5, idle_in_transaction_seconds=20)


def arguments(url: str) -> dict[str, object]:
    return connect_arguments(complete_url(url, OPTIONS))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:change-me@h1:1,h2:2/db",
        "postgresql://u:change-me@/db?host=h1,h2&port=1,2",
        "postgresql://u:change-me@/db?host=h1:1&host=h2:2",
    ],
)
def test_several_hosts_are_read_as_one_thing(url: str) -> None:
    found = arguments(f"{url}{'&' if '?' in url else '?'}target_session_attrs=read-write")
    assert (found["host"], str(found["port"]), found["dbname"]) == ("h1,h2", "1,2", "db")
    assert (found["user"], found["password"]) == ("u", "change-me")
    assert found["target_session_attrs"] == "read-write"


def test_several_hosts_may_be_addresses_and_leave_out_ports() -> None:
    found = arguments("postgresql://u@[::1]:6000,h2/db")
    assert (found["host"], found["port"]) == ("::1,h2", "6000,5432")
    assert make_url(as_psycopg_url("postgresql://u@h,h2")).database in (None, "")


@pytest.mark.parametrize("url", ["mysql://x/y", "postgresql://h:no-port/db", "postgresql://h1:1,h2:no/db", "nonsense"])
def test_an_address_that_cannot_be_read_is_refused_with_a_sentence_that_repeats_none_of_it(url: str) -> None:
    with pytest.raises(UnreadableAddress, match=r"DATABASE_URL cannot be read.*percent-encoded \(@ is written %40\)"):
        make_engine(url)
    with pytest.raises(UnreadableAddress) as refused:
        Queue(url, [])
    assert "no-port" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_what_the_address_says_goes_before_our_time_outs() -> None:
    found = arguments("postgresql://h/db?connect_timeout=9&application_name=mine&options=-c%20statement_timeout%3D7")
    assert (found["connect_timeout"], found["application_name"]) == ("9", "mine")
    assert str(found["options"]).endswith("-c statement_timeout=7")
    assert found["tcp_user_timeout"] == "15000"


def test_an_address_that_comes_back_from_the_engine_stays_the_same() -> None:
    once = complete_url("postgresql://h/db?options=-c%20jit%3Doff", OPTIONS)
    assert complete_url(once.render_as_string(hide_password=False), OPTIONS) == once


async def test_the_server_knows_name_and_limits_of_every_connection(database_url: str) -> None:
    database = Database(make_engine(database_url, OPTIONS))
    asked = text(
        "SELECT current_setting('application_name'), current_setting('statement_timeout'), "
        "current_setting('idle_in_transaction_session_timeout'), current_setting('transaction_timeout')"
    )
    async with database.transaction() as session:
        assert tuple((await session.execute(asked)).one()) == ("security-center test", "1500ms", "20s", "1min")
    queue = Queue(database_url, [], OPTIONS)
    async with queue._app.open_async(), database.notifications.subscribe("anything"), database.transaction() as session:
        names = await session.execute(
            text(
                "SELECT DISTINCT application_name FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        assert set(names.scalars()) == {"security-center test"}
    await database.close()


def test_the_server_asks_a_silent_client_as_the_client_asks_it() -> None:
    """On a socket of the same machine it has no need to, and ignores it."""
    told = str(arguments("postgresql://h/db")["options"])
    for limit in (
        "tcp_keepalives_idle=10",
        "tcp_keepalives_interval=5",
        "tcp_keepalives_count=3",
        "tcp_user_timeout=15000",
    ):
        assert f"-c {limit}" in told


async def test_a_client_that_stands_still_within_a_pipeline_holds_its_locks_for_as_long_as_a_transaction_may_take(
    database_url: str,
) -> None:
    """The server waits for its next message, and ends neither a statement nor an idle transaction meanwhile."""
    quick = ConnectionOptions(idle_in_transaction_seconds=0.2, statement_seconds=0.2, transaction_seconds=1.5)
    named = connect_arguments(complete_url(database_url, quick))
    still = await connection_class(quick).connect(**named)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
        waits = "SELECT pg_try_advisory_xact_lock(7)"
        pipeline = AsyncExitStack()
        await pipeline.enter_async_context(still.pipeline())
        await still.execute("SELECT pg_advisory_xact_lock(7)")
        still.pgconn.send_flush_request()
        still.pgconn.flush()
        await asyncio.sleep(0.9)
        assert (await (await other.execute(waits)).fetchone()) == (False,)
        async with asyncio.timeout(20):
            while (await (await other.execute(waits)).fetchone()) == (False,):  # noqa: ASYNC110 - the server decides.
                await asyncio.sleep(0.1)
        with pytest.raises(psycopg.OperationalError):
            await pipeline.aclose()
    await still.close()


async def test_what_the_address_says_of_transactions_and_what_takes_long_by_nature_goes_before_our_limit(
    database_url: str,
) -> None:
    mark = "&" if "?" in database_url else "?"
    for address, options, limit in (
        (f"{database_url}{mark}options=-c%20transaction_timeout%3D7s", OPTIONS, "7s"),
        (database_url, replace(OPTIONS, transaction_seconds=0), "0"),
    ):
        database = Database(make_engine(address, options))
        async with database.transaction() as session:
            assert (await session.execute(text("SHOW transaction_timeout"))).scalar_one() == limit
        await database.close()


async def test_a_statement_that_takes_too_long_is_ended_by_the_server_and_the_connection_goes_on(
    database_url: str,
) -> None:
    database = Database(make_engine(database_url, OPTIONS))
    async with database.engine.connect() as connection:
        with pytest.raises(OperationalError, match="statement timeout"):
            await connection.execute(text("SELECT pg_sleep(20)"))
        await connection.rollback()
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()


async def test_a_connection_whose_server_falls_silent_is_given_up_and_replaced(database_url: str) -> None:
    async with proxied(database_url) as (proxy, address):
        database = Database(make_engine(address, OPTIONS))
        async with asyncio.timeout(30):
            async with database.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
                proxy.freeze()
                with pytest.raises(OperationalError, match="does not answer"):
                    await connection.execute(text("SELECT 1"))
            proxy.thaw()
            async with database.transaction() as session:
                assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
        await database.close()


async def test_long_waits_of_one_request_are_added_up_and_short_ones_are_not(database_url: str) -> None:
    database = Database(make_engine(database_url))
    with patience(1.0):
        async with database.transaction() as session:
            for _ in range(100):
                await session.execute(text("SELECT pg_sleep(0.001)"))
            await session.execute(text("SELECT pg_sleep(0.6)"))
            with pytest.raises(OperationalError, match="does not answer"):
                await session.execute(text("SELECT pg_sleep(30)"))
            await session.close()
    await database.close()


async def test_a_listener_waits_for_as_long_as_nothing_comes(database_url: str) -> None:
    quick = ConnectionOptions(statement_seconds=0.2)
    async with await connection_class(quick).connect(
        **connect_arguments(complete_url(database_url, quick)), autocommit=True
    ) as connection:
        await connection.execute("LISTEN anything")
        assert [one async for one in connection.notifies(timeout=1.5)] == []
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute("NOTIFY anything, 'came'")
        async for one in connection.notifies(timeout=10, stop_after=1):
            assert one.payload == "came"
        await connection.execute("SELECT 1")


async def test_a_host_that_refuses_is_passed_over_for_one_that_answers(database_url: str) -> None:
    async with proxied(database_url) as (proxy, _):
        name = make_url(database_url)
        both = f"postgresql://postgres@127.0.0.1:{free_port()},127.0.0.1:{proxy.port}/{name.database}"
        url = f"{both}?target_session_attrs=read-write"
        database = Database(make_engine(url))
        async with database.transaction() as session:
            assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
        async with Queue(url, [])._app.open_async():
            assert proxy.connections == 2
        await database.close()


def test_without_a_time_limit_for_statements_the_client_sets_none_either() -> None:
    assert connection_class(replace(OPTIONS, statement_seconds=0)).answer_seconds == math.inf
    assert connection_class(replace(OPTIONS, statement_seconds=3)).answer_seconds == 3 + GRACE_SECONDS
