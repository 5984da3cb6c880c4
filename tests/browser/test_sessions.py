"""In Chromium: a person sees their sessions, signs out for good, and finds again what was typed when a session ended."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import Visit

pytestmark = pytest.mark.thorough
ACTION = "/secure-score/actions/AdminMFAV2"


def sign_in_again(page: Page, account: str) -> None:
    """From our sign-in page on; Microsoft may still know the person."""
    page.get_by_role("button", name="Sign in with Microsoft").click()
    page.get_by_role("button", name=re.compile(f"^{account}")).click()


def test_sessions_are_listed_and_ended(visit: Visit) -> None:
    page, other = visit.sign_in("Security Reader", fresh=True), visit.sign_in("Security Reader", fresh=True)
    page.get_by_label("Account of Lee Gu").click()
    page.get_by_role("link", name="Your sessions").click()
    expect(page.get_by_text("(this one)")).to_have_count(1)
    expect(page.get_by_text("Chrome on Linux").first).to_be_visible()
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert not [cookie for cookie in page.context.cookies() if "session" in str(cookie.get("name"))]
    other.goto("/tickets")
    expect(other.get_by_role("button", name="Sign in with Microsoft")).to_be_visible()


def test_what_was_typed_is_shown_again_after_signing_in(visit: Visit) -> None:
    page = visit.sign_in("Security Administrator", fresh=True)
    page.goto(ACTION)
    note = page.locator("textarea[name=note]")
    note.fill("Ask the mail team\nbefore <Friday> & again")
    page.context.clear_cookies(name="session")
    page.locator("form").filter(has=note).get_by_role("button").click()
    expect(page.get_by_text("What you typed is kept for 15 minutes")).to_be_visible()
    sign_in_again(page, "Security Administrator")
    expect(page.get_by_text("Not sent yet. Check it and send it.")).to_be_visible()
    expect(page.locator("textarea[name=note]")).to_have_value("Ask the mail team\nbefore <Friday> & again")
    page.locator("form").filter(has=page.locator("textarea[name=note]")).get_by_role("button").click()
    expect(page.get_by_text("before <Friday> & again")).to_be_visible()
    expect(page.get_by_text("Not sent yet. Check it and send it.")).to_have_count(0)
