"""The main job in Chromium: connect, share as each kind, and see a state move on the home page without a reload."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.people import FOLLOWS_MS, INTEGRATION_USER, Visit, move, open_share_form, share

CARDS = {"Change request": "ServiceNow change management", "Incident": "ServiceNow incident management"}
NUMBER = {"Change request": re.compile(r"CHG\d{7}"), "Incident": re.compile(r"INC\d{7}")}


def test_administrator_connects_servicenow(connected: Visit) -> None:
    page = connected.sign_in("Security Administrator")
    page.goto("/servicenow")
    expect(page.get_by_role("main")).to_contain_text(INTEGRATION_USER)
    expect(page.get_by_role("main")).to_contain_text(connected.demo.servicenow.removeprefix("http://"))
    secrets = [connected.demo.keys[name] for name in ("SANDBOX_SERVICENOW_CLIENT_SECRET", "ENTRA_CLIENT_SECRET")]
    assert not [secret for secret in secrets if secret in page.content()]


@pytest.mark.parametrize("kind", ["Change request", "Incident"])
def test_operator_shares_an_action_and_finds_its_ticket_at_home(connected: Visit, kind: str) -> None:
    page = connected.sign_in("Security Operator")
    name = f"Do this as {kind.lower()}"
    share(page, kind, name)
    page.goto("/")
    card = page.locator("section.card", has=page.get_by_role("heading", name=CARDS[kind]))
    expect(card).to_contain_text(name, timeout=FOLLOWS_MS)
    expect(card).to_contain_text(NUMBER[kind], timeout=FOLLOWS_MS)


def test_a_state_moved_in_servicenow_reaches_the_home_card_without_a_reload(connected: Visit) -> None:
    page = connected.sign_in("Security Operator")
    share(page, "Incident", "Watch me move")
    page.goto("/")
    line = page.locator("section.card", has=page.get_by_role("heading", name=CARDS["Incident"])).locator(
        "li, tr", has_text="Watch me move"
    )
    expect(line).to_contain_text(NUMBER["Incident"], timeout=FOLLOWS_MS)
    page.evaluate("window.stillTheSamePage = true")
    move(connected.open(), connected.demo, "Watch me move", "In Progress")
    expect(line).to_contain_text("In Progress", timeout=FOLLOWS_MS)
    assert page.evaluate("window.stillTheSamePage"), "the page was reloaded"


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
    for address in ("/tickets/new", "/servicenow/connect", "/servicenow/settings"):
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
    page = visit.sign_in("Security Reader")
    page.locator("summary", has_text="Lee Gu").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    page.goto("/secure-score")
    expect(page.get_by_role("button", name="Sign in with Microsoft")).to_be_visible()
