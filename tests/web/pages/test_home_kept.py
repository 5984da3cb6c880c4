"""The home page of kept fragments: what it costs, that no one gets another's, and that it is never older than the database."""

from __future__ import annotations

import asyncio
import random
import re
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import delete, select, text, update

from app.core import clock
from app.core.clock import SetClock
from app.core.database import Session
from app.core.messages import T, use_locale
from app.features.accounts.asked import ask
from app.features.accounts.models import WebSession
from app.features.connection.models import Connection, ConnectionStatus, InstanceThrottle
from app.features.secure_score.models import ImportRun
from app.features.secure_score.sync.runs import HEARTBEAT_TIMEOUT, RunStatus
from app.features.tickets.models import PollCursor, Ticket
from app.features.tickets.polling.schedule import STATES_STALE_AFTER, VIEW_RECORDED_EVERY
from app.features.tickets.types import Absence, Delivery, TicketKind
from app.features.tickets.views.ticket_tally import recount_tally
from app.web.fragments import Fragments
from app.web.home_cards import BY_NAME, CARDS, HomeData
from app.web.home_fragments import HomeFragments
from tests.factories.connecting import a_worker, remove
from tests.factories.provisioning import provisioned
from tests.factories.statements import counted
from tests.factories.system import ROLES, System
from tests.factories.tickets import an_action, refresh_now, share_one, shared_ticket

HTMX = {"hx-request": "true"}
NOW = re.compile(r' data-now="\d+"')


async def body(browser: httpx.AsyncClient, address: str = "/") -> str:
    """A page without the one number that is another in each answer."""
    return NOW.sub("", (await browser.get(address)).text)


async def cost(system: System, browser: httpx.AsyncClient, address: str = "/", **headers: str) -> tuple[int, int]:
    """(status, statements) of one request."""
    with counted(system.resources.database) as seen:
        answer = await browser.get(address, headers=headers)
    return answer.status_code, len(seen)


async def write(system: System, *statements: object) -> None:
    async with system.resources.database.transaction() as session:
        for statement in statements:
            await session.execute(statement)  # type: ignore[call-overload]


@pytest.fixture
async def filled(scored: System) -> System:
    """Connected, with a score and a delivered ticket of each kind, one of them of an action."""
    await scored.connect()
    await a_worker(scored)
    await share_one(scored, TicketKind.CHANGE, action=an_action())
    await shared_ticket(scored)
    await refresh_now(scored)
    return scored


async def test_a_home_page_costs_three_statements_and_the_question_alone_once_it_is_kept(filled: System) -> None:
    async with await filled.signed_in("viewer") as browser, await filled.signed_in("sharer") as other:
        assert await cost(filled, browser) == (200, 3)
        assert await cost(filled, browser) == (200, 1)
        assert await cost(filled, other) == (200, 3)  # Another role: its own cards.
        await write(filled, update(Ticket).where(Ticket.kind == "incident").values(state="2"))
        assert await cost(filled, browser) == (200, 3)  # Incidents and results.
        await write(filled, update(PollCursor).values(succeeded_at=clock.now()))
        assert await cost(filled, browser) == (200, 2)


async def test_another_person_of_the_same_role_costs_a_frame(filled: System) -> None:
    async with await filled.signed_in("viewer") as browser:
        assert await cost(filled, browser) == (200, 3)
        await write(filled, text("UPDATE person SET display_name = 'Robin Doe'"))
        assert await cost(filled, browser) == (200, 2)
        assert "Robin Doe" in await body(browser)


async def test_a_card_costs_the_question_alone_whether_it_is_sent_or_not(filled: System) -> None:
    async with await filled.signed_in("viewer") as browser:
        first = await browser.get("/cards/incident", headers=HTMX)
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == "no-store"
        assert await cost(filled, browser, "/cards/incident", **HTMX) == (200, 1)
        assert await cost(filled, browser, "/cards/incident", **HTMX, **{"if-none-match": tag}) == (304, 1)
        await write(filled, update(Ticket).where(Ticket.kind == "change").values(state="2"))
        assert await cost(filled, browser, "/cards/incident", **HTMX, **{"if-none-match": tag}) == (304, 1)
        await write(filled, update(Ticket).where(Ticket.kind == "incident").values(state="2"))
        assert await cost(filled, browser, "/cards/incident", **HTMX, **{"if-none-match": tag}) == (200, 2)


async def test_a_304_is_empty_stays_out_of_caches_and_needs_the_very_tag(filled: System) -> None:
    async with await filled.signed_in("viewer") as browser:
        for address in ("/", "/cards/change"):
            tag = (await browser.get(address)).headers["etag"]
            again = await browser.get(address, headers={"if-none-match": f'"other", {tag}'})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
            assert again.headers["cache-control"] == "no-store"
            assert (await browser.get(address, headers={"if-none-match": "*"})).status_code == 304
            twice = httpx.Headers([("if-none-match", '"other"'), ("if-none-match", tag)])
            assert (await browser.get(address, headers=twice)).status_code == 304
            for other in ('"other"', "", '"', tag[:-2], f"{tag}x", "W/", '"*"'):
                assert (await browser.get(address, headers={"if-none-match": other})).status_code == 200
        assert (await browser.get("/")).headers["etag"].startswith('W/"')


async def test_looking_is_recorded_each_minute_although_the_card_is_kept(filled: System, still_clock: SetClock) -> None:
    async def viewed() -> object:
        async with filled.resources.database.transaction() as session:
            return (await session.execute(select(InstanceThrottle.last_viewed_at))).scalar_one()

    await write(filled, update(InstanceThrottle).values(last_viewed_at=None))
    async with await filled.signed_in("viewer") as browser:
        await browser.get("/cards/incident", headers=HTMX)
        assert await viewed() == clock.now()
        begun = clock.now()
        still_clock.move(VIEW_RECORDED_EVERY.total_seconds() - 1)
        tag = (await browser.get("/cards/incident", headers=HTMX)).headers["etag"]
        assert await viewed() == begun
        still_clock.move(2)
        answer = await browser.get("/cards/incident", headers={**HTMX, "if-none-match": tag})
        assert answer.status_code == 304
        assert await viewed() == clock.now()


async def test_a_card_says_that_it_is_old_or_paused_as_soon_as_it_is(filled: System, still_clock: SetClock) -> None:
    await write(filled, update(PollCursor).values(succeeded_at=clock.now() - STATES_STALE_AFTER + timedelta(seconds=5)))
    async with await filled.signed_in("viewer") as browser:
        assert "has not asked ServiceNow" not in await body(browser)
        still_clock.move(4)
        assert "has not asked ServiceNow" not in await body(browser)
        still_clock.move(2)
        assert "has not asked ServiceNow" in await body(browser)
        paused = {"paused_until": clock.now() + timedelta(seconds=9), "reason": T("It rests.").to_json()}
        await write(filled, update(InstanceThrottle).values(paused))
        assert "It rests." in await body(browser, "/cards/change")
        still_clock.move(9)
        assert "It rests." not in await body(browser, "/cards/change")
        # The probe after the pause changes nothing that is shown, so no version rises with it.
        still_clock.move(1)
        await body(browser, "/cards/change")
        await write(filled, update(InstanceThrottle).values(probe_until=clock.now() + timedelta(seconds=20)))
        kept = await body(browser, "/cards/change")
        filled.app.state.fragments = Fragments()
        assert await body(browser, "/cards/change") == kept


async def test_an_import_that_died_is_shown_as_such_although_nothing_is_written(
    scored: System, still_clock: SetClock
) -> None:
    running = {"status": RunStatus.RUNNING, "heard_at": clock.now(), "finished_at": None}
    await write(scored, update(ImportRun).values(running))
    async with await scored.signed_in("manager") as browser:
        await browser.post("/home-cards/add", data={"card": "imports"})
        begun = await body(browser)
        still_clock.move(HEARTBEAT_TIMEOUT.total_seconds() - 1)
        assert await body(browser) == begun
        still_clock.move(2)
        kept = await body(browser)
        assert kept != begun
        scored.app.state.fragments = Fragments()
        assert await body(browser) == kept


async def test_no_one_gets_what_was_kept_for_another_role_or_person(filled: System) -> None:
    names = {role: ROLES[role].name for role in ("manager", "sharer", "viewer")}
    alone: dict[str, list[str]] = {}
    for role in names:
        filled.app.state.fragments = Fragments()
        async with await filled.signed_in(role) as browser:
            alone[role] = [await body(browser), await body(browser, "/cards/incident")]
    filled.app.state.fragments = Fragments()
    for _ in range(2):
        for role in sorted(names):
            async with await filled.signed_in(role) as browser:
                assert [await body(browser), await body(browser, "/cards/incident")] == alone[role]
    for role, name in names.items():
        assert [other for other, (page, _) in alone.items() if name in page] == [role]
        assert not any(name in card for _, card in alone.values())
    assert [role for role, (_, card) in alone.items() if "Manage ServiceNow configuration" in card] == ["manager"]
    assert [role for role, (_, card) in alone.items() if "Create a ticket" in card] == ["manager", "sharer"]


async def test_no_card_says_anything_of_the_person_it_was_made_for(filled: System) -> None:
    async with await filled.signed_in("manager") as browser:
        for card in CARDS:
            await browser.post("/home-cards/add", data={"card": card.name})
        await browser.get("/")
    kept = filled.app.state.fragments._kept
    assert {name for name, _ in kept} == {"frame", *(card.name for card in CARDS if card.name != "connect")}
    person = ROLES["manager"]
    for (name, _), one in kept.items():
        html = b"".join(one.fragment.pieces).decode()
        assert ((person.name in html), (person.email in html)) == (name == "frame", name == "frame")


async def test_a_role_that_was_taken_away_and_a_session_that_ended_count_at_once(filled: System) -> None:
    async with await filled.signed_in("manager") as browser:
        assert "Manage ServiceNow configuration" in await body(browser)
        tag = (await browser.get("/cards/change")).headers["etag"]
        await write(filled, update(WebSession).values(roles=sorted(ROLES["viewer"].wids)))
        assert "Manage ServiceNow configuration" not in await body(browser)
        card = await browser.get("/cards/change", headers={"if-none-match": tag})
        assert (card.status_code, "Manage ServiceNow configuration" in card.text) == (200, False)
        tag = card.headers["etag"]
        await write(filled, update(WebSession).values(roles=[]))
        assert (await browser.get("/")).status_code == 403
        assert (await browser.get("/cards/change", headers={"if-none-match": tag})).status_code == 403
        await write(filled, update(WebSession).values(roles=sorted(ROLES["viewer"].wids)))
        token = browser.cookies["session"]
        await browser.post("/sign-out")
        browser.cookies.set("session", token, domain="security-center.test")
        for address in ("/", "/cards/change"):
            assert (await browser.get(address, headers={"if-none-match": tag})).status_code == 303


async def test_two_people_of_one_role_keep_their_own_layouts(filled: System) -> None:
    async with await filled.signed_in("viewer") as browser, await filled.signed_in("manager") as other:
        await write(filled, update(WebSession).values(roles=sorted(ROLES["viewer"].wids)))
        usual = await body(other)
        await browser.post("/home-cards/remove", data={"card": "incident"})
        own = await body(browser)
        assert 'id="incident-card"' not in own
        assert "Reset to default" in own
        assert await body(other) == usual
        assert 'id="incident-card"' in usual
        await browser.post("/home-cards/reset")
        assert 'id="incident-card"' in await body(browser)


async def test_each_language_is_kept_apart(filled: System) -> None:
    async with await filled.signed_in("viewer") as browser:
        asked = await ask(filled.resources, browser.cookies["session"])
    assert asked is not None
    fragments = Fragments()
    for locale, wanted in (("en", 'lang="en"'), ("de", 'lang="de"'), ("en", 'lang="en"')):
        with use_locale(locale):
            page = b"".join((await HomeFragments(fragments, filled.resources, asked).page()).parts).decode()
        assert wanted in page
    assert {key[1][1] for key in fragments._kept if key[0] == "score"} == {"en", "de"}


async def test_disconnecting_and_connecting_elsewhere_shows_at_once(filled: System) -> None:
    async with await filled.signed_in("manager") as browser:
        page = await body(browser)
        tag = (await browser.get("/cards/incident")).headers["etag"]
        await remove(browser)
        assert 'id="incident-card"' in page
        gone = await body(browser)
        assert ('id="incident-card"' in gone, "Do you use ServiceNow?" in gone, "home-card-results" in gone) == (
            False, True, True,
        )  # fmt: skip
        assert (await browser.get("/cards/incident", headers={"if-none-match": tag})).status_code == 404
        elsewhere = {"instance_name": "fabrikam", "origin": "https://fabrikam.example", "client_id": "c"}
        async with filled.resources.database.transaction() as session:
            session.add(Connection(status=ConnectionStatus.CONNECTED, connected_at=clock.now(), **elsewhere))
        card = await browser.get("/cards/incident", headers={"if-none-match": tag})
        assert card.status_code == 200
        assert "No tickets yet" in card.text


async def test_results_of_a_removed_connection_go_with_the_last_ticket(filled: System) -> None:
    async with await filled.signed_in("manager") as browser:
        await remove(browser)
        assert "home-card-results" in await body(browser)
        await write(filled, delete(Ticket))
        assert "home-card-results" not in await body(browser)


async def test_kinds_with_different_provisioning_are_shown_and_hidden_at_once(system: System) -> None:
    await provisioned(system)
    async with await system.signed_in("viewer") as browser:
        page = await body(browser)
        assert ('id="change-card"' in page, 'id="incident-card"' in page) == (True, True)
        for refused, shown in (
            ("change_request.read", (False, True)),
            ("incident.read", (True, False)),
            ("", (True, True)),
        ):
            system.servicenow.instance.switches.acl_refuses = refused
            async with await system.signed_in("manager") as manager:
                for kind in TicketKind:
                    await manager.post(f"/ticketProvisioning/check/{kind}")
            await system.work()
            page = await body(browser)
            assert ('id="change-card"' in page, 'id="incident-card"' in page) == shown


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_changes_the_page_shows_what_a_recount_finds(filled: System, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not for secrets.
    for kind in TicketKind:
        for number in range(4):
            await share_one(filled, kind, name=f"Task {number}")
    await filled.work()
    changes: list[dict[str, object]] = [
        {"delivery": Delivery.GIVEN_UP}, {"delivery": Delivery.HELD}, {"delivery": Delivery.SHARED}, {"state": "3"},
        {"state": "6"}, {"state": "2", "state_label": "Worked on"}, {"absence": Absence.DELETED}, {"absence": ""},
        {"name": "Another name"}, {"number": "INC42"}, {},
    ]  # fmt: skip
    async with await filled.signed_in("sharer") as browser:
        for _ in range(12):
            async with filled.resources.database.transaction() as session:
                for ticket_id in (await session.execute(select(Ticket.id))).scalars().all():
                    if chance.random() < 0.3:
                        this, values = Ticket.id == ticket_id, chance.choice(changes)
                        await session.execute(
                            update(Ticket).where(this).values(values) if values else delete(Ticket).where(this)
                        )
            kept = await body(browser)
            filled.app.state.fragments = Fragments()
            assert kept == await body(browser)
            async with filled.resources.database.transaction() as session:
                assert await recount_tally(session) == []
                counts = await session.execute(
                    text("SELECT kind, count(*) FROM ticket WHERE delivery <> 'given_up' GROUP BY kind")
                )
                for kind, count in counts.all():
                    card = await body(browser, f"/cards/{kind}")
                    shown = sum(int(number) for number in re.findall(r"<strong>(\d+)</strong>", card))
                    assert shown == count, card


async def test_fifty_at_once_on_an_empty_store_make_each_card_once(filled: System) -> None:
    async with await filled.signed_in("viewer") as browser:
        with counted(filled.resources.database) as seen:
            pages = await asyncio.gather(*(body(browser) for _ in range(50)))
    assert len(set(pages)) == 1
    made = [statement for statement in seen if "web_session" not in statement]
    assert len(made) == 2, made


async def test_a_card_that_fails_fails_for_all_who_wait_and_is_made_again(
    filled: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_data: HomeData, _session: object) -> None:
        raise RuntimeError("broken")

    card = BY_NAME["results"]
    async with await filled.signed_in("viewer") as browser:
        with monkeypatch.context() as patched:
            patched.setitem(BY_NAME, "results", type(card)(**{**vars(card), "load": broken}))
            answers = await asyncio.gather(*(browser.get("/") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {500}
        kept = {name for name, _ in filled.app.state.fragments._kept}
        assert kept == {"frame", "score", "change", "incident"}
        assert (await browser.get("/")).status_code == 200


async def test_a_card_that_fails_fails_for_no_one_who_asked_for_another(
    filled: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def broken(_data: HomeData, session: Session) -> None:
        begun.set()
        await gate.wait()
        await session.execute(text("SET LOCAL statement_timeout = 20"))
        await session.execute(text("SELECT pg_sleep(20)"))

    # The first of them, so that the others are made after it has ended its transaction.
    card = BY_NAME["score"]
    monkeypatch.setitem(BY_NAME, "score", type(card)(**{**vars(card), "load": broken}))
    async with await filled.signed_in("viewer") as browser:
        page = asyncio.create_task(browser.get("/"))
        await begun.wait()
        tickets = asyncio.create_task(browser.get("/cards/change"))
        await asyncio.sleep(0.1)
        gate.set()
        assert [(await one).status_code for one in (page, tickets)] == [503, 200]


async def test_a_connection_that_is_removed_between_question_and_answer_breaks_no_page(
    filled: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = BY_NAME["incident"]

    async def removed_meanwhile(data: HomeData, session: object) -> object:
        async with filled.resources.database.transaction() as other:
            await other.execute(update(Connection).values(status=ConnectionStatus.REMOVED))
        return await card.load(data, session)  # type: ignore[arg-type]

    async with await filled.signed_in("viewer") as browser:
        await browser.get("/")
        await write(filled, update(Ticket).values(state="2"))
        with monkeypatch.context() as patched:
            patched.setitem(BY_NAME, "incident", type(card)(**{**vars(card), "load": removed_meanwhile}))
            assert (await browser.get("/")).status_code == 200
        assert 'id="incident-card"' not in await body(browser)
        assert (await browser.get("/cards/incident")).status_code == 404
