"""What was typed survives the end of a session: it is kept, shown again after the sign-in, and never sent by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from limits import RateLimitItemPerMinute

from app.core.clock import SetClock
from app.features.tickets.types import TicketKind
from app.web.rate_limits import LIMITS, RateLimits
from app.web.routing import named_routes
from app.web.unsent_pages import FORM_PAGES
from tests.factories.microsoft import MANAGER, SHARER, Person
from tests.factories.signing_in import sign_in
from tests.factories.system import System
from tests.factories.tickets import form_fields, share_one

ACTION = "BlockLegacyAuthentication"
SENTENCE = "Not sent yet. Check it and send it."
# These carry a press and what the page has put into it, and nothing that a person typed.
BUTTONS = {
    "actions.remove_note", "checklist.mark", "configuration.reset_states", "connect.authorize",
    "connect.confirm_account", "connector_status.revoke_token", "diagnosis.start", "failed_jobs.retry",
    "failed_jobs.retry_all", "home.add_card", "home.move_card", "home.order_cards", "home.remove_card",
    "home.reset_cards", "provisioning.authorize", "provisioning.check_all", "provisioning.check_step",
    "secure_score.sync", "servicenow.remove", "sign_in.begin", "sign_out.begin", "tickets.give_up", "tickets.retry",
    "tickets.retry_group", "tickets.retry_held", "tickets.retry_note", "your_sessions.end", "your_sessions.end_all",
}  # fmt: skip


def test_every_post_is_a_form_whose_text_is_kept_or_a_button() -> None:
    posts = {name for name, route in named_routes().items() if "POST" in (route.methods or ())}
    posts = {name for name in posts if not name.startswith("moved.")}
    assert posts == set(FORM_PAGES) | BUTTONS
    assert not set(FORM_PAGES) & BUTTONS


@pytest.fixture
async def browser(scored: System) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which no one is signed in."""
    async with scored.client() as opened:
        yield opened


async def send_without_session(browser: httpx.AsyncClient, address: str, form: Mapping[str, object]) -> str:
    """Post a form after the session has ended; returns the page to come back to."""
    browser.cookies.delete("session")
    answer = await browser.post(address, data=form)
    assert answer.status_code == 303, answer.text[-500:]
    where = urlsplit(answer.headers["location"])
    asked = parse_qs(where.query)
    assert (where.path, asked["unsent"]) == ("/sign-in", ["kept"])
    assert "What you typed is kept for 15 minutes" in (await browser.get(answer.headers["location"])).text
    return asked["return_to"][0]


async def come_back(browser: httpx.AsyncClient, page: str, person: Person = MANAGER) -> httpx.Response:
    """Sign in and open that page."""
    answer = await sign_in(browser, person, page)
    assert answer.headers["location"] == page
    return await browser.get(page)


async def test_a_ticket_that_was_typed_is_shown_again_and_sent_by_the_person_alone(
    scored: System, browser: httpx.AsyncClient
) -> None:
    await scored.connect()
    await sign_in(browser, SHARER)
    address = f"/tickets/new?action={ACTION}"
    form = form_fields((await browser.get(address)).text) | {"name": "My <own> name", "kind": "incident"}
    page = await send_without_session(browser, address, form)
    shown = await come_back(browser, page, SHARER)
    assert shown.status_code == 200
    assert SENTENCE in shown.text
    assert "My &lt;own&gt; name" in shown.text
    again = form_fields(shown.text)
    assert {name: again[name] for name in form} == form
    assert 'id="main"' in shown.text
    assert "My &lt;own&gt; name" not in (await browser.get("/tickets")).text
    assert SENTENCE in (await browser.get(page)).text  # A reload shows it once more.
    sent = await browser.post(address, data=again)
    assert sent.headers["location"].startswith("/tickets/")
    gone = await browser.get(page)
    assert gone.status_code == 404
    assert "not kept any longer" in gone.text


async def test_a_session_that_stood_idle_loses_nothing_that_was_typed(scored: System, still_clock: SetClock) -> None:
    browser = await scored.signed_in("manager")
    still_clock.move(3601)
    answer = await browser.post(f"/secure-score/actions/notes?action={ACTION}", data={"note": "Ask the mail team."})
    page = parse_qs(urlsplit(answer.headers["location"]).query)["return_to"][0]
    other = await scored.signed_in("sharer")
    other.cookies.set("unsent-form", browser.cookies["unsent-form"], domain="security-center.test")
    assert (await other.get(page)).status_code == 404  # The ended session tells whose it is.
    mine = await scored.signed_in("manager")
    assert (await mine.get(page)).status_code == 404  # Another browser.
    mine.cookies.set("unsent-form", browser.cookies["unsent-form"], domain="security-center.test")
    shown = await mine.get(page)
    assert "Ask the mail team.</textarea>" in shown.text
    assert SENTENCE in shown.text
    still_clock.move(900)
    assert (await mine.get(page)).status_code == 404


async def test_a_form_of_an_unknown_person_is_for_who_signs_in_next(browser: httpx.AsyncClient) -> None:
    page = await send_without_session(browser, f"/secure-score/actions/tags?action={ACTION}", {"tags": "mail"})
    assert (await come_back(browser, page)).status_code == 200
    await sign_in(browser, SHARER)
    assert (await browser.get(page)).status_code == 404


async def test_who_may_not_see_the_page_does_not_see_what_was_typed(browser: httpx.AsyncClient) -> None:
    page = await send_without_session(browser, "/servicenow/settings/sender", {"sender_name": "Security team"})
    led_on = await come_back(browser, page, SHARER)
    assert (led_on.status_code, led_on.headers["location"]) == (303, "/servicenow/settings")
    refused = await browser.get("/servicenow/settings")
    assert refused.status_code == 403
    assert SENTENCE not in refused.text
    assert "Security team" not in refused.text


async def test_a_part_of_a_page_that_posts_brings_the_whole_page_to_sign_in(scored: System) -> None:
    answer = await scored.client().post(
        f"/secure-score/actions/notes?action={ACTION}", data={"note": "x"}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 401
    assert "unsent=kept" in answer.headers["hx-redirect"]
    assert "unsent-form" in answer.cookies


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"note": "  "},
        {"note": "x" * 20_001},
        {f"n{number}": "x" * 19_000 for number in range(8)},
        {f"n{number}": "x" for number in range(2_300)},
    ],
    ids=["nothing", "blank", "cut", "too large", "too many fields"],
)
async def test_what_is_not_kept_is_said_to_be_lost(system: System, form: dict[str, str]) -> None:
    answer = await system.client().post(f"/secure-score/actions/notes?action={ACTION}", data=form)
    assert answer.status_code == 303
    assert "unsent=1" in answer.headers["location"]
    assert "unsent-form" not in answer.cookies


async def test_a_form_in_a_character_set_of_another_is_not_kept(system: System) -> None:
    kind = {"content-type": "multipart/form-data; boundary=b; charset=undefined"}
    body = b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nx\r\n--b--\r\n'
    answer = await system.client().post(f"/secure-score/actions/notes?action={ACTION}", content=body, headers=kind)
    assert (answer.status_code, "unsent=1" in answer.headers["location"]) == (303, True)


async def test_actions_that_were_ticked_are_shown_as_often_as_their_page_is_opened(
    scored: System, browser: httpx.AsyncClient
) -> None:
    page = await send_without_session(browser, "/tickets/selection", {"action": [ACTION, "AdminMFAV2"], "as": "each"})
    await come_back(browser, page)
    again = await browser.get(page)
    assert again.status_code == 200
    assert all(f'name="action" value="{action}"' in again.text for action in (ACTION, "AdminMFAV2"))


async def test_a_kept_form_that_is_opened_too_often_stays_kept(
    scored: System, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await send_without_session(browser, "/tickets/selection", {"action": [ACTION], "as": "each"})
    monkeypatch.setitem(LIMITS, "look_up", RateLimitItemPerMinute(1))
    assert (await come_back(browser, page)).status_code == 200
    refused = await browser.get(page)
    assert (refused.status_code, refused.headers["retry-after"].isdigit()) == (429, True)
    scored.app.state.rate_limits = RateLimits()
    assert (await browser.get(page)).status_code == 200


async def refuse_all(browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this person writes too often."""
    monkeypatch.setitem(LIMITS, "write", RateLimitItemPerMinute(1))
    await browser.post("/home-cards/reset")


async def test_what_one_may_not_see_is_not_shown_for_being_refused(
    scored: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await scored.signed_in("viewer")
    await refuse_all(browser, monkeypatch)
    answer = await browser.post("/servicenow/connect", data=SET_UP)
    assert (answer.status_code, SENTENCE in answer.text, "typed-id" in answer.text) == (429, False, False)
    part = await browser.post(
        f"/secure-score/actions/notes?action={ACTION}", data={"note": "x"}, headers={"HX-Request": "true"}
    )
    assert (part.status_code, "<main" in part.text) == (429, False)


async def test_a_note_that_is_refused_for_being_one_of_many_is_shown_again(
    scored: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await scored.signed_in("manager")
    await refuse_all(browser, monkeypatch)
    answer = await browser.post(f"/secure-score/actions/notes?action={ACTION}", data={"note": "Typed <note>"})
    assert answer.status_code == 429
    assert answer.headers["retry-after"].isdigit()
    assert "Typed &lt;note&gt;</textarea>" in answer.text
    assert "asked for more often than we allow" in answer.text
    assert "Your session had ended" not in answer.text
    page = await browser.get(f"/secure-score/actions/{ACTION}")
    assert (page.status_code, "Typed &lt;note&gt;" in page.text, SENTENCE in page.text) == (200, False, False)


@dataclass(frozen=True)
class Typed:
    """What is sent to a route, and what its page has to hold afterwards."""

    address: str
    form: Mapping[str, object]
    shows: tuple[str, ...]
    hides: tuple[str, ...] = field(default=())


SET_UP = {"instance": "other-instance", "client_id": "typed-id", "client_secret": "typed-words", "pkce": "no"}
TYPED = {
    "share.selection": Typed(
        "/tickets/selection", {"action": [ACTION, "AdminMFAV2"], "as": "each", "kind": "change"},
        (f'name="action" value="{ACTION}"', 'name="action" value="AdminMFAV2"'),
    ),
    "share.send_bulk": Typed(
        "/tickets/bulk", {"shown": [ACTION, "AdminMFAV2"], "action": ["AdminMFAV2"], "kind": "change", "due_date": "2027-01-31"},
        ('value="2027-01-31"', 'name="action" value="AdminMFAV2" checked', f'name="action" value="{ACTION}">'),
    ),
    "tickets.add_note": Typed("/tickets/TICKET/notes", {"note": "Typed note"}, (">\nTyped note</textarea>",)),
    "actions.set_status": Typed(
        f"/secure-score/actions/status?action={ACTION}", {"status": "planned", "reason": "Typed reason"}, ("Typed reason",)
    ),
    "actions.add_note": Typed(f"/secure-score/actions/notes?action={ACTION}", {"note": "Typed note"}, ("Typed note",)),
    "actions.set_tags": Typed(f"/secure-score/actions/tags?action={ACTION}", {"tags": "typed, tags"}, ("typed, tags",)),
    "secure_score.set_zones": Typed("/secure-score/zones", {"okay_from": "31", "good_from": "72"}, ('value="31"', 'value="72"')),
    "connect.begin": Typed("/servicenow/connect", SET_UP, ("other-instance", "typed-id"), ("typed-words",)),
    "connector_status.make_token": Typed("/servicenow/status-tokens", {"name": "Typed name"}, ("Typed name",)),
    "configuration.name_sender": Typed("/servicenow/settings/sender", {"name_sender": "no"}, ()),
    "configuration.set_defaults": Typed("/servicenow/settings/defaults", {"group_name": "Typed group"}, ("Typed group",)),
    "configuration.name_states": Typed("/servicenow/settings/states/incident", {"label:1": "Typed state"}, ()),
    "configuration.set_columns": Typed("/servicenow/settings/columns/incident", {"column:due_date": "u_typed"}, ()),
    "field_values.save": Typed(
        "/servicenow/settings/fields/incident", {"line:category": "1", "value:category": "software", "do": "save"}, ()
    ),
    "field_values.save_type": Typed("/servicenow/settings/fields/change/type", {"change_type": "standard"}, ()),
}  # fmt: skip


@pytest.mark.thorough
async def test_the_page_of_every_form_shows_what_was_typed(scored: System, browser: httpx.AsyncClient) -> None:
    await scored.connect()
    ticket = await share_one(scored, TicketKind.INCIDENT)
    await scored.work()
    assert set(TYPED) == set(FORM_PAGES) - {"share.send", "tickets.save"}
    wrong: dict[str, object] = {}
    for route, typed in TYPED.items():
        page = await send_without_session(browser, typed.address.replace("TICKET", str(ticket)), typed.form)
        shown = await come_back(browser, page)
        text = unescape(shown.text)
        missing = [part for part in (SENTENCE, *typed.shows) if part not in text and part not in shown.text]
        wrong |= {route: (shown.status_code, missing)} if missing else {}
        wrong |= {f"{route} tells": typed.hides} if any(part in shown.text for part in typed.hides) else {}
    assert not wrong


@pytest.mark.thorough
async def test_every_form_that_is_refused_for_being_one_of_many_is_shown_again(
    scored: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scored.connect()
    ticket = await share_one(scored, TicketKind.INCIDENT)
    await scored.work()
    browser = await scored.signed_in("manager")
    await refuse_all(browser, monkeypatch)
    wrong: dict[str, object] = {}
    for route, typed in TYPED.items():
        answer = await browser.post(typed.address.replace("TICKET", str(ticket)), data=typed.form)
        text = unescape(answer.text)
        missing = [part for part in (SENTENCE, *typed.shows) if part not in text and part not in answer.text]
        hidden = any(part in answer.text for part in typed.hides)
        wrong |= (
            {route: (answer.status_code, missing, hidden)} if missing or hidden or answer.status_code != 429 else {}
        )
    assert not wrong
