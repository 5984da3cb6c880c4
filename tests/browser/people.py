"""What people do in the browser: sign in, share, look for a ticket."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.factories.demo import Demo

# Far more than any page takes: what is waited for comes at once, unless the machine is busy with other things.
WAIT_MS = 60_000
INTEGRATION_USER = "m365.integration"
# The home page's cards refresh every half minute, and the worker asks ServiceNow every minute.
FOLLOWS_MS = 90_000
NEXT_ACTION = count()
# The cookie of each account's first sign-in, by where the product runs and who it is.
SESSIONS: dict[tuple[str, str], list[Any]] = {}
expect.set_options(timeout=WAIT_MS)


@dataclass
class Visit:
    """People at their browsers. Errors on any page are collected, so that no test passes over a broken script."""

    chromium: Browser
    demo: Demo
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, **options: object) -> Page:
        """A fresh browser without a session."""
        context = self.chromium.new_context(base_url=self.demo.url, locale="en-US", **options)  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_MS)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        return page

    def _listen(self, message: ConsoleMessage) -> None:
        # A page that is refused on purpose is reported as a failed resource; everything else is a fault of the product.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def sign_in(self, account: str, *, fresh: bool = False, **options: object) -> Page:
        """A browser at the home page in which this account of the sandbox is signed in.

        Uses the sign-in pages the first time, and that session afterwards. `fresh`: always uses the pages.
        """
        page = self.open(**options)
        kept = SESSIONS.setdefault((self.demo.url, account), [])
        if kept and not fresh:
            page.context.add_cookies(kept)
            page.goto("/")
            return page
        page.goto("/sign-in")
        page.get_by_role("button", name="Sign in with Microsoft").click()
        page.get_by_role("button", name=re.compile(f"^{account}")).click()
        page.wait_for_url(lambda url: url.startswith(self.demo.url))
        if not fresh:
            kept += [cookie for cookie in page.context.cookies(self.demo.url) if cookie["name"] == "session"]
        return page

    def close(self) -> None:
        """End all, and fail if any page complained."""
        for context in self.contexts:
            context.close()
        assert not self.complaints, self.complaints


def connect(page: Page, demo: Demo, user: str = INTEGRATION_USER) -> None:
    """From the home page, through the set-up form and ServiceNow's consent, back to us."""
    page.goto("/")
    page.get_by_role("link", name="Connect to ServiceNow").click()
    page.get_by_label("Instance name").fill(demo.servicenow.removeprefix("http://"))
    page.get_by_label("Client ID").fill(demo.keys["SANDBOX_SERVICENOW_CLIENT_ID"])
    page.get_by_label("Client secret").fill(demo.keys["SANDBOX_SERVICENOW_CLIENT_SECRET"])
    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(demo.keys["SANDBOX_SERVICENOW_PASSWORD"])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(lambda url: url.startswith(demo.url))


def ensure_connected(visit: Visit) -> None:
    """Connect by the set-up form, unless that was done already."""
    if seems_connected(visit.demo):
        return
    page = visit.sign_in("Security Administrator")
    if page.get_by_role("link", name="Connect to ServiceNow").count():
        connect(page, visit.demo)
    page.context.close()


def seems_connected(demo: Demo) -> bool:
    """Whether the home page no longer offers it to an administrator, as far as one has been here."""
    cookies = {cookie["name"]: cookie["value"] for cookie in SESSIONS.get((demo.url, "Security Administrator"), [])}
    answer = httpx.get(f"{demo.url}/", cookies=cookies, timeout=60)
    return answer.status_code == 200 and "Sign out" in answer.text and "Connect to ServiceNow" not in answer.text


def open_share_form(page: Page) -> str:
    """The task form of the next improvement action that is not shared yet, by its share menu. Gives its title."""
    page.goto("/secure-score/actions")
    link = page.locator("main table a[href*='/secure-score/actions/']").nth(next(NEXT_ACTION))
    title = link.inner_text().strip()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(title)
    page.locator("summary", has_text="Share").click()
    page.get_by_role("link", name="ServiceNow", exact=True).filter(visible=True).last.click()
    expect(page.get_by_role("textbox", name="Name", exact=True)).not_to_have_value("")
    return title


def share(page: Page, kind: str, name: str) -> None:
    """Share an action as `Change request` or `Incident`, under this name."""
    open_share_form(page)
    page.get_by_label("Ticket type").select_option(label=kind)
    page.get_by_role("textbox", name="Name", exact=True).fill(name)
    page.get_by_label("Priority").select_option(index=1)
    page.get_by_label("Due date").fill("2030-12-31")
    page.get_by_role("button", name="Send to ServiceNow").click()
    page.wait_for_url(re.compile(r"/tickets/[0-9a-f-]{36}"))


def move(page: Page, demo: Demo, name: str, state: str) -> None:
    """Move a ticket in the sandbox's console, as a ServiceNow agent would."""
    page.goto(f"{demo.servicenow}/_sandbox/")
    row = page.get_by_role("row").filter(has_text=name)
    row.get_by_label("New state").select_option(label=state)
    row.get_by_role("button", name="Move").click()
    expect(page.get_by_role("row").filter(has_text=name)).to_contain_text(state)
