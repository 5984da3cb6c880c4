"""In Chromium: tickets held for a mandatory field lead an administrator to it, and all are sent again in one go."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.connecting import switched
from tests.browser.people import FOLLOWS_MS, Visit, share
from tests.factories.demo import Demo

pytestmark = pytest.mark.thorough
NAMES = ("Wants a caller, first", "Wants a caller, second")


def callers(page: Page, demo: Demo) -> list[str]:
    """Who is the caller of each of these tickets' records in ServiceNow."""
    told: dict[str, list[dict[str, str]]] = page.request.get(f"{demo.servicenow}/_sandbox/records").json()
    return [record["caller_id"] for record in told["incident"] if record["short_description"] in NAMES]


def test_tickets_held_for_their_caller_lead_to_it_and_are_sent_again_together(connected: Visit) -> None:
    page, demo = connected.sign_in("Security Administrator"), connected.demo
    with switched(page, demo, mandatory_on_create="caller_id"):
        for name in NAMES:
            share(page, "Incident", name)
            held = page.get_by_role("alert").filter(has_text="fields are mandatory")
            expect(held).to_be_visible(timeout=FOLLOWS_MS)
        assert callers(page, demo) == []
        page.get_by_role("link", name=re.compile("^Fill in Caller")).click()

        line = page.get_by_role("group", name=re.compile("^Caller"))
        line.get_by_role("searchbox").fill("Fred")
        expect(line.get_by_role("radio", name=re.compile("Fred Luddy"))).to_be_visible()
        chosen = line.get_by_role("radio", name=re.compile("the integration user"))
        chosen.check()
        user = chosen.get_attribute("value")
        page.get_by_role("button", name="Check and save").click()
        expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
        page.get_by_role("button", name="Send all 2 again").click()
        page.wait_for_url("**/tickets?delivery=queued")

        # The list does not refresh itself; it is opened until both have arrived.
        for _ in range(FOLLOWS_MS // 1000):
            page.goto("/tickets?q=Wants+a+caller&delivery=shared")
            if page.get_by_text("2 tickets").count():
                break
            page.wait_for_timeout(1000)
        assert callers(page, demo) == [user, user]
    # Others are to find the configuration as it was.
    page.goto("/servicenow/settings/fields/incident")
    page.get_by_role("button", name=re.compile("^Remove ?: Caller")).click()
    page.get_by_role("button", name="Check and save").click()
    expect(page.get_by_text("No column has a fixed value yet.")).to_be_visible()
