"""The page with the list of tickets: its addresses, what it says of counts, and how many statements it takes."""

from __future__ import annotations

import re
from functools import partial
from html import unescape
from urllib.parse import quote

import pytest
from sqlalchemy import text

from app.core.database import Session
from app.features.tickets.views.ticket_classes import Filters
from app.features.tickets.views.ticket_list import TicketList, list_tickets
from app.features.tickets.views.ticket_pages import PAGE_SIZE, Bounds
from tests.factories.statements import counted
from tests.factories.system import System
from tests.factories.ticket_rows import add_tickets, any_row, chance_of, ticket_row

OF_TICKETS = re.compile(r'<td class="nowrap" data-label="Number"><a href="/tickets/([0-9a-f-]{36})"')
LINK = '<a class="button" href="([^"]+)"[^>]*>{}</a>'


def shown(page: str) -> list[str]:
    return OF_TICKETS.findall(page)


def link(page: str, name: str) -> str:
    found = re.search(LINK.format(name), page)
    return unescape(found[1]) if found else ""


async def test_links_lead_through_the_whole_list_and_keep_the_filters(system: System) -> None:
    connection = await system.connect()
    days = [f"2026-01-{1 + n // 60:02}T09:{n % 60:02}:00Z" for n in range(2 * PAGE_SIZE + 10)]
    await add_tickets(system.resources.database, [ticket_row(connection.id, created_at=day) for day in days])
    async with await system.signed_in("viewer") as browser:
        first = (await browser.get("/tickets?kind=incident&q=megan")).text
        second = (await browser.get(link(first, "Older"))).text
        third = (await browser.get(link(second, "Older"))).text
        assert "110 tickets" in first
        assert [len(shown(page)) for page in (first, second, third)] == [50, 50, 10]
        assert len({*shown(first), *shown(second), *shown(third)}) == len(days)
        assert (link(first, "Newer"), link(first, "Newest"), link(third, "Older"), link(third, "Oldest")) == (
            "",
            "",
            "",
            "",
        )
        assert link(second, "Newest") == "/tickets?kind=incident&q=megan"
        assert shown((await browser.get(link(third, "Newer"))).text) == shown(second)
        assert shown((await browser.get(link(second, "Newer"))).text) == shown(first)
        assert len(shown((await browser.get(link(first, "Oldest"))).text)) == PAGE_SIZE
        # Pages of earlier versions had numbers.
        assert shown((await browser.get("/tickets?page=2&kind=incident")).text) == shown(second)
        assert (await browser.get("/tickets?page=1000000")).status_code == 200


@pytest.mark.parametrize(
    "at",
    [
        "x", "\0", "before.\0", "x" * 4_000, "before.9999-99-99T99:99:99.000000Z." + "0" * 32, "'; DROP TABLE ticket",
        "after.2026-11-20T09:00:00.000000Z." + "g" * 32, "newest", "OLDEST", "before.2026-11-20T09:00:00.000000Z",
    ],
)  # fmt: skip
async def test_an_address_with_anything_else_shows_the_newest(system: System, at: str) -> None:
    connection = await system.connect()
    await add_tickets(system.resources.database, [ticket_row(connection.id) for _ in range(3)])
    async with await system.signed_in("viewer") as browser:
        answer = await browser.get(f"/tickets?at={quote(at)}")
        assert answer.status_code == 200
        assert shown(answer.text) == shown((await browser.get("/tickets")).text)
        assert len(answer.content) < 30_000, "no link repeats it"


async def test_a_place_beside_no_ticket_is_one_too(system: System) -> None:
    connection = await system.connect()
    await add_tickets(system.resources.database, [ticket_row(connection.id) for _ in range(3)])
    async with await system.signed_in("viewer") as browser:
        for direction, year in (("before", "9999"), ("after", "0001"), ("before", "0001"), ("after", "9999")):
            page = await browser.get(f"/tickets?at={direction}.{year}-01-01T00:00:00.000000Z.{'0' * 32}")
            assert len(shown(page.text)) == 3


async def test_the_list_takes_two_statements_besides_the_session(system: System) -> None:
    connection = await system.connect()
    chance = chance_of(1)
    rows = [any_row(chance, [connection.id]) for _ in range(4 * PAGE_SIZE)]
    await add_tickets(system.resources.database, rows)
    async with await system.signed_in("sharer") as browser:
        first = (await browser.get("/tickets")).text
        second = (await browser.get(link(first, "Older"))).text
        beside_newest = link(second, "Newer")
        assert shown((await browser.get(beside_newest)).text) == shown(first)
        for path in (
            "/tickets",
            link(first, "Older"),
            beside_newest,
            # Beside a page that is shorter by now.
            beside_newest.replace("T09:00:00.", "T08:59:59."),
            f"/tickets?at=after.2030-01-01T00:00:00.000000Z.{'0' * 32}",
            f"/tickets?at=before.2020-01-01T00:00:00.000000Z.{'0' * 32}",
            "/tickets?at=oldest",
            "/tickets?page=99",
            "/tickets?q=second&kind=change",
            f"/tickets?q=second&at=before.2020-01-01T00:00:00.000000Z.{'0' * 32}",
            "/tickets?q=nothing",
            "/tickets?state_category=open&page=2",
            "/tickets?delivery=held",
            "/tickets?delivery=held&at=oldest&kind=change&q=second",
            f"/tickets?delivery=held&at=after.2030-01-01T00:00:00.000000Z.{'0' * 32}",
            "/tickets?batch=x",
        ):
            with counted(system.resources.database) as seen:
                answer = await browser.get(path)
            assert answer.status_code == 200
            assert len(seen) <= 3, (path, seen)
            assert ("Why tickets are held" in answer.text) == ("delivery=held" in path)


async def test_counts_that_are_not_exact_are_said_so(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = await system.connect()
    rows = [ticket_row(connection.id, name="ab", created_at=f"2026-01-01T00:00:{n % 60:02}Z") for n in range(1_001)]
    await add_tickets(system.resources.database, rows)
    async with await system.signed_in("viewer") as browser:
        assert "1,001 tickets" in (await browser.get("/tickets")).text
        assert "More than 1,000 tickets" in (await browser.get("/tickets?q=megan")).text
        # As with a million tickets.
        monkeypatch.setattr("app.web.pages.tickets.list_tickets", partial(list_tickets, bounds=Bounds(nearest=300)))
        page = (await browser.get("/tickets?q=ab")).text
        assert "At least 300 tickets" in page
        assert link(page, "Oldest") == "", "nobody has looked for it"
        nothing = (await browser.get("/tickets?q=zz")).text
        assert "Only the newest tickets were searched for so short a text." in nothing
        assert "No ticket found so far" in nothing


async def test_a_search_that_takes_too_long_says_what_to_do(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = await system.connect()
    await add_tickets(
        system.resources.database, [ticket_row(connection.id), ticket_row(connection.id, delivery="held")]
    )
    slow = "s.search_text LIKE lower(:pattern) AND pg_sleep(5) IS NOT NULL"
    monkeypatch.setattr("app.features.tickets.views.ticket_pages.LIKES", slow)

    async def impatient(session: Session, filters: Filters) -> TicketList:
        await session.execute(text("SET LOCAL statement_timeout = 200"))
        return await list_tickets(session, filters)

    monkeypatch.setattr("app.web.pages.tickets.list_tickets", impatient)
    async with await system.signed_in("viewer") as browser:
        answer = await browser.get("/tickets?q=megan")
        assert (answer.status_code, "This search took too long." in answer.text) == (200, True)
        # PostgreSQL answers nothing else in that transaction.
        assert (await browser.get("/tickets?q=megan&delivery=held")).status_code == 200
        assert len(shown((await browser.get("/tickets")).text)) == 2
