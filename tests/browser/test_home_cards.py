"""Home cards in Chromium: dragged by their title bar, moved from the keyboard, and arranged without scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import Visit

pytestmark = pytest.mark.thorough


def _order(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all("[data-card]", "cards => cards.map(card => card.dataset.card)")
    return found


def _bar(page: Page, name: str) -> str:
    return f"#home-card-{name} .card-header"


def _reset(page: Page) -> None:
    page.locator("summary", has_text="Add cards").click()
    page.get_by_role("button", name="Reset to default").click()


@pytest.mark.fact("microsoft-graph edge-57", "microsoft-graph 3.5")
def test_a_card_is_dragged_by_its_title_bar_and_stays_there(connected: Visit) -> None:
    page = connected.sign_in("Security Operator")
    assert _order(page) == ["score", "change", "incident", "results"]
    with page.expect_response("**/home-cards/order"):
        page.locator(_bar(page, "incident")).drag_to(page.locator(_bar(page, "score")))
    assert _order(page) == ["incident", "score", "change", "results"]
    expect(page.locator("#announcement")).to_have_text("Moved. The new order is kept.")
    with page.expect_response("**/home-cards/order"):  # The title is a link, and is no obstacle.
        page.locator(f"{_bar(page, 'incident')} a").drag_to(page.locator(_bar(page, "results")))
    page.reload()
    assert _order(page) == ["score", "change", "results", "incident"]
    page.locator("#home-card-score .as-of").drag_to(page.locator(_bar(page, "change")))
    assert _order(page) == ["score", "change", "results", "incident"]
    _reset(page)
    expect(page.locator("[data-card]").nth(2)).to_have_attribute("data-card", "incident")


@pytest.mark.fact("microsoft-graph edge-57")
def test_an_order_that_could_not_be_kept_is_not_shown(connected: Visit) -> None:
    page = connected.sign_in("Security Operator")
    page.route("**/home-cards/order", lambda route: route.abort())
    with page.expect_navigation():
        page.locator(_bar(page, "incident")).drag_to(page.locator(_bar(page, "score")))
    assert _order(page) == ["score", "change", "incident", "results"]


@pytest.mark.fact("microsoft-graph edge-57")
def test_the_menu_moves_a_card_from_the_keyboard(connected: Visit) -> None:
    page = connected.sign_in("Security Operator")
    page.get_by_label("More actions: ServiceNow incident management").press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Move up or left")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-card]").nth(1)).to_have_attribute("data-card", "incident")
    page.get_by_label("More actions: Microsoft Secure Score").click()
    expect(page.get_by_role("button", name="Move up or left")).to_have_count(0)  # It is the first.
    _reset(page)


@pytest.mark.fact("microsoft-graph edge-57")
def test_without_scripts_cards_are_arranged_all_the_same(connected: Visit) -> None:
    page = connected.sign_in("Security Operator", java_script_enabled=False)
    page.get_by_label("More actions: Microsoft Secure Score").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#home-card-score")).to_have_count(0)
    page.locator("summary", has_text="Add cards").click()
    page.get_by_role("button", name="Microsoft Secure Score").click()
    expect(page.locator("[data-card]").last).to_have_attribute("data-card", "score")
    page.locator("summary", has_text="Add cards").click()
    page.get_by_role("button", name="Reset to default").click()
    expect(page.locator("[data-card]").first).to_have_attribute("data-card", "score")


def test_a_card_that_has_not_changed_is_not_sent_again(connected: Visit) -> None:
    page = connected.sign_in("Security Operator")
    page.clock.install()
    page.goto("/")
    answers = []
    for _ in range(8):  # A poll of the worker may come between two of them.
        with page.expect_response("**/cards/incident") as answer:
            page.clock.run_for(17_000)
        answers.append(answer.value.status)
        if answers[-1] == 304:
            break
    assert (answers[0], answers[-1]) == (200, 304)
    expect(page.locator("#incident-card")).to_contain_text("View all tickets")
    expect(page.locator("#stale-notice")).to_be_hidden()


def test_a_time_of_a_card_is_exact_and_the_page_says_how_long_ago_it_is(connected: Visit) -> None:
    exact = re.compile(r"^\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d UTC$")
    bare = connected.sign_in("Security Reader", java_script_enabled=False)
    expect(bare.locator("#home-card-score time")).to_have_text(exact)
    page = connected.sign_in("Security Reader")
    page.clock.install()
    page.goto("/")
    time = page.locator("#home-card-score time")
    expect(time).to_have_text(re.compile("ago|now"))
    expect(time).to_have_attribute("title", exact)
    page.clock.fast_forward("02:00:00")
    expect(time).to_have_text(re.compile("^[23] hours ago$"))
