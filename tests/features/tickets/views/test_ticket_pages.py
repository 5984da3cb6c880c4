"""Pages of the ticket list: each ticket on exactly one, totals as a recount has them, and a search that finds what ILIKE does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text

from app.core.database import Database
from app.features.tickets.models import StateName, Ticket, TicketAction
from app.features.tickets.polling.state_names import StateNames
from app.features.tickets.types import CLOSED_CATEGORIES
from app.features.tickets.views.ticket_classes import Filters
from app.features.tickets.views.ticket_list import TicketLine, TicketList, lines_of, list_tickets
from app.features.tickets.views.ticket_pages import BOUNDS, PAGE_SIZE, Bounds, has_grams, searched
from tests.factories.database import fresh_database, kept_engine
from tests.factories.statements import counted
from tests.factories.ticket_rows import add_connection, add_tickets, any_row, chance_of, ticket_row

# So small that a few hundred tickets are too many to be looked at one by one, as a million are for the usual ones.
FEW = Bounds(nearest=5, nearest_of_classes=5, named=10_000, frequent=10_000)
ILIKE = text(
    """
    SELECT t.id FROM ticket t WHERE t.name ILIKE :pattern OR t.number ILIKE :pattern OR t.requested_by_name ILIKE :pattern
        OR t.id IN (SELECT ticket_id FROM ticket_action WHERE title ILIKE :pattern)
    """
)


async def listed(database: Database, bounds: Bounds = BOUNDS, **filters: Any) -> TicketList:
    async with database.transaction() as session:
        return await list_tickets(session, Filters(**filters), bounds)


async def walked(database: Database, bounds: Bounds = BOUNDS, **filters: Any) -> list[UUID]:
    """Every ticket from the newest page to the oldest one."""
    found: list[UUID] = []
    at: str | None = ""
    while at is not None:
        page = await listed(database, bounds, at=at, **filters)
        found += [line.id for line in page.lines]
        at = page.older
    return found


async def expected(database: Database) -> list[UUID]:
    async with database.transaction() as session:
        found = await session.execute(select(Ticket.id).order_by(Ticket.created_at.desc(), Ticket.id.desc()))
        return list(found.scalars())


async def test_each_ticket_is_on_one_page_in_both_directions(database: Database) -> None:
    chance = chance_of(13)
    connections = [await add_connection(database), await add_connection(database, name="old", status="removed")]
    await add_tickets(database, [any_row(chance, connections) for _ in range(3 * PAGE_SIZE + 7)])
    everything = await expected(database)
    assert await walked(database) == everything
    page = await listed(database, at="oldest")
    assert page.older is None
    back = [[line.id for line in page.lines]]
    while page.newer is not None:
        page = await listed(database, at=page.newer)
        back.append([line.id for line in page.lines])
    assert back[-1] == everything[:PAGE_SIZE], "the newest page is as long as any other"
    assert set(everything) == {one for some in back for one in some}
    for filters in ({"kind": "change"}, {"state_category": "open"}, {"delivery": "held"}, {"search": "second"}):
        for bounds in (BOUNDS, FEW):
            found = await walked(database, bounds, **filters)
            assert found == [one for one in everything if one in set(found)], "in order, none twice"
            assert len(found) == (await listed(database, bounds, **filters)).total


async def test_tickets_that_are_shared_or_deleted_meanwhile_shift_no_page(database: Database) -> None:
    chance = chance_of(7)
    connection = await add_connection(database)
    await add_tickets(database, [any_row(chance, [connection]) for _ in range(4 * PAGE_SIZE)])
    before = await expected(database)
    found: list[UUID] = []
    at: str | None = ""
    while at is not None:
        page = await listed(database, at=at)
        found += [line.id for line in page.lines]
        at = page.older
        newer = [ticket_row(connection, created_at=f"2027-01-{day:02}T09:00:00Z") for day in range(1, 20)]
        await add_tickets(database, newer)
        async with database.transaction() as session:
            # The ticket beside which the next page begins.
            await session.execute(delete(Ticket).where(Ticket.id == page.lines[-1].id))
    assert found == before


@pytest.mark.parametrize("seed", range(3))
async def test_totals_and_states_equal_a_recount(database: Database, seed: int) -> None:
    chance = chance_of(seed)
    connections = [await add_connection(database), await add_connection(database, name="old", status="removed")]
    await add_tickets(database, [any_row(chance, connections) for _ in range(120)])
    async with database.transaction() as session:
        every = list((await session.execute(select(Ticket))).scalars())
    archived = connections[1]

    def is_open(one: Ticket) -> bool:
        category = StateNames({}).category(one.connection_id, one.kind, one.state)
        if one.delivery == "given_up" or one.absence or one.connection_id == archived:
            return False
        return one.delivery != "shared" or category not in CLOSED_CATEGORIES

    cases: list[tuple[dict[str, Any], Callable[[Ticket], bool]]] = [
        ({}, lambda _one: True),
        ({"kind": "change"}, lambda one: one.kind == "change"),
        ({"delivery": "held"}, lambda one: one.delivery == "held"),
        ({"state_category": "absent"}, lambda one: bool(one.absence)),
        ({"state_category": "archived"}, lambda one: one.connection_id == archived),
        ({"state_category": "open"}, is_open),
        ({"state": "L2"}, lambda one: one.delivery == "shared" and not one.absence and one.state == "2"),
        (
            {"kind": "incident", "delivery": "shared", "state_category": "unknown"},
            lambda one: (
                one.kind == "incident" and one.delivery == "shared" and not one.absence and one.state in {"odd", "-5"}
            ),
        ),
    ]
    for filters, passes in cases:
        page = await listed(database, **filters)
        assert page.total == sum(map(passes, every)), filters
        assert set(await walked(database, **filters)) == {one.id for one in every if passes(one)}
        assert {value for value, _ in page.states} == {
            f"L{one.state}" for one in every if one.delivery == "shared" and not one.absence
        }


@pytest.mark.parametrize("bounds", [BOUNDS, FEW])
async def test_filters_and_search_together_are_what_the_lines_say(database: Database, bounds: Bounds) -> None:
    """Also where an administrator gave several values of both kinds one label, and another category."""
    chance = chance_of(31)
    connections = [await add_connection(database), await add_connection(database, name="old", status="removed")]
    names = ["Block it", "Blöck 100%", "Turn_on"]
    await add_tickets(database, [any_row(chance, connections, name=chance.choice(names)) for _ in range(160)])
    async with database.transaction() as session:
        for owner, kind, value, category in (
            (0, "incident", "1", "done"), (0, "change", "2", "done"), (1, "incident", "odd", "progress"),
        ):  # fmt: skip
            session.add(
                StateName(
                    connection_id=connections[owner], kind=kind, value=value, own_label="One label", category=category
                )
            )
    async with database.transaction() as session:
        every = await lines_of(session, await expected(database))
    assert len(every) == 160
    told = [one for one in every if one.delivery == "shared" and not one.absence]
    passes: dict[tuple[str, str], Callable[[TicketLine], bool]] = {
        ("state", "One label"): lambda one: one in told and one.state_name == "One label",
        ("state", "L2"): lambda one: one in told and one.state_name == "L2",
        ("state_category", "done"): lambda one: one in told and one.state_category == "done",
        ("state_category", "progress"): lambda one: one in told and one.state_category == "progress",
        ("state_category", "open"): lambda one: one.is_open,
        ("state_category", "absent"): lambda one: bool(one.absence),
        ("state_category", "archived"): lambda one: bool(one.archived_at),
        ("delivery", "held"): lambda one: one.delivery == "held",
        ("delivery", ""): lambda one: True,
    }
    assert [value for value, _ in (await listed(database)).states] == sorted({one.state_name for one in told})
    for (name, value), passing in passes.items():
        for kind in ("", "change"):
            for search in ("", "BLÖCK 100%", "block", "n_o"):
                filters = {name: value, "kind": kind, "search": search}
                wanted = [
                    one.id for one in every
                    if passing(one) and kind in ("", one.kind) and search.lower() in one.name.lower()
                ]  # fmt: skip
                assert await walked(database, bounds, **filters) == wanted, filters
                assert (await listed(database, bounds, **filters)).total == len(wanted), filters


async def test_a_page_costs_two_statements(database: Database) -> None:
    chance = chance_of(3)
    connection = await add_connection(database)
    await add_tickets(database, [any_row(chance, [connection]) for _ in range(2 * PAGE_SIZE)])
    second = (await listed(database)).older
    for filters in (
        {}, {"at": second}, {"at": "oldest"}, {"page": 2}, {"page": 99}, {"kind": "incident"}, {"delivery": "held"},
        {"at": f"after.2026-11-28T00:00:00.000000Z.{'0' * 32}"},
        {"at": f"before.2020-01-01T00:00:00.000000Z.{'0' * 32}"}, {"state_category": "open"},
        {"search": "second"}, {"search": "x"}, {"search": "second", "kind": "change"}, {"batch": str(uuid4())},
    ):  # fmt: skip
        for bounds in (BOUNDS, FEW):
            with counted(database) as seen:
                await listed(database, bounds, **filters)
            assert len(seen) == 2, filters


async def test_no_page_is_compiled_before_it_is_read(database: Database) -> None:
    await add_connection(database)
    jit = text("SELECT current_setting('jit')")
    async with database.transaction() as session:
        usual = (await session.execute(jit)).scalar_one()
        await list_tickets(session, Filters())
        assert (await session.execute(jit)).scalar_one() == "off"
    async with database.transaction() as session:
        assert (await session.execute(jit)).scalar_one() == usual


async def test_numbered_pages_of_old_addresses_lead_somewhere(database: Database) -> None:
    connection = await add_connection(database)
    rows = [
        ticket_row(connection, created_at=f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z") for n in range(PAGE_SIZE + 10)
    ]
    await add_tickets(database, rows)
    everything = await expected(database)
    second = await listed(database, page=2)
    assert [line.id for line in second.lines] == everything[PAGE_SIZE:]
    assert second.newer is not None
    for beyond in (3, 200):
        assert [line.id for line in (await listed(database, page=beyond)).lines] == everything[-PAGE_SIZE:]
    assert [line.id for line in (await listed(database, page=1_000_000)).lines] == everything[:PAGE_SIZE]


async def test_a_bulk_share_is_counted_and_paged(database: Database) -> None:
    connection, batch = await add_connection(database), uuid4()
    await add_tickets(database, [ticket_row(connection, name=f"Task {n}") for n in range(PAGE_SIZE + 2)])
    async with database.transaction() as session:
        await session.execute(text("UPDATE ticket SET batch_id = :batch WHERE name <> 'Task 1'"), {"batch": batch})
    page = await listed(database, batch=str(batch))
    assert (page.total, len(page.lines), page.older is None) == (PAGE_SIZE + 1, PAGE_SIZE, False)
    assert len(await walked(database, batch=str(batch))) == PAGE_SIZE + 1
    assert (await listed(database, batch=str(batch), search="task 1")).total == 10


async def test_what_a_search_cannot_look_at_is_said(database: Database) -> None:
    connection = await add_connection(database)
    days = [f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z" for n in range(120)]
    rows = [ticket_row(connection, name="ab" if n < 60 else "cd", created_at=day) for n, day in enumerate(days)]
    await add_tickets(database, rows)
    short = await listed(database, FEW, search="ab")
    assert (short.total, short.has_more, short.leaves_out) == (0, True, True), "two letters are in no index"
    assert (await listed(database, search="ab")).total == 60, "few tickets are all looked at"
    similar = await listed(database, Bounds(5, 5, 10, 10_000), search="megan bowen")
    assert (similar.has_more, similar.leaves_out) == (True, True)
    assert 10 <= similar.total <= 15, "ten that the index named, and the five nearest"
    frequent = await listed(database, Bounds(100, 100, 10, 20), search="megan bowen")
    assert (frequent.total, frequent.has_more, frequent.leaves_out) == (100, True, False), "the page is right"
    assert len(frequent.lines) == PAGE_SIZE
    assert (await listed(database, FEW, search="megan bowen")).total == 120


@pytest.mark.parametrize("filters", [{}, {"delivery": "shared"}])
async def test_a_search_says_the_same_number_on_each_page(database: Database, filters: dict[str, str]) -> None:
    """Also where a text is frequent among the newest tickets and rare further on, or the other way round."""
    connection = await add_connection(database)
    days = [f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z" for n in range(600)]
    rows = [
        ticket_row(
            connection,
            name="Both" if n % 2 else "Old" if n < 300 or n % 40 == 0 else "New",
            delivery="held" if n == 500 else "shared",
            created_at=day,
        )
        for n, day in enumerate(days)
    ]
    await add_tickets(database, rows)
    for search, bounds in (
        ("megan", Bounds(250, 250, 10_000, 20)), ("new", Bounds(250, 250, 10_000, 20)),
        ("old", Bounds(250, 250, 10_000, 20)), ("old", Bounds(100, 100, 10_000, 60)),
        ("old", Bounds(250, 250, 60, 20)), ("both", Bounds(300, 300, 10, 200)),
    ):  # fmt: skip
        said: list[tuple[int, bool]] = []
        lines: list[UUID] = []
        at: str | None = ""
        while at is not None:
            page = await listed(database, bounds, at=at, search=search, **filters)
            said.append((page.total, page.has_more))
            lines += [line.id for line in page.lines]
            at = page.older
        assert len(said) > 1
        assert set(said) == {said[0]}, (search, said)
        assert len(lines) == len(set(lines))
        assert said[0][0] <= len(lines), "no more than there are"


async def test_more_than_a_thousand_is_all_that_is_said(database: Database) -> None:
    connection = await add_connection(database)
    await add_tickets(database, [ticket_row(connection) for _ in range(1_001)])
    for bounds in (BOUNDS, FEW):
        page = await listed(database, bounds, search="megan")
        assert (page.total, page.has_more, page.is_beyond, page.leaves_out) == (1_000, True, True, False)
    assert (await listed(database)).total == 1_001
    # Of just a thousand that were looked at, more is not said.
    await add_tickets(database, [ticket_row(connection, name="Oldest", created_at="2020-01-01T00:00:00Z")])
    page = await listed(database, Bounds(nearest=1_000, frequent=20), search="second factor")
    assert (page.total, page.has_more, page.is_beyond) == (1_000, True, False)


async def test_a_search_that_takes_too_long_is_told_apart_from_an_error(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await add_connection(database)
    await add_tickets(database, [ticket_row(connection)])
    monkeypatch.setattr(
        "app.features.tickets.views.ticket_pages.LIKES",
        "s.search_text LIKE lower(:pattern) AND pg_sleep(5) IS NOT NULL",
    )
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL statement_timeout = 100"))
        page = await list_tickets(session, Filters(search="megan"))
    assert (page.is_too_slow, page.lines) == (True, [])


# Letters of several scripts, with and without case, and what patterns are made of.
WORDS = st.text(st.sampled_from("abcABÄöß ẞİıΣσςЖж한국漢字é%_\\'\"/.0123"), max_size=9)


@pytest.fixture(scope="module")
def crowd(postgres: str) -> Iterator[str]:
    """A database with tickets of such words."""
    with fresh_database(postgres) as url:
        asyncio.run(_fill(url))
        yield url


async def _fill(url: str) -> None:
    database = Database(kept_engine(url))
    chance = chance_of(5)
    letters = "abcABÄöß ẞİıΣσςЖж한국漢字é%_\\'\"/.0123"

    def word() -> str:
        return "".join(chance.choice(letters) for _ in range(chance.randint(0, 12)))

    connection = await add_connection(database)
    rows = [any_row(chance, [connection], name=word(), number=word(), requested_by_name=word()) for _ in range(400)]
    await add_tickets(database, rows)
    async with database.transaction() as session:
        for row in rows[:200]:
            session.add_all(
                TicketAction(ticket_id=UUID(row["id"]), control_id=str(number), title=word()) for number in range(2)
            )
    await database.close()


@settings(max_examples=40)
@given(search=WORDS)
def test_a_search_finds_what_ilike_finds(crowd: str, search: str) -> None:
    asyncio.run(_compare(crowd, search))


async def _compare(url: str, search: str) -> None:
    database = Database(kept_engine(url))
    wanted = searched(search)
    pattern = "%" + wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    async with database.transaction() as session:
        same = set((await session.execute(ILIKE, {"pattern": pattern})).scalars())
    assert set(await walked(database, search=search)) == same
    if has_grams(wanted):
        # By the index alone.
        assert set(await walked(database, FEW, search=search)) == same
        by_kind = set(await walked(database, FEW, search=search, kind="change"))
        assert by_kind == set(await walked(database, search=search, kind="change"))
    await database.close()


def test_two_letters_are_enough_beyond_latin() -> None:
    assert [has_grams(word) for word in ("", "한", "한국", "漢字", "жя", "ab", "äö", "a한", "abc")] == [
        False, False, True, True, True, False, False, False, True,
    ]  # fmt: skip
