"""The list of changes is read page by page to its end, and to its end only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.features.tickets.polling import changed_records, poll_plan
from app.features.tickets.polling.changed_records import PAGE_SIZE, is_last, next_page
from app.integrations.http.errors import InvalidResponse
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.parse_response import ticket_of
from app.integrations.servicenow.schemas import Listed
from tests.factories.system import System
from tests.factories.tickets import a_row, calls, cursor, records, refresh_now, several, told


async def move_all(system: System, state: str = "2") -> None:
    for record in records(system, "incident"):
        system.servicenow.control("records", number=record["number"], fields={"state": state})


async def states(system: System) -> set[str]:
    page = await told(system, "/tickets?state_category=new")
    return {record["number"] for record in records(system, "incident") if record["number"] in page}


async def several_that_move(system: System, monkeypatch: pytest.MonkeyPatch, count: int, page: int) -> dict[str, str]:
    """`count` tickets whose records changed after the rolling scan has read them: only the list of changes tells.

    Returns their numbers by sys_id, in the order of a list. A page holds `page` rows.
    """
    monkeypatch.setattr(changed_records, "PAGE_SIZE", page)
    await system.connect()
    ids = sorted(await several(system, count))
    await refresh_now(system)  # The first one reads each by its id as well.
    await move_all(system)
    numbers = {record["sys_id"]: record["number"] for record in records(system, "incident")}
    return {sys_id: numbers[sys_id] for sys_id in ids}


def delta_calls(system: System) -> list[Any]:
    return [call for call in calls(system, "GET") if "sys_updated_on%3E" in call.query]


def hide(system: System, *numbers: str) -> None:
    for number in numbers:
        system.servicenow.control("records", number=number, hidden=True)


@pytest.mark.fact("other-connectors bug-50")
async def test_a_list_that_does_not_advance_is_left(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instance drops the condition that leads on: every page is the first. Reading ends nevertheless."""
    numbers = await several_that_move(system, monkeypatch, 5, 2)
    system.servicenow.instance.switches.closed_fields = "sys_id"
    before = await cursor(system)
    asked = len(delta_calls(system))
    await refresh_now(system)
    after = await cursor(system)
    assert (after.changes_refused, after.watermark) == (1, before.watermark)
    assert len(delta_calls(system)) - asked <= 4
    system.servicenow.instance.switches.closed_fields = ""
    await refresh_now(system)
    assert await states(system) == set(), numbers


@pytest.mark.thorough
@pytest.mark.fact("other-connectors bug-50")
async def test_an_offset_that_is_ignored_is_no_endless_list(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first page of hidden rows only can be passed by an offset alone."""
    numbers = list((await several_that_move(system, monkeypatch, 5, 2)).values())
    hide(system, *numbers[:2])
    system.servicenow.instance.switches.offset_ignored = True
    asked = len(delta_calls(system))
    await refresh_now(system)
    assert len(delta_calls(system)) - asked == 3
    system.servicenow.instance.switches.offset_ignored = False
    await refresh_now(system)
    assert await states(system) == set(numbers[:2])


@pytest.mark.fact("other-connectors bug-51")
async def test_every_page_is_read(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await several_that_move(system, monkeypatch, 10, 3)
    asked = len(delta_calls(system))
    await refresh_now(system)
    assert await states(system) == set()
    assert len(delta_calls(system)) - asked == 4


@pytest.mark.fact("other-connectors bug-51")
async def test_without_a_count_pages_are_read_until_one_is_empty(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await several_that_move(system, monkeypatch, 7, 3)
    monkeypatch.setattr("app.integrations.servicenow.parse_response.counted", lambda _: None)
    await refresh_now(system)
    assert await states(system) == set()


@pytest.mark.fact("other-connectors bug-52", "servicenow trap-13")
async def test_every_list_that_may_need_a_second_page_is_in_a_unique_order(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.shuffle_unordered = True
    await several(system, 3)
    await refresh_now(system, later=3600)
    asked = [call.query for call in calls(system, "GET")]
    assert asked
    # A page of ids holds all of them, and sorting may be refused where comparing for equality is not.
    assert all(("ORDERBYsys_id" in query) != ("sys_idIN" in query) for query in asked)
    assert not any("sysparm_offset" in query for query in asked)


@pytest.mark.thorough
@pytest.mark.fact("other-connectors bug-53", "servicenow 2.2", "servicenow trap-14", "servicenow sandbox-24")
@pytest.mark.parametrize("hidden", [(1, 2), (0, 1, 2, 3), (1, 2, 3), (4, 5, 6, 7, 8), (0, 1, 2, 3, 4, 5, 6, 7), (8,)])
async def test_a_page_cut_short_or_emptied_by_hidden_rows_is_not_the_last(
    system: System, monkeypatch: pytest.MonkeyPatch, hidden: tuple[int, ...]
) -> None:
    """Rows are hidden after the page was cut, so that a short or empty one does not end the list."""
    numbers = list((await several_that_move(system, monkeypatch, 9, 4)).values())
    hide(system, *(numbers[place] for place in hidden))
    await refresh_now(system)
    assert await states(system) == {numbers[place] for place in hidden}


@pytest.mark.thorough
@pytest.mark.fact("other-connectors bug-53")
async def test_a_short_page_that_tells_nothing_new_is_not_the_last(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = list((await several_that_move(system, monkeypatch, 9, 4)).values())
    await refresh_now(system)
    for number in numbers[4:]:
        system.servicenow.control("records", number=number, fields={"state": "3"})
    hide(system, *numbers[1:4])
    await refresh_now(system)
    async with system.resources.database.transaction() as session:
        stored = await session.execute(text("SELECT number FROM ticket WHERE state = '3'"))
        assert set(stored.scalars()) == set(numbers[4:])


@pytest.mark.fact("other-connectors bug-54", "servicenow 2.5")
async def test_no_link_is_followed_least_of_all_a_foreign_one(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.foreign_links = True
    await several(system, 2)
    await refresh_now(system, later=3600)
    assert (await cursor(system)).problem is None
    assert all("sysparm_suppress_pagination_header=true" in call.query for call in calls(system, "GET"))


@pytest.mark.fact("other-connectors bug-56")
async def test_an_error_in_the_middle_is_no_success(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changed_records, "PAGE_SIZE", 2)
    await system.connect()
    await several(system, 5)
    await refresh_now(system)
    before = await cursor(system)
    await move_all(system)
    monkeypatch.setattr(poll_plan, "OVERLAP", timedelta(minutes=10))
    pages = 0
    fetch = "app.integrations.servicenow.client.ServiceNowClient.fetch_page"
    real = ServiceNowClient.fetch_page

    async def second_page_breaks(*args: Any, **kwargs: Any) -> Any:
        nonlocal pages
        pages += 1
        if pages == 2:
            raise InvalidResponse
        return await real(*args, **kwargs)

    monkeypatch.setattr(fetch, second_page_breaks)
    await refresh_now(system)
    after = await cursor(system)
    assert after.problem is not None
    assert (after.watermark, after.succeeded_at) == (before.watermark, before.succeeded_at)
    monkeypatch.setattr(fetch, real)
    await refresh_now(system)
    assert (await cursor(system)).problem is None
    assert await states(system) == set()


@pytest.mark.thorough
@pytest.mark.fact("other-connectors bug-57", "servicenow sandbox-44")
@pytest.mark.parametrize("trouble", ["broken_json", "partial_result"])
async def test_a_list_that_breaks_off_changes_nothing(system: System, trouble: str) -> None:
    await system.connect()
    await several(system, 3)
    await refresh_now(system)  # Reads each by its id, so that only the list is due next.
    await move_all(system)
    before = await states(system)
    system.servicenow.fault(trouble, method="GET")
    await refresh_now(system)
    assert await states(system) == before
    assert "broke off" in str((await cursor(system)).problem)
    assert "broke off" in await told(system, "/")


def page_of(rows: int, total: int | None) -> Listed:
    return Listed([ticket_of(a_row(sys_id=f"{number:032x}")) for number in range(1, rows + 1)], total, None)


@pytest.mark.fact("other-connectors bug-53", "servicenow trap-14")
@pytest.mark.parametrize(
    ("rows", "total", "offset", "last"),
    [
        (0, 0, 0, True),
        (0, None, 0, True),
        (3, 3, 0, True),
        (3, None, 0, False),
        (3, 4, 0, False),
        (0, 1, 0, True),
        (0, PAGE_SIZE + 1, 0, False),
        (0, PAGE_SIZE + 1, PAGE_SIZE, True),
        (PAGE_SIZE, PAGE_SIZE, 0, False),
    ],
)
def test_the_count_tells_which_page_is_the_last(rows: int, total: int | None, offset: int, last: bool) -> None:
    assert is_last(page_of(rows, total), offset) is last


def test_the_next_page_begins_after_the_last_row_or_passes_an_empty_page_by_an_offset() -> None:
    assert next_page(page_of(2, 9), "", 0) == ("0" * 31 + "2", 0)
    assert next_page(page_of(2, 9), "x", PAGE_SIZE) == ("0" * 31 + "2", 0)
    assert next_page(page_of(0, 9), "x", 0) == ("x", PAGE_SIZE)
    assert next_page(page_of(0, 9), "x", PAGE_SIZE) == ("x", 2 * PAGE_SIZE)
