"""Kept fragments: what they are kept under, made once however many want them, nothing kept from a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text as text_of
from sqlalchemy.exc import OperationalError

from app.core import clock
from app.core.clock import SetClock
from app.core.database import Database
from app.core.database_connection import NoAnswer, patience
from app.core.database_trouble import DatabaseTrouble, trouble_of
from app.web.fragments import LONGEST_KEPT, OVERHEAD_BYTES, Fragment, Fragments, Key


def key(name: str = "card", *, version: int = 1, role: str = "viewer") -> Key:
    return Key(name, (role, "en"), (("score", version), ("poll", 1)))


class Maker:
    """Makes fragments that say how many were made before; waits where it is told to."""

    def __init__(self, *, gate: asyncio.Event | None = None, error: Exception | None = None) -> None:
        self.asked: list[list[str]] = []
        self.gate, self.error = gate, error
        self.until: timedelta | None = None
        self.topics: frozenset[str] | None = None

    async def __call__(self, keys: Sequence[Key]) -> Mapping[Key, Fragment]:
        self.asked.append([one.name for one in keys])
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        until = None if self.until is None else clock.now() + self.until
        return {one: Fragment((f"{one.name} {len(self.asked)}".encode(),), until, self.topics) for one in keys}


async def text(fragments: Fragments, wanted: Key, make: Maker) -> str:
    (found,) = await fragments.get([wanted], make)
    return b"".join(found.pieces).decode()


async def test_a_fragment_is_made_once_for_each_version_role_and_name() -> None:
    fragments, make = Fragments(), Maker()
    assert [await text(fragments, key(), make) for _ in range(3)] == ["card 1"] * 3
    assert await text(fragments, key(version=2), make) == "card 2"
    assert await text(fragments, key(role="manager"), make) == "card 3"
    assert await text(fragments, key("other"), make) == "other 4"
    assert await text(fragments, key(version=2), make) == "card 2"


async def test_a_topic_that_a_fragment_does_not_depend_on_makes_it_no_older() -> None:
    fragments, make = Fragments(), Maker()
    make.topics = frozenset({"poll"})
    assert await text(fragments, key(version=1), make) == "card 1"
    assert await text(fragments, key(version=2), make) == "card 1"
    make.topics = None
    assert await text(fragments, Key("card", ("viewer", "en"), (("score", 2), ("poll", 2))), make) == "card 2"


async def test_what_is_kept_ends_at_its_moment_and_after_a_minute_at_the_latest(still_clock: SetClock) -> None:
    fragments, make = Fragments(), Maker()
    make.until = timedelta(seconds=10)
    await text(fragments, key(), make)
    still_clock.move(9.9)
    assert await text(fragments, key(), make) == "card 1"
    still_clock.move(0.1)
    make.until = None
    assert await text(fragments, key(), make) == "card 2"
    still_clock.move(LONGEST_KEPT.total_seconds() - 0.1)
    assert await text(fragments, key(), make) == "card 2"
    still_clock.move(0.1)
    assert await text(fragments, key(), make) == "card 3"
    still_clock.move(-1)  # The clock was set back.
    assert await text(fragments, key(), make) == "card 4"


async def test_what_has_ended_while_it_was_made_is_given_out_and_not_kept(still_clock: SetClock) -> None:
    fragments, make = Fragments(), Maker()
    make.until = timedelta(0)
    assert await text(fragments, key(), make) == "card 1"
    still_clock.move(0)
    assert fragments.find(key()) is None


async def test_fifty_at_once_make_it_once_and_each_part_of_a_page_once() -> None:
    fragments, gate = Fragments(), asyncio.Event()
    make = Maker(gate=gate)
    pages = [asyncio.create_task(fragments.get([key("a"), key("b")], make)) for _ in range(50)]
    others = [asyncio.create_task(fragments.get([key("b"), key("c")], make)) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    found = {tuple(one.pieces[0] for one in page) for page in await asyncio.gather(*pages, *others)}
    assert make.asked == [["a", "b"], ["c"]]
    assert len(found) == 2


async def test_an_error_reaches_everyone_who_waits_and_is_not_kept() -> None:
    fragments, gate = Fragments(), asyncio.Event()
    make = Maker(gate=gate, error=RuntimeError("no"))
    waiting = [asyncio.create_task(fragments.get([key("a"), key("b")], make)) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [RuntimeError] * 5
    assert make.asked == [["a", "b"]]
    assert (fragments.find(key("a")), fragments.find(key("b")), fragments.size) == (None, None, 0)
    make.error = None
    assert await text(fragments, key("a"), make) == "a 2"


async def test_an_error_of_one_reaches_no_one_who_waits_for_another() -> None:
    fragments, gate = Fragments(), asyncio.Event()

    async def make(keys: Sequence[Key]) -> Mapping[Key, Fragment | Exception]:
        await gate.wait()
        return {one: RuntimeError("no") if one.name == "bad" else Fragment((b"x",)) for one in keys}

    page = asyncio.create_task(fragments.get([key("bad"), key("good")], make))
    card = asyncio.create_task(fragments.get([key("good")], make))
    await asyncio.sleep(0)
    gate.set()
    failed, made = await asyncio.gather(page, card, return_exceptions=True)
    assert isinstance(failed, RuntimeError)
    assert made == [Fragment((b"x",))]
    assert (fragments.find(key("bad")), fragments.find(key("good"))) == (None, Fragment((b"x",)))


async def test_a_making_has_a_patience_of_its_own_and_each_who_waits_has_theirs(database: Database) -> None:
    fragments, made = Fragments(), 0

    async def slow(keys: Sequence[Key]) -> Mapping[Key, Fragment]:
        nonlocal made
        async with database.transaction() as session:
            await session.execute(text_of("SELECT pg_sleep(0.8)"))
        made += 1
        return {one: Fragment((b"x",)) for one in keys}

    async def wait(seconds: float) -> list[Fragment]:
        with patience(seconds):
            return await fragments.get([key()], slow)

    waiting = [asyncio.create_task(wait(seconds)) for seconds in (0.3, 20, 0.3)]
    first, second, third = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(first, NoAnswer)
    assert isinstance(third, NoAnswer)
    assert (second, made) == ([Fragment((b"x",))], 1)


async def test_a_making_gives_up_the_database_after_its_own_time(database: Database) -> None:
    fragments = Fragments(seconds=0.3)

    async def slow(keys: Sequence[Key]) -> Mapping[Key, Fragment]:
        async with database.transaction() as session:
            await session.execute(text_of("SELECT pg_sleep(20)"))
        return {one: Fragment((b"x",)) for one in keys}

    with pytest.raises(OperationalError) as given_up:
        await fragments.get([key()], slow)
    assert trouble_of(given_up.value) is DatabaseTrouble.AWAY


async def test_a_making_that_is_ended_with_the_process_leaves_no_one_waiting() -> None:
    fragments = Fragments()
    waiting = asyncio.create_task(text(fragments, key(), Maker(gate=asyncio.Event())))
    await asyncio.sleep(0)
    (task,) = fragments._tasks
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not fragments._making


async def test_a_first_one_who_goes_away_takes_nothing_from_the_others() -> None:
    fragments, gate = Fragments(), asyncio.Event()
    make = Maker(gate=gate)
    first = asyncio.create_task(text(fragments, key(), make))
    await asyncio.sleep(0)
    second = asyncio.create_task(text(fragments, key(), make))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.set()
    assert await second == "card 1"
    assert await text(fragments, key(), make) == "card 1"


async def test_an_error_that_no_one_waits_for_any_more_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    fragments, gate = Fragments(), asyncio.Event()
    make = Maker(gate=gate, error=RuntimeError("no"))
    alone = asyncio.create_task(text(fragments, key(), make))
    await asyncio.sleep(0)
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
    gate.set()
    for _ in range(3):
        await asyncio.sleep(0)
    make.error = None
    assert await text(fragments, key(), make) == "card 2"
    assert not caplog.records


@given(wanted=st.lists(st.integers(0, 9), max_size=40), space=st.integers(0, 5))
async def test_memory_is_bounded_and_the_longest_unused_goes_first(wanted: list[int], space: int) -> None:
    each = OVERHEAD_BYTES + 100
    fragments = Fragments(most_bytes=space * each)

    async def make(keys: Sequence[Key]) -> Mapping[Key, Fragment]:
        return {one: Fragment((b"x" * 100,)) for one in keys}

    for number in wanted:
        await fragments.get([key(str(number))], make)
    latest = list(dict.fromkeys(reversed(wanted)))[:space]
    assert {number for number in range(10) if fragments.find(key(str(number)))} == set(latest)
    assert fragments.size == len(latest) * each


async def test_what_has_ended_goes_with_the_next_that_is_kept(still_clock: SetClock) -> None:
    fragments, make = Fragments(), Maker()
    for name in "abc":
        await text(fragments, key(name), make)
    still_clock.move(LONGEST_KEPT.total_seconds() / 2)
    await text(fragments, key("a", version=2), make)
    still_clock.move(LONGEST_KEPT.total_seconds() / 2)
    await text(fragments, key("d"), make)
    assert {name for name, _ in fragments._kept} == {"a", "d"}
    assert fragments.size == sum(one.fragment.size for one in fragments._kept.values())


def test_a_tag_follows_the_text_and_nothing_else() -> None:
    assert Fragment((b"a", b"b")).tag == Fragment((b"a", b"b"), until=clock.now(), topics=frozenset()).tag
    tags = {Fragment((b"a", b"b")).tag, Fragment((b"ab",)).tag, Fragment((b"a", b"b"), marks=("plot",)).tag}
    assert len(tags) == 3
