"""A newcomer connects ServiceNow with nothing but the checklist on the set-up page, and is told when it is the wrong account."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.connecting import check_connection, client_record, log_in, order, press, settled
from tests.browser.people import Visit
from tests.factories.demo import Demo

MARKED = ("prerequisites", "client", "user")
SETTLED = re.compile("In order|Cannot be known")


@pytest.fixture
def newcomer(chromium: Browser, demo: Demo) -> Iterator[tuple[Page, Demo]]:
    """An administrator before a product that is not connected and a checklist without marks."""
    visit = Visit(chromium, demo)
    page = visit.sign_in("Security Administrator")
    page.goto("/servicenow")
    if "/connect" not in page.url:
        page.goto("/servicenow/remove")
        page.get_by_role("main").get_by_role("button", name="Remove").click()
        page.wait_for_url(re.compile("removed="))
    while page.get_by_role("button", name="Not done after all").count():
        page.get_by_role("button", name="Not done after all").first.click()
    before = client_record(page, demo)
    yield page, demo
    # What the newcomer typed into the client's record is not what others start from.
    order(page, demo, "client", {name: before[name] for name in ("redirect_url", "name")})
    visit.close()


def value(page: Page, step: str, name: str) -> str:
    """What the checklist says to type into a field of this name."""
    term = page.locator(f"#{step} dt").filter(has_text=re.compile(f"^{re.escape(name)}$")).first
    return term.locator("xpath=following-sibling::dd[1]//code").inner_text().strip()


def console_values(page: Page, demo: Demo) -> list[str]:
    """Client ID, client secret and the user's name, as the sandbox's own console shows them."""
    console = page.context.new_page()
    console.goto(f"{demo.servicenow}/_sandbox/")
    shown = console.locator("p.note code").all_inner_texts()
    console.close()
    return shown


def fill_in(page: Page, demo: Demo, user: str) -> None:
    """The form at the checklist's end."""
    client_id, client_secret, *_ = console_values(page, demo)
    page.get_by_label("Instance name").fill(demo.servicenow)
    page.get_by_label("Client ID").fill(client_id)
    page.get_by_label("Client secret").fill(client_secret)
    page.get_by_label("Integration user").fill(user)
    page.get_by_role("button", name="Authorize").click()


def expect_ready(page: Page) -> None:
    """Provisioning, with nothing that a person has to do, and then the home page with its cards."""
    page.wait_for_url(re.compile("/ticketProvisioning"))
    settled(page, "/ticketProvisioning", "#steps")
    for step in page.locator("#steps > ol > li").all():
        expect(step.get_by_role("heading")).to_contain_text(SETTLED)
    page.goto("/")
    for name in ("ServiceNow change management", "ServiceNow incident management"):
        expect(page.get_by_role("heading", name=name)).to_be_visible()


@pytest.mark.thorough
def test_the_checklist_alone_leads_to_a_working_connection(newcomer: tuple[Page, Demo]) -> None:
    page, demo = newcomer
    page.goto("/")
    page.get_by_role("link", name="Connect to ServiceNow").click()
    redirect_url, user = value(page, "client", "Redirect URL"), value(page, "user", "User ID")
    # What the page says is typed into the client's record: were it wrong, ServiceNow would refuse to come back.
    order(page, demo, "client", {"redirect_url": redirect_url, "name": value(page, "client", "Name")})
    for key in MARKED:
        page.locator(f"#{key}").get_by_role("button", name="Mark as done").click()
        expect(page.locator(f"#{key}")).to_contain_text("Marked by Alex Wilber")
    fill_in(page, demo, user)
    log_in(page, demo, user)
    expect(page.get_by_role("main")).to_contain_text(user)
    page.get_by_role("button", name="Allow").click()
    expect_ready(page)


@pytest.mark.thorough
def test_consenting_as_oneself_is_said_before_anything_is_sent(newcomer: tuple[Page, Demo]) -> None:
    page, demo = newcomer
    page.goto("/servicenow/connect")
    user = value(page, "user", "User ID")
    fill_in(page, demo, user)
    log_in(page, demo, "alex.wilber")
    order(page, demo, "journal", {})
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(re.compile("/ticketProvisioning"))
    expect(page.get_by_text("looks like your own account")).to_be_visible()
    expect(page.get_by_text("Nothing has been sent yet")).to_be_visible()
    sent = page.request.get(f"{demo.servicenow}/_sandbox/journal").json()
    assert not [call for call in sent if call["method"] == "POST" and call["path"].startswith("/api/")]
    page.get_by_role("button", name="Sign in as another user").click()
    page.get_by_role("link", name="Not You?").click()
    log_in(page, demo, user)
    page.get_by_role("button", name="Allow").click()
    expect_ready(page)


@pytest.mark.thorough
def test_another_account_can_be_kept_on_purpose_and_stays_named(newcomer: tuple[Page, Demo]) -> None:
    page, demo = newcomer
    page.goto("/servicenow/connect")
    user = value(page, "user", "User ID")
    fill_in(page, demo, user)
    log_in(page, demo, "fred.luddy")
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(re.compile("/ticketProvisioning"))
    expect(page.get_by_text(f"not as the integration user {user}")).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("heading", name="ServiceNow incident management")).to_have_count(0)
    page.goto("/ticketProvisioning")
    press(page, page.get_by_role("button", name="Use fred.luddy all the same"))
    settled(page, "/ticketProvisioning", "#steps")
    check_connection(page)
    finding = page.locator('#findings li[data-finding="user_unexpected"]')
    expect(finding.get_by_role("heading")).to_contain_text("Integration user")
    expect(finding).to_contain_text(f"while the set-up names {user}")

    page.goto("/servicenow")
    page.get_by_role("button", name="Authorize again").click()
    page.get_by_role("link", name="Not You?").click()
    log_in(page, demo, user)
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(re.compile("/ticketProvisioning"))
    settled(page, "/ticketProvisioning", "#steps")
    expect(page.locator("#account")).to_contain_text(user)
