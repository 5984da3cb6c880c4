"""What an administrator does around a connection, and the sandbox's switches, which are always set back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.people import INTEGRATION_USER, WAIT_MS
from tests.factories.demo import Demo

CLIENT_FIELDS = ("name", "active", "redirect_url", "access_token_lifespan", "refresh_token_lifespan")
Order = tuple[str, Mapping[str, Any]]
# How long even an impatient person looks at a page before asking for it again.
PAUSE_MS = 300
SET_BACK: tuple[Order, ...] = (
    ("faults", {"clear": True}),
    ("family", {"family": "zurich"}),
    (
        "users",
        {
            "user_name": INTEGRATION_USER,
            "active": "true",
            "locked_out": "false",
            "web_service_access_only": "false",
            "roles": "itil,personalize_choices",
            "time_zone": "Europe/Berlin",
        },
    ),
)


def order(page: Page, demo: Demo, what: str, content: Mapping[str, Any]) -> None:
    """One order to the sandbox's control API."""
    answer = page.request.post(f"{demo.servicenow}/_sandbox/{what}", data=dict(content))
    assert answer.ok, answer.text()


@contextmanager
def switched(page: Page, demo: Demo, *orders: Order, **switches: object) -> Iterator[None]:
    """Switch the sandbox to this fault inside the block; set it back afterwards, also after an error."""
    before = page.request.get(f"{demo.servicenow}/_sandbox/switches").json()
    client = {name: value for name, value in client_record(page, demo).items() if name in CLIENT_FIELDS}
    try:
        order(page, demo, "switches", switches)
        for what, content in orders:
            order(page, demo, what, content)
        yield
    finally:
        order(page, demo, "switches", before)
        order(page, demo, "client", client)
        for what, content in SET_BACK:
            order(page, demo, what, content)


def settled(page: Page, address: str, part: str) -> None:
    """The page when nothing in `part` is under way any more; it is asked for beside the browser, which costs less."""
    in_progress = re.compile(f'id="{part.removeprefix("#")}"[^>]*data-refresh')
    deadline = time.monotonic() + WAIT_MS / 1000
    while in_progress.search(page.request.get(address).text()):
        assert time.monotonic() < deadline, page.locator(part).inner_text()
        page.wait_for_timeout(PAUSE_MS)
    page.goto(address)


def press(page: Page, button: Locator) -> None:
    """Press it and see that the page answers: on a busy machine it does not do so at once."""
    with page.expect_navigation():
        button.click()


def check_connection(page: Page) -> None:
    """Press "Check now", and wait for every finding."""
    page.goto("/servicenow/diagnosis")
    press(page, page.get_by_role("button", name="Check now"))
    settled(page, "/servicenow/diagnosis", "#findings")


def check_step(page: Page, title: str) -> Locator:
    """Check one provisioning step again; gives the step with what was found."""
    page.goto("/ticketProvisioning")
    step = page.locator("#steps li").filter(has=page.get_by_role("heading", name=title))
    press(page, step.get_by_role("button", name="Check again"))
    settled(page, "/ticketProvisioning", "#steps")
    return step


def client_record(page: Page, demo: Demo) -> dict[str, str]:
    """The connector's record in the Application Registry, without its secret."""
    told = page.request.get(f"{demo.servicenow}/_sandbox/client").json()
    return {name: str(value) for name, value in told.items()}


def log_in(page: Page, demo: Demo, user: str) -> None:
    """Fill in ServiceNow's login form."""
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(demo.keys["SANDBOX_SERVICENOW_PASSWORD"])
    with page.expect_navigation():
        page.get_by_label("Password").press("Enter")


def authorize(page: Page, demo: Demo) -> None:
    """From the status page through ServiceNow's consent and back, as the integration user, signed in there or not."""
    page.goto("/servicenow")
    page.get_by_role("button", name="Authorize again").click()
    allow = page.get_by_role("button", name="Allow")
    expect(allow.or_(page.get_by_role("button", name="Log in"))).to_be_visible()
    if not allow.count():
        log_in(page, demo, INTEGRATION_USER)
    allow.click()
    page.wait_for_url(re.compile("/ticketProvisioning"))
    settled(page, "/ticketProvisioning", "#steps")
