"""The home page: its cards in every situation, and as each person arranges them."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlalchemy import text as sql

from app.core import clock
from app.features.accounts.home_layout import keep_cards
from app.features.accounts.models import HomeLayout, Person
from app.features.connection.models import Connection
from app.features.provisioning.home_state import home_state
from app.features.secure_score.jobs import scheduled_sync
from app.features.tickets.types import TicketKind
from app.web.fragments import Fragments
from app.web.home_cards import BY_NAME, CARDS
from tests.factories.connecting import a_worker, remove
from tests.factories.statements import counted
from tests.factories.system import System
from tests.factories.tickets import an_action, refresh_now, share_one, shared_ticket

CONNECTED = ["score", "change", "incident", "results"]


def cards_of(html: str) -> list[str]:
    """The cards on a page, in order."""
    return re.findall(r'<div class="home-card[^>]* data-card="(\w+)"', html)


def offered_in(html: str) -> list[str]:
    """The cards that the panel offers."""
    return re.findall(r'action="/home-cards/add"><input type="hidden" name="card" value="(\w+)"', html)


async def shown(browser: httpx.AsyncClient) -> list[str]:
    """The cards on the home page of the person signed in here."""
    return cards_of((await browser.get("/")).text)


async def test_the_page_says_when_no_worker_runs_and_managers_how_to_start_one(system: System) -> None:
    said, command = "No worker is running. Tickets wait", "<code>python -m app worker</code>"
    pages = {}
    for role in ("manager", "sharer", "viewer"):
        async with await system.signed_in(role) as browser:
            pages[role] = (await browser.get("/")).text
    assert all(said in page for page in pages.values())
    assert [role for role, page in pages.items() if command in page] == ["manager"]
    assert "Tell the operator of this security center." in pages["viewer"]
    await a_worker(system)
    async with await system.signed_in("manager") as browser:
        assert said not in (await browser.get("/")).text
    async with system.resources.database.transaction() as session:
        await session.execute(sql("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '61 seconds'"))
    async with await system.signed_in("manager") as browser:
        assert said in (await browser.get("/")).text  # It was killed, and could not say so.


@pytest.mark.fact("microsoft-graph edge-57", "microsoft-graph 3.4")
async def test_not_connected_a_card_asks_to_connect(system: System) -> None:
    async with await system.signed_in("manager") as browser:
        page = (await browser.get("/")).text
        assert cards_of(page) == ["score", "connect"]
        assert "Do you use ServiceNow?" in page
        assert 'href="/servicenow/connect"' in page
        await system.connect()
        assert await shown(browser) == CONNECTED


@pytest.mark.fact("microsoft-graph edge-57")
async def test_connected_without_a_ticket_every_card_says_what_to_do(system: System) -> None:
    await system.connect()
    async with await system.signed_in("sharer") as browser:
        page = (await browser.get("/")).text
    assert cards_of(page) == CONNECTED
    assert page.count("No tickets yet") == 2
    assert page.count("Share an improvement action, or create a ticket of your own.") == 2
    assert "No results yet" in page


@pytest.mark.fact("microsoft-graph edge-57")
async def test_states_have_the_names_that_people_gave_and_unknown_ones_their_number(system: System) -> None:
    await system.connect()
    _, named = await shared_ticket(system, name="One")
    _, unknown = await shared_ticket(system, name="Two")
    system.servicenow.control("records", number=named["number"], fields={"state": "2"})
    system.servicenow.instance.switches.unlisted_choices = "kept"
    system.servicenow.control("records", number=unknown["number"], fields={"state": "-37"})
    await refresh_now(system)
    async with await system.signed_in("manager") as browser:
        typed = {"label:2": "Bei der Technik", "group:2": "waiting"}
        assert (await browser.post("/servicenow/settings/states/incident", data=typed)).status_code == 303
        page = (await browser.get("/")).text
    assert re.search(r'<span class="badge badge-waiting">.*?Bei der Technik</span>', page)
    assert re.search(r'<span class="badge badge-unknown">.*?-37</span>', page)


@pytest.mark.fact("microsoft-graph edge-57")
async def test_more_tickets_than_fit_are_counted_and_lead_to_the_list(system: System) -> None:
    await system.connect()
    for number in range(8):
        await share_one(system, TicketKind.CHANGE, name=f"Task {number}")
    await system.work()
    async with await system.signed_in("viewer") as browser:
        page = (await browser.get("/")).text
    assert len(re.findall(r">Task \d</a>", page)) == 5
    assert "The newest 5 of 8 tickets." in page
    assert '<a href="/tickets?kind=change">View all tickets</a>' in page


@pytest.mark.fact("microsoft-graph edge-57")
async def test_cards_are_added_moved_and_removed_for_oneself_alone(system: System) -> None:
    await system.connect()
    async with await system.signed_in("viewer") as browser, await system.signed_in("sharer") as other:
        answer = await browser.post("/home-cards/add", data={"card": "top"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/#home-card-top")
        assert await shown(browser) == [*CONNECTED, "top"]
        for _ in range(9):  # At the beginning, nothing happens any more.
            await browser.post("/home-cards/move", data={"card": "top", "to": "earlier"})
        assert await shown(browser) == ["top", *CONNECTED]
        await browser.post("/home-cards/move", data={"card": "top", "to": "later"})
        assert await shown(browser) == ["score", "top", "change", "incident", "results"]
        await browser.post("/home-cards/remove", data={"card": "incident"})
        page = (await browser.get("/")).text
        assert cards_of(page) == ["score", "top", "change", "results"]
        assert "incident" in offered_in(page)
        assert 'id="incident-card"' not in page
        assert await shown(other) == CONNECTED
        assert "Reset to default" in page
        assert "Reset to default" not in (await other.get("/")).text
        await browser.post("/home-cards/reset")
        assert await shown(browser) == CONNECTED


@pytest.mark.fact("microsoft-graph edge-57")
async def test_dragged_cards_keep_their_order_and_nothing_else_gets_in(system: System) -> None:
    await system.connect()
    async with await system.signed_in("viewer") as browser:
        answer = await browser.post("/home-cards/order", data={"order": "results,imports,change,nonsense,change,score"})
        assert answer.status_code == 204
        assert await shown(browser) == ["results", "change", "incident", "score"]


@pytest.mark.fact("microsoft-graph edge-57")
async def test_every_card_has_its_menu_and_the_panel_says_when_it_is_empty(system: System) -> None:
    await system.connect()
    async with await system.signed_in("manager") as browser:
        page = (await browser.get("/")).text
        for name in CONNECTED:
            assert f'aria-label="More actions: {BY_NAME[name].title}"' in page
        assert page.count("Move up or left") == page.count("Move down or right") == len(CONNECTED)
        for name in offered_in(page):
            await browser.post("/home-cards/add", data={"card": name})
        page = (await browser.get("/")).text
        assert offered_in(page) == []
        assert "There is nothing left to add" in page
        for name in cards_of(page):
            await browser.post("/home-cards/remove", data={"card": name})
        page = (await browser.get("/")).text
        assert cards_of(page) == []
        assert "No cards on your page" in page


@pytest.mark.fact("microsoft-graph edge-57")
async def test_a_card_that_a_role_may_not_see_is_neither_offered_nor_shown(system: System) -> None:
    async with await system.signed_in("viewer") as browser:
        assert "imports" not in offered_in((await browser.get("/")).text)
        await browser.post("/home-cards/add", data={"card": "imports"})
        assert "imports" not in await shown(browser)
        await _keep(system, ["imports", "score"])
        assert await shown(browser) == ["score"]
    async with await system.signed_in("manager") as browser:
        assert "imports" in offered_in((await browser.get("/")).text)
        await browser.post("/home-cards/add", data={"card": "imports"})
        page = (await browser.get("/")).text
        assert "Nothing imported yet" in page
        await scheduled_sync.function(system.resources)
        assert "Nothing imported yet" not in (await browser.get("/")).text


@pytest.mark.fact("microsoft-graph edge-57")
async def test_names_of_an_older_version_are_passed_over(system: System) -> None:
    async with await system.signed_in("viewer") as browser:
        await browser.get("/")
        await _keep(system, ["weather", "connect", "score", "connect"])
        assert await shown(browser) == ["connect", "score"]
        await browser.post("/home-cards/move", data={"card": "weather", "to": "later"})
        await browser.post("/home-cards/add", data={"card": "weather"})
        await browser.post("/home-cards/move", data={"to": "sideways"})
        assert await shown(browser) == ["connect", "score"]


@pytest.mark.fact("microsoft-graph edge-57")
async def test_what_cannot_be_shown_just_now_keeps_its_place(system: System) -> None:
    async with await system.signed_in("viewer") as browser:
        await browser.post("/home-cards/move", data={"card": "connect", "to": "earlier"})
        assert await shown(browser) == ["connect", "score"]
        await system.connect()
        assert await shown(browser) == ["score", "change", "incident", "results"]


@pytest.mark.fact("microsoft-graph edge-57")
async def test_cards_of_actions_show_what_the_overview_shows(system: System) -> None:
    system.microsoft.tenant.reset()
    async with await system.signed_in("viewer") as browser:
        for name in ("review", "top", "categories"):
            await browser.post("/home-cards/add", data={"card": name})
        assert (await browser.get("/")).text.count("The first import begins by itself within a minute") == 4
        await scheduled_sync.function(system.resources)
        page = (await browser.get("/")).text
    assert "No score yet" not in page
    for text in ("Recently updated", "Score impact", "Identity"):
        assert text in page


@pytest.mark.fact("microsoft-graph edge-57")
async def test_the_page_costs_the_same_with_full_and_with_empty_cards(system: System) -> None:
    await system.connect()
    async with await system.signed_in("manager") as browser:
        for name in offered_in((await browser.get("/")).text):
            await browser.post("/home-cards/add", data={"card": name})
        costs = []
        # With tickets and no score, with more of them, and with a score.
        for more in (1, 12, 0):
            for number in range(more):
                await share_one(system, TicketKind.CHANGE, name=f"Task {number}")
            await system.work()
            if not more:
                await scheduled_sync.function(system.resources)
            system.app.state.fragments = Fragments()
            with counted(system.resources.database) as seen:
                page = await browser.get("/")
            assert len(cards_of(page.text)) == len(CARDS) - 1
            costs.append(len(seen))
    assert max(costs) <= 4, costs
    assert costs[0] == costs[1]


@pytest.mark.fact("microsoft-graph edge-57")
async def test_an_account_takes_its_page_with_it(system: System) -> None:
    async with await system.signed_in("viewer") as browser:
        await browser.post("/home-cards/remove", data={"card": "score"})
    async with system.resources.database.transaction() as session:
        (person,) = (await session.execute(select(Person))).scalars()
        await session.delete(person)
    async with system.resources.database.transaction() as session:
        assert (await session.execute(select(func.count()).select_from(HomeLayout))).scalar_one() == 0


async def test_the_home_page_without_a_connection_says_what_to_do(system: System) -> None:
    async with await system.signed_in("manager") as browser:
        page = (await browser.get("/")).text
        assert "Do you use ServiceNow?" in page
        assert 'href="/servicenow/connect"' in page
    async with await system.signed_in("sharer") as browser:
        page = (await browser.get("/")).text
        assert "Do you use ServiceNow?" in page
        assert 'href="/servicenow/connect"' not in page
        assert "Security Administrator" in page


async def test_the_home_cards_offer_what_the_role_may_do(system: System) -> None:
    await system.connect()
    async with await system.signed_in("manager") as browser:
        page = (await browser.get("/")).text
    for text in (
        "ServiceNow change management", "ServiceNow incident management", "Create a ticket", "View all tickets",
        "Manage ServiceNow configuration",
    ):  # fmt: skip
        assert text in page
    assert "Do you use ServiceNow?" not in page
    async with await system.signed_in("sharer") as browser:
        assert "Manage ServiceNow configuration" not in (await browser.get("/")).text


async def _keep(system: System, cards: list[str]) -> None:
    async with system.resources.database.transaction() as session:
        (person_id,) = (await session.execute(select(Person.id))).scalars()
        await keep_cards(session, person_id, cards)


@pytest.mark.parametrize(
    ("days", "words"),
    [(9.5, "ends in 9 days"), (0.5, "ends in less than two days"), (-1, "has ended"), (40, "")],
)
async def test_managers_are_told_on_the_home_page_that_the_consent_ends(
    system: System, days: float, words: str
) -> None:
    await system.connect()
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(refresh_expires_at=clock.now() + timedelta(days=days)))
    async with await system.signed_in("manager") as browser:
        page = (await browser.get("/")).text
    assert ("The consent for ServiceNow" in page) == bool(words)
    assert words in page
    async with await system.signed_in("sharer") as browser:
        assert "The consent for ServiceNow" not in (await browser.get("/")).text


async def test_results_of_kept_tickets_stay_after_the_connection_was_removed(system: System) -> None:
    connection = await system.connect()
    async with await system.signed_in("manager") as browser:
        await share_one(system, action=an_action())
        await system.work()
        await remove(browser)
        assert "home-card-results" in (await browser.get("/")).text
    async with system.resources.database.transaction() as session:
        state = await home_state(session)
    assert (state.connection, state.results_of) == (None, connection.id)
    assert state.context.archived == {connection.id: connection.instance_name}
