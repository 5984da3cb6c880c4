"""The main job in Chromium: connect, share as each kind, and see a state move on the home page without a reload."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.people import FOLLOWS_MS, INTEGRATION_USER, Visit, ensure_connected, move, open_share_form, share
from tests.factories.demo import Demo

CARDS = {"Change request": "ServiceNow change management", "Incident": "ServiceNow incident management"}
MARKERS = {
    "Change request": "Microsoft 365 Security and Configuration Change Request",
    "Incident": "Microsoft 365 Security and Configuration Incident",
}
WATCHED = "Watch me move"
NUMBER = {"Change request": re.compile(r"CHG\d{7}"), "Incident": re.compile(r"INC\d{7}")}


@pytest.fixture(scope="module")
def followed(chromium: Browser, demo: Demo) -> Iterator[Page]:
    """A home page left open while its incident is moved in ServiceNow; the other tests are what happens meanwhile."""
    visit = Visit(chromium, demo)
    ensure_connected(visit)
    page = visit.sign_in("Security Operator")
    share(page, "Incident", WATCHED)
    page.goto("/")
    expect(_line(page)).to_contain_text(NUMBER["Incident"], timeout=FOLLOWS_MS)
    page.evaluate("window.stillTheSamePage = true")
    move(visit.open(), demo, WATCHED, "In Progress")
    yield page
    visit.close()


def _card(page: Page, kind: str) -> Locator:
    return page.locator("section.card", has=page.get_by_role("heading", name=CARDS[kind]))


def _line(page: Page) -> Locator:
    return _card(page, "Incident").locator("li, tr", has_text=WATCHED)


@pytest.mark.usefixtures("followed")
def test_administrator_connects_servicenow(visit: Visit) -> None:
    """The connecting itself is `connect` in people.py, step by step; here is what it led to."""
    page = visit.sign_in("Security Administrator")
    page.goto("/servicenow")
    expect(page.get_by_role("main")).to_contain_text(INTEGRATION_USER)
    expect(page.get_by_role("main")).to_contain_text(visit.demo.servicenow.removeprefix("http://"))
    secrets = [visit.demo.keys[name] for name in ("SANDBOX_SERVICENOW_CLIENT_SECRET", "ENTRA_CLIENT_SECRET")]
    assert not [secret for secret in secrets if secret in page.content()]


@pytest.mark.parametrize("kind", ["Change request", "Incident"])
def test_operator_shares_an_action_and_finds_its_ticket_at_home(connected: Visit, kind: str) -> None:
    page = connected.sign_in("Security Operator")
    name = f"Do this as {kind.lower()}"
    share(page, kind, name)
    page.goto("/")
    expect(_card(page, kind)).to_contain_text(name)
    expect(_card(page, kind)).to_contain_text(NUMBER[kind], timeout=FOLLOWS_MS)
    console = connected.open()
    console.goto(f"{connected.demo.servicenow}/_sandbox/")
    row = console.get_by_role("row").filter(has_text=name)
    expect(row).to_have_count(1)
    expect(row).to_contain_text(MARKERS[kind])
    expect(row).to_contain_text(INTEGRATION_USER)


def test_nothing_typed_is_lost_when_the_form_is_refused(connected: Visit) -> None:
    page = connected.sign_in("Security Operator")
    open_share_form(page)
    page.get_by_label("Description").fill("Typed with care")
    page.get_by_role("textbox", name="Name", exact=True).fill(" ")
    page.locator("form", has=page.get_by_label("Ticket type")).evaluate("form => { form.noValidate = true }")
    page.get_by_role("button", name="Send to ServiceNow").click()
    expect(page.get_by_text("This is required.").first).to_be_visible()
    expect(page.get_by_label("Description")).to_have_value("Typed with care")


def test_reader_looks_and_neither_shares_nor_manages(connected: Visit) -> None:
    page = connected.sign_in("Security Reader")
    expect(page.get_by_role("heading", name=CARDS["Incident"])).to_be_visible()
    page.goto("/secure-score/actions")
    page.locator("main table a[href*='/secure-score/actions/']").first.click()
    assert page.locator("a[href^='/tickets/new']").filter(visible=True).count() == 0
    for address in ("/tickets/new", "/servicenow/connect"):
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 403, address
        expect(page.get_by_role("heading", level=1)).to_have_text("You cannot do this")


def test_account_without_a_role_is_told_what_to_ask_for(visit: Visit) -> None:
    page = visit.sign_in("No role")
    expect(page.get_by_role("main")).to_contain_text("Security Reader")
    for address in ("/", "/secure-score", "/secure-score/actions", "/tickets", "/servicenow", "/ticketProvisioning"):
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 403, address
        expect(page.get_by_role("heading", level=1)).to_have_text("Your account has no role here yet")


def test_signing_out_ends_the_session(visit: Visit) -> None:
    page = visit.sign_in("Security Reader", fresh=True)
    page.locator("summary", has_text="Lee Gu").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    page.goto("/secure-score")
    expect(page.get_by_role("button", name="Sign in with Microsoft")).to_be_visible()


def test_a_state_moved_in_servicenow_reaches_the_home_card_without_a_reload(followed: Page) -> None:
    expect(_line(followed)).to_contain_text("In Progress", timeout=FOLLOWS_MS)
    assert followed.evaluate("window.stillTheSamePage"), "the page was reloaded"
