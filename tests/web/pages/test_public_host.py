"""From another address to the same page at PUBLIC_URL, and what a form says that was sent from the other one."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.connecting import said
from tests.factories.leaving import leads_to
from tests.factories.system import PUBLIC_URL, System

HTML = {"Accept": "text/html"}
ELSEWHERE = "http://localhost:8000"


async def test_a_bookmark_of_another_address_ends_at_its_page_of_the_public_one(system: System) -> None:
    browser = await system.signed_in("manager", follow_redirects=True)
    led = await browser.get("/tickets?kind=incident", headers=HTML | {"Host": "localhost:8000"})
    # httpx keeps the Host it was given when it follows, as a proxy that changes it would: it must not go round.
    assert (led.status_code, str(led.url)) == (200, f"{PUBLIC_URL}/tickets?kind=incident")
    assert len(led.history) == 2
    assert "content-security-policy" in led.history[0].headers


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example/", "/\\evil.example"])
async def test_the_way_from_another_address_leads_to_no_other_site(system: System, to: str) -> None:
    async with system.client() as browser:
        assert (await browser.get("/from-another-address", params={"to": to})).headers["location"] == "/"
        kept = await browser.get("/from-another-address", params={"to": "/sign-in?return_to=%2Ftickets"})
    assert kept.headers["location"] == "/sign-in?return_to=%2Ftickets"
    assert "set-cookie" not in kept.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ELSEWHERE, "Host": "localhost:8000", "Sec-Fetch-Site": "same-origin"},
        {"Origin": ELSEWHERE, "Host": "localhost:8000"},  # An older browser.
        {"Origin": ELSEWHERE, "Sec-Fetch-Site": "same-origin"},
        {"Origin": PUBLIC_URL.replace("http:", "https:"), "Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
async def test_a_form_sent_from_another_address_is_told_the_right_one(system: System, headers: dict[str, str]) -> None:
    async with system.client() as browser:
        answer = await browser.post("/sign-in", headers=headers)
    assert answer.status_code == 400
    assert f"Open {PUBLIC_URL} and do it there" in said(answer)
    assert "another site" not in said(answer)


async def test_a_form_works_behind_a_proxy_that_changes_the_host(system: System) -> None:
    headers = {"Origin": PUBLIC_URL, "Host": "app:8000", "Sec-Fetch-Site": "same-origin"}
    async with system.client() as browser:
        assert httpx.URL(leads_to(await browser.post("/sign-in", headers=headers))).path.endswith("/authorize")
