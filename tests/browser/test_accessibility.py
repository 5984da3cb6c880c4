"""Accessibility: every page can be used with a keyboard, on a phone, in the dark, with a screen reader, and without scripts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.people import Visit, ensure_connected, open_share_form, share
from tests.factories.demo import ROOT, Demo

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
NOT_FOUND = "/nothing-here"
PAGES = (
    "/",
    "/tickets-and-results",
    "/secure-score",
    "/secure-score/actions",
    "/secure-score/actions/AdminMFAV2",
    "/secure-score/history",
    "/secure-score/trends",
    "/secure-score/imports",
    "/tickets",
    "/tickets/new?action=AdminMFAV2",
    "/tickets/new?action=MFARegistrationV2&action=BlockLegacyAuthentication",
    "/servicenow",
    "/servicenow/connect",
    "/servicenow/settings",
    "/servicenow/data-exchange",
    "/servicenow/diagnosis",
    "/servicenow/audit",
    "/servicenow/remove",
    "/ticketProvisioning",
    NOT_FOUND,
)
# Of a page in the dark, only the colours are different.
RULES: dict[Literal["light", "dark"], dict[str, Any]] = {
    "light": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "dark": {"type": "rule", "values": ["color-contrast"]},
}
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def manager(chromium: Browser, demo: Demo) -> Iterator[Page]:
    """One page, signed in as administrator, in a connected system with a ticket."""
    visit = Visit(chromium, demo)
    ensure_connected(visit)
    page = visit.sign_in("Security Administrator", viewport=DESK)
    share(page, "Incident", "For everybody")
    yield page
    visit.close()


def _open(page: Page, address: str) -> None:
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == (404 if address == NOT_FOUND else 200)
    expect(page.get_by_role("main")).to_be_visible()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that looks for what people could not use."""
    if not AXE.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("axe-core is missing: run `make setup`")
        pytest.skip("axe-core is not installed")
    return AXE.read_text(encoding="utf-8")


@pytest.mark.thorough
@pytest.mark.parametrize("address", PAGES)
def test_page_can_be_used_by_everybody(manager: Page, axe: str, address: str) -> None:
    """In the light and in the dark; and on a phone, where nothing may scroll sideways."""
    manager.set_viewport_size(DESK)  # type: ignore[arg-type]
    problems = []
    for scheme in RULES:
        manager.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        # Reloaded: what is folded away keeps its old colours until it is shown.
        _open(manager, address)
        # Evaluated by the debugger, so that the page's own policy against foreign scripts stays in force.
        manager.evaluate(axe)
        problems += _problems(manager, scheme)
    manager.set_viewport_size(PHONE)  # type: ignore[arg-type]
    width, window = manager.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    if width > window:
        problems.append(f"scrolls sideways on a phone: {width} of {window} pixels")
    assert not problems


def _problems(page: Page, scheme: Literal["light", "dark"]) -> list[str]:
    found = page.evaluate("only => axe.run({runOnly: only})", RULES[scheme])
    return [
        f"{scheme}, {problem['id']}: {problem['help']} ({'; '.join(node['html'][:120] for node in problem['nodes'][:3])})"
        for problem in found["violations"]
    ]


@pytest.mark.thorough
def test_share_can_be_reached_and_done_with_the_keyboard_alone(visit: Visit) -> None:
    ensure_connected(visit)
    page = visit.sign_in("Security Operator", viewport=DESK)
    page.goto("/secure-score/actions/IntegratedApps")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    page.keyboard.press("Enter")
    _tab_to(page, "Share")
    page.keyboard.press("Enter")
    _tab_to(page, "ServiceNow")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Ticket type")).to_be_visible()
    _tab_to(page, "Send to ServiceNow", most=40)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/tickets/[0-9a-f-]{36}"))


def test_a_menu_closes_with_escape_and_gives_the_focus_back(visit: Visit) -> None:
    page = visit.sign_in("Security Operator", viewport=DESK)
    page.goto("/secure-score/actions/IntegratedApps")
    summary = page.locator("summary", has_text="Share")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Email")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Email")).to_be_hidden()
    expect(summary).to_be_focused()


def _tab_to(page: Page, text: str, most: int = 25) -> None:
    """Press Tab until the focus is on something with this text."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText?.trim()") == text:
            return
    raise AssertionError(f"Tab does not lead to {text}")


@pytest.mark.thorough
def test_the_main_job_works_without_scripts(visit: Visit) -> None:
    """Sign in, share an action, find its ticket at home, and sign out: every form is a plain form."""
    ensure_connected(visit)
    page = visit.sign_in("Security Operator", fresh=True, java_script_enabled=False)
    name = "Shared without scripts"
    title = open_share_form(page)
    page.get_by_role("textbox", name="Name", exact=True).fill(name)
    page.get_by_role("button", name="Send to ServiceNow").click()
    page.wait_for_url(re.compile(r"/tickets/[0-9a-f-]{36}"))
    expect(page.get_by_role("main")).to_contain_text(title)
    page.goto("/")
    expect(page.get_by_role("main")).to_contain_text(name)
    page.goto("/tickets?q=without+scripts")
    expect(page.get_by_role("main")).to_contain_text(name)
    page.locator("summary", has_text="Megan Bowen").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
