"""What the small scripts promise: theme, drawer, menus, copying, and parts that are polled without disturbing the person."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.people import Visit, share

pytestmark = pytest.mark.thorough

PHONE = {"width": 390, "height": 844}
CARD = "#incident-card"
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PLACES = ("/", "/secure-score", "/secure-score/actions", "/secure-score/history", "/secure-score/trends", "/tickets",
          "/tickets/new", "/servicenow", "/ticketProvisioning")  # fmt: skip


def _theme(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.documentElement).colorScheme"))


def test_the_theme_follows_the_system_until_the_person_chooses(visit: Visit) -> None:
    page = visit.sign_in("Security Reader", color_scheme="dark")
    assert _theme(page) == "dark"
    page.get_by_role("button", name="Switch between light and dark").click()
    assert _theme(page) == "light"
    page.reload()
    assert _theme(page) == "light"


def test_the_drawer_opens_closes_on_escape_and_gives_the_focus_back(visit: Visit) -> None:
    page = visit.sign_in("Security Reader", viewport=PHONE)
    drawer = page.get_by_role("navigation", name="Main, small screens")
    expect(page.get_by_role("navigation", name="Main", exact=True)).to_be_hidden()
    expect(drawer).to_be_hidden()
    page.locator("summary", has_text="Menu").press("Enter")
    expect(drawer.get_by_role("link", name="Home")).to_have_attribute("aria-current", "page")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page.locator("summary", has_text="Menu")).to_be_focused()
    page.locator("summary", has_text="Menu").click()
    page.mouse.click(380, 600)
    expect(drawer).to_be_hidden()


def test_a_menu_closes_when_the_focus_leaves_it(visit: Visit) -> None:
    page = visit.sign_in("Security Reader")
    page.locator("summary", has_text="Lee Gu").press("Enter")
    sign_out = page.get_by_role("button", name="Sign out")
    expect(sign_out).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Your sessions")).to_be_focused()
    page.keyboard.press("Tab")
    expect(sign_out).to_be_focused()
    page.keyboard.press("Tab")
    expect(sign_out).to_be_hidden()


def test_the_redirect_url_is_copied_and_said(visit: Visit) -> None:
    page = visit.sign_in("Security Administrator", permissions=["clipboard-read", "clipboard-write"])
    page.goto("/servicenow/connect")
    page.locator(".copy-box", has_text="/servicenow/callback").first.get_by_role("button", name="Copy").click()
    expect(page.locator("#announcement")).to_have_text("Copied")
    assert str(page.evaluate("navigator.clipboard.readText()")).endswith("/servicenow/callback")


@pytest.mark.parametrize("place", PLACES)
def test_no_page_scrolls_sideways(connected: Visit, place: str) -> None:
    """Opened on a phone, and on windows that are made wider or narrower, in the light and in the dark."""
    page = connected.sign_in("Security Administrator", viewport=PHONE)
    page.goto(place)
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        for width in (390, 768, 1024, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            excess = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert excess <= 0, f"{excess} pixels too wide for {width}, {theme}"


def _watched(visit: Visit) -> Page:
    """The home page with a clock that tests turn, and every answer for the card replaced by one that says so."""
    page = visit.sign_in("Security Operator")
    page.clock.install()
    page.goto("/")
    expect(page.locator(CARD)).to_be_visible()
    return page


def _answer(page: Page, text: str) -> None:
    def fulfil(route: Route) -> None:
        route.fulfill(body=f'<section class="card" id="incident-card" data-refresh="15" hx-get="/cards/incident" '
                           f'hx-trigger="refresh-due" hx-swap="outerHTML"><p>{text}</p></section>')  # fmt: skip

    page.unroute("**/cards/incident")
    page.route("**/cards/incident", fulfil)


def test_a_card_loads_again_but_never_under_the_hands_of_a_person(connected: Visit) -> None:
    page = _watched(connected)
    link = page.locator(CARD).get_by_role("link", name="View all tickets")
    link.focus()
    _answer(page, "Changed meanwhile")
    page.clock.run_for(40_000)
    page.wait_for_timeout(500)  # A request sent by mistake would have been answered by now.
    expect(link).to_be_focused()
    expect(page.locator(CARD)).not_to_contain_text("Changed meanwhile")
    page.get_by_role("link", name="Home").focus()
    page.clock.run_for(2_000)
    expect(page.locator(CARD)).to_have_text("Changed meanwhile")
    _answer(page, "Changed once more")
    page.clock.run_for(17_000)
    expect(page.locator(CARD)).to_have_text("Changed once more")


def test_a_focus_that_comes_while_the_answer_is_on_its_way_is_kept(connected: Visit) -> None:
    page = _watched(connected)
    link = page.locator(CARD).get_by_role("link", name="View all tickets")

    def focus_meanwhile(route: Route) -> None:
        link.focus()
        route.continue_()

    page.route("**/cards/incident", focus_meanwhile)
    page.clock.run_for(2_000)
    with page.expect_response("**/cards/incident"):
        page.clock.run_for(16_000)
    page.wait_for_timeout(300)
    expect(link).to_be_focused()


def test_a_page_that_cannot_load_again_says_that_it_may_be_old(connected: Visit) -> None:
    page = _watched(connected)
    notice = page.get_by_text("This page cannot reach the server just now")
    expect(notice).to_be_hidden()
    page.route("**/cards/*", lambda route: route.fulfill(status=503, body="<p>broken</p>"))
    page.clock.run_for(17_000)
    expect(notice).to_be_visible()
    expect(page.locator(CARD)).not_to_contain_text("broken")
    page.unroute("**/cards/*")
    page.clock.run_for(17_000)
    expect(notice).to_be_hidden()


def test_all_actions_of_the_page_are_selected_at_once(connected: Visit) -> None:
    page = connected.sign_in("Security Operator")
    page.goto("/secure-score/actions")
    boxes = page.locator('td input[name="action"]')
    everything = page.get_by_label("Select all on this page")
    everything.check()
    assert all(boxes.nth(number).is_checked() for number in range(boxes.count()))
    expect(page.locator("summary", has_text="Share selected")).to_contain_text(f"({boxes.count()})")
    boxes.first.uncheck()
    expect(everything).to_have_js_property("indeterminate", True)
    everything.check()
    everything.uncheck()
    assert not any(boxes.nth(number).is_checked() for number in range(boxes.count()))
    boxes.first.check()
    page.locator("summary", has_text="Share selected").click()
    page.get_by_role("button", name="One ticket each").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Share to ServiceNow")


def test_without_scripts_actions_are_selected_one_by_one(connected: Visit) -> None:
    page = connected.sign_in("Security Operator", java_script_enabled=False)
    page.goto("/secure-score/actions")
    expect(page.get_by_label("Select all on this page")).to_be_hidden()
    boxes = page.locator('td input[name="action"]')
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.locator("summary", has_text="Share selected").click()
    page.get_by_role("button", name="One ticket each").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Share several actions")


def test_a_changed_state_is_said_and_what_was_unfolded_stays_so(connected: Visit) -> None:
    page = _watched(connected)

    def answer(state: str) -> None:
        body = (
            '<section class="card" id="incident-card" data-refresh="15" hx-get="/cards/incident" hx-trigger="refresh-due" '
            f'hx-swap="outerHTML"><p id="state-1" data-announce>Require MFA: {state}</p>'
            f"<details><summary>More</summary><p>{state}</p></details></section>"
        )
        page.unroute("**/cards/incident")
        page.route("**/cards/incident", lambda route: route.fulfill(body=body))
        page.clock.run_for(17_000)
        expect(page.locator("#state-1")).to_have_text(f"Require MFA: {state}")

    answer("New")
    expect(page.locator("#announcement")).to_have_text("")
    page.locator(CARD).get_by_text("More").click()
    page.get_by_role("link", name="Home").focus()
    answer("Resolved")
    expect(page.locator("#announcement")).to_have_text("Require MFA: Resolved")
    expect(page.locator(CARD).locator("details")).to_have_attribute("open", "")


def test_an_open_page_keeps_its_times_true(connected: Visit) -> None:
    page = connected.sign_in("Security Reader")
    page.clock.install()
    page.goto("/secure-score")
    imported = page.locator("time[data-ago]").first
    page.clock.fast_forward("02:00:00")
    expect(imported).to_have_text(re.compile("^2 hours ago|^3 hours ago"))


def test_a_ticket_shows_its_number_and_the_way_to_it_without_being_loaded_again(connected: Visit) -> None:
    page = connected.sign_in("Security Operator")
    share(page, "Incident", "Followed from the first second")
    note = page.get_by_label("Add a work note")
    expect(page.get_by_role("link", name="Open in ServiceNow")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"Incident INC\d+"))
    expect(note).to_be_visible()


def test_a_wrong_field_is_brought_into_sight(connected: Visit) -> None:
    page = connected.sign_in("Security Administrator", viewport={"width": 1280, "height": 600})
    page.goto("/servicenow/connect")
    page.get_by_label("Instance name").fill("not a name")
    page.get_by_label("Client ID").fill("0123456789abcdef0123456789abcdef")
    page.get_by_label("Client secret").fill("x")
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_label("Instance name")).to_be_focused()
    expect(page.get_by_label("Instance name")).to_be_in_viewport()


def test_what_was_ticked_far_down_is_shared_from_where_one_is(connected: Visit) -> None:
    page = connected.sign_in("Security Operator", viewport={"width": 1280, "height": 700})
    page.goto("/secure-score/actions")
    box = page.locator("main table input[type=checkbox]").nth(30)
    box.check()
    expect(page.locator("summary", has_text="Share selected")).to_be_in_viewport()
    assert box.bounding_box()["width"] < 40  # type: ignore[index]


def test_a_long_name_is_counted_while_it_is_typed(visit: Visit) -> None:
    page = visit.sign_in("Security Operator")
    page.goto("/tickets/new")
    page.get_by_role("textbox", name="Name", exact=True).fill("n" * 161)
    line = page.locator('[data-count-of="field-name"]')
    expect(line).to_contain_text("161 of 160 characters. ServiceNow shows the beginning as the name")
    page.get_by_role("textbox", name="Name", exact=True).fill("n" * 160)
    expect(line).to_have_text("160 of 160 characters.")
