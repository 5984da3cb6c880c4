"""Pages of a list, their order, and where they end: bugs of other connectors, by number."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any
from urllib.parse import unquote_plus

import pytest
from sqlalchemy import text

from app.features.tickets import refresh as refreshing
from app.remote.errors import Garbled
from app.remote.servicenow.client import ServiceNowClient
from tests.factories.house import House
from tests.factories.tickets import (
    calls,
    cursor,
    read_ticket,
    records,
    refresh_now,
    several,
    shared_ticket,
    told,
)


async def move_all(house: House, state: str = "2") -> None:
    for record in records(house, "incident"):
        house.snow.control("records", number=record["number"], fields={"state": state})


async def states(house: House) -> set[str]:
    page = await told(house, "/tickets?group=new")
    return {record["number"] for record in records(house, "incident") if record["number"] in page}


async def several_that_move(house: House, monkeypatch: pytest.MonkeyPatch, count: int, page: int) -> dict[str, str]:
    """So many tickets that the rolling pass has read, and whose records then moved: only the list of changes tells.

    Gives their numbers by sys_id, in the order of a list; pages hold so many.
    """
    monkeypatch.setattr(refreshing, "PAGE", page)
    await house.connect()
    ids = sorted(await several(house, count))
    await refresh_now(house)  # The first one reads each by its id as well.
    await move_all(house)
    numbers = {record["sys_id"]: record["number"] for record in records(house, "incident")}
    return {sys_id: numbers[sys_id] for sys_id in ids}


def hide(house: House, *numbers: str) -> None:
    for number in numbers:
        house.snow.control("records", number=number, hidden=True)


def delta_calls(house: House) -> list[Any]:
    return [call for call in calls(house, "GET") if "sys_updated_on%3E" in call.query]


async def test_bug_50_a_list_that_does_not_advance_is_left(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instance drops the condition that leads on: every page is the first. Nobody asks it for ever."""
    numbers = await several_that_move(house, monkeypatch, 5, 2)
    house.snow.instance.switches.closed_fields = "sys_id"
    before = await cursor(house)
    asked = len(delta_calls(house))
    await refresh_now(house)
    after = await cursor(house)
    assert (after.changes_refused, after.watermark) == (1, before.watermark)
    assert len(delta_calls(house)) - asked <= 4
    house.snow.instance.switches.closed_fields = ""
    await refresh_now(house)
    assert await states(house) == set(), numbers


async def test_bug_50_an_offset_that_is_ignored_is_no_endless_list(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first page of hidden rows only can be passed by an offset alone."""
    numbers = list((await several_that_move(house, monkeypatch, 5, 2)).values())
    hide(house, *numbers[:2])
    house.snow.instance.switches.offset_ignored = True
    asked = len(delta_calls(house))
    await refresh_now(house)
    assert len(delta_calls(house)) - asked == 3
    house.snow.instance.switches.offset_ignored = False
    await refresh_now(house)
    assert await states(house) == set(numbers[:2])


async def test_bug_51_every_page_is_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await several_that_move(house, monkeypatch, 10, 3)
    asked = len(delta_calls(house))
    await refresh_now(house)
    assert await states(house) == set()
    assert len(delta_calls(house)) - asked == 4


async def test_bug_51_without_a_count_pages_are_read_until_one_is_empty(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await several_that_move(house, monkeypatch, 7, 3)
    monkeypatch.setattr("app.remote.servicenow.answers.counted", lambda _: None)
    await refresh_now(house)
    assert await states(house) == set()


async def test_bug_52_every_list_is_in_a_unique_order(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.shuffle_unordered = True
    await several(house, 3)
    await refresh_now(house, later=3600)
    asked = [call.query for call in calls(house, "GET")]
    assert asked
    assert all("ORDERBYsys_id" in query for query in asked)
    assert not any("sysparm_offset" in query for query in asked)


@pytest.mark.parametrize("hidden", [(1, 2), (0, 1, 2, 3), (1, 2, 3), (4, 5, 6, 7, 8), (0, 1, 2, 3, 4, 5, 6, 7), (8,)])
async def test_bug_53_a_page_cut_short_or_emptied_by_hidden_rows_is_not_the_last(
    house: House, monkeypatch: pytest.MonkeyPatch, hidden: tuple[int, ...]
) -> None:
    """Rows are hidden after the page was cut (facts 2.2), so that a short or empty one says nothing of what follows."""
    numbers = list((await several_that_move(house, monkeypatch, 9, 4)).values())
    hide(house, *(numbers[place] for place in hidden))
    await refresh_now(house)
    assert await states(house) == {numbers[place] for place in hidden}


async def test_bug_53_a_short_page_that_tells_nothing_new_is_not_the_last(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = list((await several_that_move(house, monkeypatch, 9, 4)).values())
    await refresh_now(house)
    for number in numbers[4:]:
        house.snow.control("records", number=number, fields={"state": "3"})
    hide(house, *numbers[1:4])
    await refresh_now(house)
    async with house.resources.database.transaction() as session:
        stored = await session.execute(text("SELECT number FROM ticket WHERE state = '3'"))
        assert set(stored.scalars()) == set(numbers[4:])


async def test_rows_older_than_what_was_asked_for_are_not_taken_over(house: House) -> None:
    """An instance that drops the condition on time lists everything: nothing is believed, and all is read in turn."""
    await house.connect()
    ticket_id, record = await shared_ticket(house)
    await refresh_now(house)
    house.snow.instance.store.put("incident", record | {"state": "2", "sys_updated_on": "2020-01-01 00:00:00"})
    house.snow.instance.switches.closed_fields = "sys_updated_on"
    await refresh_now(house)
    assert (await cursor(house)).changes_refused == 1
    assert (await read_ticket(house, ticket_id)).state == "1"


async def test_what_was_read_to_its_end_is_not_asked_for_again(house: House) -> None:
    """The moment to ask from moves on with each refresh: cost follows what changed, not what there is."""
    await house.connect()
    await shared_ticket(house)
    await refresh_now(house)
    seen = [(await cursor(house)).watermark]
    for _ in range(2):
        await asyncio.sleep(1.1)
        await refresh_now(house)
        seen.append((await cursor(house)).watermark)
    assert all(later > earlier for earlier, later in itertools.pairwise(moment for moment in seen if moment))
    asked = [unquote_plus(call.query).split("sys_updated_on>=")[1][:19] for call in delta_calls(house)]
    assert asked == sorted(set(asked)), "each question begins later than the one before it"


async def test_bug_54_no_link_is_followed_least_of_all_a_foreign_one(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.foreign_links = True
    await several(house, 2)
    await refresh_now(house, later=3600)
    assert (await cursor(house)).problem is None
    assert all("sysparm_suppress_pagination_header=true" in call.query for call in calls(house, "GET"))


async def test_bug_55_fifty_ids_fit_where_long_questions_are_refused(house: House) -> None:
    await house.connect()
    ids = await several(house, 51)
    house.snow.instance.switches.long_query_limit = 500
    await refresh_now(house)
    await refresh_now(house, later=3600)
    assert (await cursor(house)).problem is None
    in_turn = [call.query for call in calls(house, "GET") if "sys_idIN" in call.query]
    assert [query.count("%2C") - query.split("sysparm_query")[0].count("%2C") for query in in_turn] == [49, 49, 0]
    assert len(ids) == 51


async def test_bug_56_an_error_in_the_middle_is_no_success(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "PAGE", 2)
    await house.connect()
    await several(house, 5)
    await refresh_now(house)
    before = await cursor(house)
    await move_all(house)
    monkeypatch.setattr(refreshing, "OVERLAP", timedelta(minutes=10))
    pages = 0
    fetch = "app.remote.servicenow.client.ServiceNowClient.fetch_changed"
    real = ServiceNowClient.fetch_changed

    async def second_page_breaks(*args: Any, **kwargs: Any) -> Any:
        nonlocal pages
        pages += 1
        if pages == 2:
            raise Garbled
        return await real(*args, **kwargs)

    monkeypatch.setattr(fetch, second_page_breaks)
    await refresh_now(house)
    after = await cursor(house)
    assert after.problem is not None
    assert (after.watermark, after.succeeded_at) == (before.watermark, before.succeeded_at)
    monkeypatch.setattr(fetch, real)
    await refresh_now(house)
    assert (await cursor(house)).problem is None
    assert await states(house) == set()


@pytest.mark.parametrize("trouble", ["broken_json", "partial_result"])
async def test_bug_57_a_list_that_breaks_off_changes_nothing(house: House, trouble: str) -> None:
    await house.connect()
    await several(house, 3)
    await move_all(house)
    before = await states(house)
    house.snow.fault(trouble, method="GET")
    await refresh_now(house)
    assert await states(house) == before
    assert "broke off" in str((await cursor(house)).problem)
    assert "broke off" in await told(house, "/")
