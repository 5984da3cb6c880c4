"""A word that is as long as its field pushes neither a column nor a part of the page out of sight."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import Visit, share

pytestmark = pytest.mark.thorough

WIDTHS = (390, 1024, 1440)
NAME = "N" * 150
# What reaches beyond its box: the page itself, and each table in the box that would scroll.
TOO_WIDE = """() => [document.documentElement, ...document.querySelectorAll("main .scroll")]
    .filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => `${box.className} ${box.scrollWidth}`)"""


def share_with_note(page: Page) -> str:
    """The address of a ticket whose name is one word, with a work note of one word."""
    share(page, "Incident", NAME)
    page.get_by_label("Add a work note").fill("W" * 300)
    page.get_by_role("button", name="Add note").click()
    expect(page.get_by_text("W" * 300)).to_be_visible()
    return page.url


def test_long_words_hide_no_column_and_scroll_no_page(connected: Visit) -> None:
    page = connected.sign_in("Security Administrator")
    ticket = share_with_note(page)
    page.goto("/servicenow/status-tokens")
    page.get_by_label("What it is for").fill("T" * 80)
    page.get_by_role("button", name="Make a token").click()
    expect(page.locator("main table")).to_contain_text("T" * 80)
    found = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for address in (ticket, "/tickets", "/servicenow/audit", "/servicenow/status-tokens"):
            page.goto(address)
            if too_wide := page.evaluate(TOO_WIDE):
                found[width, address] = too_wide
    assert not found
