"""A person whose session ended meanwhile is told what did not arrive, and comes back to the page they left."""

from __future__ import annotations

import pytest

from app.core.random_tokens import new_token
from app.features.accounts.asked import QUESTION
from tests.factories.statements import counted
from tests.factories.system import System

FORM = "/tickets/new?kind=incident"
SIGN_IN = "/sign-in?return_to=%2Ftickets%2Fnew%3Fkind%3Dincident"


async def test_a_form_that_did_not_arrive_is_said_and_found_again(system: System) -> None:
    async with system.client() as browser:
        referer = f"{browser.base_url}".rstrip("/") + FORM
        away = await browser.post(FORM, data={}, headers={"referer": referer})
        assert (away.status_code, away.headers["location"]) == (303, f"{SIGN_IN}&unsent=1")
        page = await browser.get(away.headers["location"])
    assert "You were signed out meanwhile" in page.text
    assert "return_to=%2Ftickets%2Fnew%3Fkind%3Dincident" in page.text


async def test_a_part_that_asks_for_itself_leads_back_to_its_page(system: System) -> None:
    async with system.client() as browser:
        referer = f"{browser.base_url}".rstrip("/") + FORM
        answer = await browser.get("/cards/incident", headers={"hx-request": "true", "referer": referer})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, SIGN_IN)


@pytest.mark.parametrize("referer", [None, "https://elsewhere.example//evil", "https://elsewhere.example", "//evil"])
async def test_a_foreign_or_missing_page_leads_to_none_but_ours(system: System, referer: str | None) -> None:
    async with system.client() as browser:
        headers = {"hx-request": "true"} | ({"referer": referer} if referer else {})
        away = await browser.get("/cards/incident", headers=headers)
        page = await browser.get(away.headers["hx-redirect"])
    assert 'action="/sign-in?return_to=%2F"' in page.text


async def test_a_plain_page_asks_for_nothing_but_the_sign_in(system: System) -> None:
    async with system.client() as browser:
        away = await browser.get(FORM)
        assert away.headers["location"] == SIGN_IN
        assert "You were signed out meanwhile" not in (await browser.get(SIGN_IN)).text


@pytest.mark.parametrize("referer", ["http://[", "https://[::1", "\\\\", "http://security-center.test/" + "x" * 5000])
async def test_a_referer_that_is_no_address_leads_to_the_home_page(system: System, referer: str) -> None:
    async with system.client() as browser:
        form = await browser.post("/tickets/new", headers={"referer": referer})
        part = await browser.get("/", headers={"hx-request": "true", "referer": referer})
    assert (form.status_code, form.headers["location"]) == (303, "/sign-in?return_to=%2F&unsent=1")
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/sign-in?return_to=%2F")


async def test_a_host_that_is_no_name_changes_nothing(system: System) -> None:
    async with system.client() as browser:
        away = await browser.get(FORM, headers={"host": "[", "x-forwarded-host": ",".join(["[x"] * 900)})
    assert away.headers["location"] == SIGN_IN


async def test_a_page_with_a_very_long_address_is_not_come_back_to(system: System) -> None:
    async with system.client() as browser:
        away = await browser.get("/tickets?q=" + "x" * 6000)
    assert away.headers["location"] == "/sign-in?return_to=%2F"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_it_is_is_asked_once_also_when_the_session_has_ended(system: System, method: str) -> None:
    async with system.client() as browser:
        browser.cookies.set("session", new_token(), domain="security-center.test")
        with counted(system.resources.database) as seen:
            answer = await browser.request(method, "/tickets/retry-held" if method == "POST" else "/tickets")
    assert answer.status_code == 303
    assert seen.count(QUESTION.statement) == 1
    assert not [statement for statement in seen if "JOIN web_session" in statement]
