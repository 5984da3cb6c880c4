"""Every form that leads to Microsoft or ServiceNow arrives, also where the other side sends the browser straight on elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.browser.people import INTEGRATION_USER, Visit
from tests.factories.servers import serve


async def _sign_on(_: Request) -> Response:
    return HTMLResponse("<title>Provider</title><h1>Single sign-on of the company</h1>")


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A single sign-on provider: a third origin, which only the other side knows."""
    with serve(Starlette(routes=[Route("/sso", _sign_on)])) as url:
        yield f"{url}/sso"


@contextmanager
def sent_straight_on(page: Page, path: str, provider: str) -> Iterator[None]:
    """Within the block the other side answers at this path with a redirect to the provider, as with a default provider set."""
    there = re.compile(rf"{re.escape(path)}\?")
    page.route(there, lambda route: route.fulfill(status=302, headers={"location": provider}))
    yield
    page.wait_for_url(provider)
    expect(page.get_by_role("heading")).to_have_text("Single sign-on of the company")
    page.unroute(there)


@pytest.mark.thorough
@pytest.mark.parametrize("script", [pytest.param(True, id="with script"), pytest.param(False, id="without")])
def test_signing_in_connecting_and_signing_out_leave_for_a_provider_of_the_other_side(
    connected: Visit, provider: str, *, script: bool
) -> None:
    page = connected.open(java_script_enabled=script)
    page.goto(f"{connected.demo.url.replace('127.0.0.1', 'localhost')}/servicenow/connect")  # Another name of ours.
    page.wait_for_url(f"{connected.demo.url}/sign-in?return_to=%2Fservicenow%2Fconnect")
    with sent_straight_on(page, "/oauth2/v2.0/authorize", provider):
        page.get_by_role("button", name="Sign in with Microsoft").click()
    page.go_back()  # Not to the page in between, which would lead away again at once.
    page.get_by_role("button", name="Sign in with Microsoft").click()
    page.get_by_role("button", name=re.compile("^Security Administrator")).click()
    page.wait_for_url(re.compile("/servicenow/connect$"))

    page.get_by_label("Client secret").fill(connected.demo.keys["SANDBOX_SERVICENOW_CLIENT_SECRET"])
    with sent_straight_on(page, "/oauth_auth.do", provider):
        page.get_by_role("button", name="Authorize").click()
    page.go_back()
    expect(page.get_by_label("Client ID")).to_have_value(connected.demo.keys["SANDBOX_SERVICENOW_CLIENT_ID"])

    page.goto("/servicenow")
    with sent_straight_on(page, "/oauth_auth.do", provider):
        page.get_by_role("button", name="Authorize again").click()
    page.goto("/servicenow")
    expect(page.get_by_role("main")).to_contain_text(INTEGRATION_USER)

    page.locator("summary[aria-label^='Account of']").click()
    with sent_straight_on(page, "/oauth2/v2.0/logout", provider):
        page.get_by_role("button", name="Sign out").click()
    page.goto("/servicenow")
    expect(page.get_by_role("button", name="Sign in with Microsoft")).to_be_visible()
