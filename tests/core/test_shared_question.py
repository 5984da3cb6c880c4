"""One question for many callers: shared, never mixed up, never hanging, and whole again after any trouble."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core import shared_question
from app.core.database import Database, make_engine
from app.core.database_connection import ConnectionOptions, NoAnswer, patience
from app.core.database_trouble import DatabaseTrouble, trouble_of
from app.core.logging import bind_correlation_id, current_correlation_id
from app.core.shared_question import KeyedQuery, SharedQuestion, TooManyWaiting
from tests.conventions.files import ROOT
from tests.factories.outages import backends, idle_holder, kill_backends, missing, proxied, stopped
from tests.factories.statements import counted


def pair(row: Sequence[Any]) -> tuple[str, str]:
    """A row of two texts as key and answer."""
    key, answer = row
    return key, answer


# Answers each key that begins with "k" with itself in capitals; others are not known.
ECHO = KeyedQuery("SELECT key, upper(key) FROM unnest($1::text[]) key WHERE key LIKE 'k%'", pair)
SLOW = KeyedQuery("SELECT key, key FROM unnest($1::text[]) key, pg_sleep(0.3)", pair)
OF_TABLE = KeyedQuery("SELECT topic, topic FROM running_process, unnest($1::text[]) topic", pair)


@pytest.fixture
async def shared(database: Database) -> SharedQuestion:
    return database.shared_question


async def until(holds: Callable[[], bool]) -> None:
    """Wait until the condition holds; fails after 20 seconds."""
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to hold")


async def test_each_caller_gets_the_answer_of_its_own_key(shared: SharedQuestion) -> None:
    keys = ["k1", "k2", "other", "k1", "k3"]
    assert await asyncio.gather(*(shared.ask(ECHO, key) for key in keys)) == ["K1", "K2", None, "K1", "K3"]


async def test_callers_that_come_together_share_one_statement_and_later_ones_the_next(database: Database) -> None:
    shared = database.shared_question
    with counted(database) as sent:
        first = asyncio.create_task(shared.ask(SLOW, "first"))
        await until(lambda: len(sent) == 1)
        later = [asyncio.create_task(shared.ask(SLOW, f"later {number}")) for number in range(50)]
        assert await first == "first"
        assert await asyncio.gather(*later) == [f"later {number}" for number in range(50)]
    # Not the one that was under way when they came: it may have been answered from before.
    assert len(sent) == 2


async def test_two_queries_are_not_mixed(shared: SharedQuestion) -> None:
    asked = [shared.ask(ECHO, "k"), shared.ask(SLOW, "k"), shared.ask(ECHO, "kk"), shared.ask(SLOW, "s")]
    assert await asyncio.gather(*asked) == ["K", "k", "KK", "s"]


async def test_a_flood_is_asked_in_a_few_statements_of_bounded_size(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_question, "MOST_KEYS", 200)
    with counted(database) as sent:
        asked = (database.shared_question.ask(ECHO, f"k{number}") for number in range(500))
        assert await asyncio.gather(*asked) == [f"K{number}" for number in range(500)]
    assert len(sent) == 3


async def test_more_callers_than_can_be_answered_soon_are_refused_as_busy(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_question, "MOST_WAITING", 20)
    asked = (database.shared_question.ask(ECHO, "k") for _ in range(30))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert answers[:20] == ["K"] * 20
    assert all(isinstance(one, TooManyWaiting) for one in answers[20:])
    assert {trouble_of(one) for one in answers[20:] if isinstance(one, TooManyWaiting)} == {DatabaseTrouble.BUSY}
    assert await database.shared_question.ask(ECHO, "k") == "K"


async def test_who_gave_up_behind_a_slow_round_trip_takes_no_place(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_question, "MOST_WAITING", 20)
    shared = database.shared_question
    with counted(database) as sent:
        slow = asyncio.create_task(shared.ask(KeyedQuery(SLOW.statement.replace("0.3", "2"), pair), "k"))
        await until(lambda: len(sent) == 1)

        async def ask() -> str | None:
            with patience(0.2):
                return await shared.ask(ECHO, "k")

        gave_up = await asyncio.gather(*(ask() for _ in range(19)), return_exceptions=True)
        assert {trouble_of(one) for one in gave_up if isinstance(one, psycopg.Error)} == {DatabaseTrouble.BUSY}
        assert not slow.done()
        assert await shared.ask(ECHO, "k") == "K"
        assert await slow == "k"


async def test_a_caller_that_goes_away_ends_nothing_for_the_others(database: Database) -> None:
    shared = database.shared_question
    with counted(database) as sent:
        asked = [asyncio.create_task(shared.ask(SLOW, f"k{number}")) for number in range(4)]
        await until(lambda: len(sent) == 1)
        waiting = [asyncio.create_task(shared.ask(SLOW, f"k{number}")) for number in range(4, 8)]
        await asyncio.sleep(0)
        # The one that began the round trip, one within it, and one that waits for the next.
        for gone in (asked[0], asked[2], waiting[1]):
            gone.cancel()
        answers = await asyncio.gather(*asked, *waiting, return_exceptions=True)
    assert [one for one in answers if isinstance(one, str)] == ["k1", "k3", "k4", "k6", "k7"]
    assert sum(isinstance(one, asyncio.CancelledError) for one in answers) == 3
    assert len(sent) == 2


async def test_when_all_callers_have_gone_the_next_one_is_answered(shared: SharedQuestion) -> None:
    asked = [asyncio.create_task(shared.ask(SLOW, "k")) for _ in range(3)]
    await asyncio.sleep(0)
    for gone in asked:
        gone.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert await shared.ask(ECHO, "k") == "K"


async def test_a_missing_table_reaches_all_who_asked_and_no_one_after(database: Database, database_url: str) -> None:
    shared = database.shared_question
    with missing(database_url, "running_process"):
        asked = (shared.ask(OF_TABLE, f"k{number}") for number in range(5))
        failed = await asyncio.gather(*asked, return_exceptions=True)
        assert await shared.ask(ECHO, "k") == "K"
    assert all(isinstance(one, psycopg.errors.UndefinedTable) for one in failed)
    assert {trouble_of(one) for one in failed if isinstance(one, psycopg.Error)} == {DatabaseTrouble.SCHEMA}
    # Each has an object of its own: one that all raise would gather the tracebacks of all.
    assert len({id(one) for one in failed}) == 5
    assert await shared.ask(OF_TABLE, "k") is None


async def test_a_row_that_cannot_be_read_reaches_those_who_asked(shared: SharedQuestion) -> None:
    broken = KeyedQuery[str]("SELECT key FROM unnest($1::text[]) key", lambda row: (row[0], row[1]))
    with pytest.raises(IndexError):
        await shared.ask(broken, "k")
    assert await shared.ask(ECHO, "k") == "K"


async def test_a_connection_that_was_killed_is_replaced_unnoticed(shared: SharedQuestion, database_url: str) -> None:
    for _ in range(2):
        assert await shared.ask(ECHO, "k") == "K"
        assert kill_backends(database_url) == 1


async def test_a_connection_that_went_silent_is_replaced_within_the_patience(database_url: str) -> None:
    database = Database(make_engine(database_url))
    assert await database.shared_question.ask(ECHO, "k") == "K"
    with stopped(backends(database_url)), patience(4.5):
        assert await database.shared_question.ask(ECHO, "k") == "K"
    await database.close()


async def test_an_outdated_plan_is_replaced(shared: SharedQuestion, database_url: str) -> None:
    """After a migration under a running process: 'cached plan must not change result type'."""
    whole = KeyedQuery("SELECT k.key, of_test.* FROM of_test, unnest($1::text[]) k(key)", lambda row: (row[0], row[1:]))
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("CREATE TABLE of_test AS SELECT 1 AS a")
        try:
            assert await shared.ask(whole, "k") == (1,)
            other.execute("ALTER TABLE of_test ADD b text DEFAULT 'new'")
            assert await shared.ask(whole, "k") == (1, "new")
        finally:
            other.execute("DROP TABLE of_test")


async def test_a_frozen_server_is_given_up_by_all_who_wait_each_within_its_own_patience(database_url: str) -> None:
    async with proxied(database_url) as (proxy, address):
        database = Database(make_engine(address))
        assert await database.shared_question.ask(ECHO, "k") == "K"
        proxy.freeze()

        async def ask(seconds: float) -> float:
            loop = asyncio.get_running_loop()
            started = loop.time()
            with pytest.raises(NoAnswer), patience(seconds):
                await database.shared_question.ask(ECHO, "k")
            return loop.time() - started

        async with asyncio.timeout(30):
            long = asyncio.create_task(ask(2.5))
            await asyncio.sleep(0.2)
            # Behind a round trip that waits for longer than they do.
            took = await asyncio.gather(*(ask(0.5) for _ in range(20)))
            assert not long.done()
            await long
        # Compared with each other, not with a clock: the machine may be busy.
        assert max(took) < long.result()
        proxy.thaw()
        assert await database.shared_question.ask(ECHO, "k") == "K"
        await database.close()


async def test_a_server_that_refuses_is_an_outage_until_it_is_back(database_url: str) -> None:
    async with proxied(database_url) as (proxy, address):
        database = Database(make_engine(address))
        assert await database.shared_question.ask(ECHO, "k") == "K"
        await proxy.refuse()
        asked = (database.shared_question.ask(ECHO, "k") for _ in range(3))
        failed = await asyncio.gather(*asked, return_exceptions=True)
        assert [trouble_of(one) for one in failed if isinstance(one, Exception)] == [DatabaseTrouble.AWAY] * 3
        await proxy.start()
        assert await database.shared_question.ask(ECHO, "k") == "K"
        await database.close()


async def test_a_table_that_another_transaction_holds_is_busy_and_not_away(
    shared: SharedQuestion, database_url: str
) -> None:
    with idle_holder(database_url, "running_process"):
        for _ in range(2):  # On a new connection, and on one that was there.
            with pytest.raises(psycopg.OperationalError) as refused, patience(2):
                await shared.ask(OF_TABLE, "k")
            assert trouble_of(refused.value) is DatabaseTrouble.BUSY
    assert await shared.ask(OF_TABLE, "k") is None


async def test_what_is_asked_for_many_has_neither_the_patience_nor_the_id_of_the_first(database: Database) -> None:
    of_first: ContextVar[str] = ContextVar("of_first", default="of no one")
    seen: list[tuple[str, str]] = []

    def read(row: Sequence[Any]) -> tuple[str, str]:
        seen.append((current_correlation_id(), of_first.get()))
        return pair(row)

    asked = KeyedQuery(SLOW.statement, read)

    async def impatient() -> None:
        bind_correlation_id("of-the-first")
        of_first.set("the first's")
        with suppress(psycopg.Error), patience(0.1):
            await database.shared_question.ask(asked, "k1")

    async def patient() -> str | None:
        with patience(4):
            return await database.shared_question.ask(asked, "k2")

    assert (await asyncio.gather(impatient(), patient()))[1] == "k2"
    assert set(seen) == {("", "of no one")}


async def test_waits_count_against_the_patience_of_the_request(shared: SharedQuestion) -> None:
    with patience(0.7):
        for _ in range(2):
            await shared.ask(SLOW, "k")
        # Far longer than what is left, because ticks of a busy machine come late.
        with pytest.raises(psycopg.OperationalError):
            await shared.ask(KeyedQuery(SLOW.statement.replace("0.3", "4"), pair), "k")


async def test_closing_ends_the_wait_and_the_connection(database_url: str) -> None:
    database = Database(make_engine(database_url))
    asked = [asyncio.create_task(database.shared_question.ask(SLOW, "k")) for _ in range(3)]
    await until(lambda: len(backends(database_url)) == 1)
    await database.close()
    assert all(
        isinstance(one, psycopg.OperationalError) for one in await asyncio.gather(*asked, return_exceptions=True)
    )
    await until(lambda: backends(database_url) == [])


async def test_closing_before_the_first_statement_leaves_no_one_waiting(database_url: str) -> None:
    database = Database(make_engine(database_url))
    asked = asyncio.create_task(database.shared_question.ask(ECHO, "k"))
    await asyncio.sleep(0)
    await database.close()
    with pytest.raises(psycopg.OperationalError):
        await asked


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    callers=st.lists(
        st.tuples(
            st.sampled_from(["ka", "kb", "kc", "no", "", "k'\"%s\\", "k\U0001f600"]), st.integers(0, 3), st.booleans()
        ),
        max_size=40,
    )
)
async def test_no_one_gets_the_answer_of_another(shared: SharedQuestion, callers: list[tuple[str, int, bool]]) -> None:
    """Any mixture of keys, of moments at which they come, and of callers that go away."""

    async def ask(key: str, turns: int) -> str | None:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await shared.ask(ECHO, key)

    tasks = [asyncio.create_task(ask(key, turns)) for key, turns, _ in callers]
    await asyncio.sleep(0)
    for task, (_, _, goes_away) in zip(tasks, callers, strict=True):
        if goes_away:
            task.cancel()
    for (key, _, _), answer in zip(callers, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
        if not isinstance(answer, asyncio.CancelledError):
            assert answer == (key.upper() if key.startswith("k") else None)


async def test_a_web_process_opens_as_many_connections_as_the_document_says(database_url: str) -> None:
    page = (ROOT / "docs/database.md").read_text(encoding="utf-8")
    most = {
        process: int(number) for process, number in re.findall(r"^\| (web|worker) \|.*\| (\d+) \|$", page, re.MULTILINE)
    }
    assert f"need {2 * most['web'] + 2 * most['worker']} at most" in page
    database = Database(make_engine(database_url))
    held = [await database.engine.connect() for _ in range(ConnectionOptions().pool_size)]
    async with database.notifications.subscribe("anything"):
        await asyncio.gather(*(database.shared_question.ask(SLOW, f"k{number}") for number in range(20)))
        assert len(backends(database_url)) == most["web"]
    for connection in held:
        await connection.close()
    await database.close()
