"""A sign-in is finished by the browser that began it, once and in time; no open redirect and no content injection."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote, urljoin, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from starlette.responses import RedirectResponse

from app.core.clock import SetClock
from app.core.vault import Vault
from app.features.accounts.models import WebSession
from app.features.accounts.sign_in import local_path
from tests.factories.connecting import said
from tests.factories.microsoft import MANAGER
from tests.factories.signing_in import answer_of_entra, sign_in
from tests.factories.system import PUBLIC_URL, System

FOREIGN = (
    "//evil.example", "/\\evil.example", "https://evil.example", "http:evil.example", "\\\\evil.example", "javascript:alert(1)",
    "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " //evil.example", "///evil.example", "evil.example",
    "//security-center.test@evil.example", "/x\r\nLocation: //evil.example", "/" + "a" * 3000, "", "?x", "\x00/x",
    "/sign-in/callback?code=x", "/signed-out",
)  # fmt: skip


async def sessions(system: System) -> int:
    async with system.resources.database.transaction() as session:
        return (await session.execute(select(func.count()).select_from(WebSession))).scalar_one()


@pytest.mark.fact("microsoft-graph 2.3")
async def test_another_browser_cannot_finish_what_this_one_began(system: System) -> None:
    """Login CSRF: a link must not sign a person in as another one."""
    async with system.client() as attacker, system.client() as without, system.client() as victim:
        link = await answer_of_entra(attacker, MANAGER)
        refused = await without.get(link)
        assert refused.status_code == 400
        assert "began in another browser" in said(refused)
        link = await answer_of_entra(attacker, MANAGER)
        await victim.post("/sign-in")  # Has begun as well, and holds the secret of its own attempt.
        refused = await victim.get(link)
        assert refused.status_code == 400
        assert "session" not in victim.cookies
        assert await sessions(system) == 0
        # A try in another browser does not use the attempt up for the browser that began it.
        assert (await attacker.get(link)).status_code == 303


async def test_an_attempt_works_once_and_ten_minutes(system: System, still_clock: SetClock) -> None:
    still_clock.move((datetime.now(UTC) - still_clock.now()).total_seconds())  # Tokens carry the sandbox's own time.
    async with system.client() as browser:
        link = await answer_of_entra(browser, MANAGER, "/tickets")
        assert (await browser.get(link)).status_code == 303
        browser.cookies.delete("session")
        used = await browser.get(link)
        late = await browser.get(await _answered_late(browser, still_clock))
    assert (used.status_code, late.status_code) == (400, 400)
    assert "was used already" in said(used)
    assert "took longer than 10 minutes" in said(late)
    # The page that was wanted survives both.
    assert 'action="/sign-in?return_to=%2Ftickets"' in used.text
    assert 'action="/sign-in?return_to=%2Fsecure-score"' in late.text
    assert await sessions(system) == 1


async def _answered_late(browser: httpx.AsyncClient, still_clock: SetClock) -> str:
    link = await answer_of_entra(browser, MANAGER, "/secure-score")
    still_clock.move(600)
    return link


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first tab first", "second tab first"])
async def test_two_tabs_of_one_browser_both_arrive_where_they_wanted(system: System, order: tuple[int, int]) -> None:
    async with system.client() as browser:
        wanted = ["/secure-score", "/tickets"]
        links = [await answer_of_entra(browser, MANAGER, page) for page in wanted]
        for tab in order:
            done = await browser.get(links[tab])
            assert (done.status_code, done.headers["location"]) == (303, wanted[tab])


async def test_who_is_signed_in_already_goes_on_to_the_wanted_page_and_sees_no_alarm(system: System) -> None:
    async with system.client() as browser:
        link = await answer_of_entra(browser, MANAGER, "/tickets")
        await browser.get(link)
        state = httpx.URL(link).params["state"]
        again = (link, f"/sign-in/callback?code=second-pick&state={state}", f"/sign-in/callback?error=x&state={state}")
        for address in again:  # A reload, Back and another pick, Back and Cancel.
            answer = await browser.get(address)
            assert (answer.status_code, answer.headers["location"]) == (303, "/tickets"), address
        for name in [name for name in browser.cookies if name.startswith("sign-in-attempt-")]:
            browser.cookies.delete(name)
        answer = await browser.get("/sign-in/callback")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert (await browser.get("/tickets")).status_code == 200


async def test_a_browser_keeps_few_attempts_and_forgets_the_oldest(system: System) -> None:
    async with system.client() as browser:
        links = [await answer_of_entra(browser, MANAGER, f"/tickets?page={number}") for number in range(10)]
        assert len([name for name in browser.cookies if name.startswith("sign-in-attempt-")]) == 8
        assert (await browser.get(links[0])).status_code == 400
        assert (await browser.get(links[9])).headers["location"] == "/tickets?page=9"


async def test_a_sign_in_that_was_begun_under_keys_that_are_gone_is_begun_again(system: System) -> None:
    async with system.client() as browser:
        link = await answer_of_entra(browser, MANAGER, "/tickets")
        system.app.state.resources = replace(system.resources, vault=Vault([Vault.new_key()]))
        page = await browser.get(link)
        assert page.status_code == 400
        assert "Sign in again" in said(page)


CANCELED = "error=access_denied&error_subcode=cancel&error_description=AADSTS65004%3A+User+declined"


FAILED = {
    f"{CANCELED}&state=STATE": "did not agree to what this application asks for (AADSTS65004)",
    CANCELED: "(AADSTS65004)",  # Without a state: the newest attempt of this browser.
    "error=login_required&state=STATE": "The reason: login_required.",
    "state=STATE": "no confirmation came back",
    "code=made-up&state=STATE": "(AADSTS54005)",
    "code=made-up&state=unknown": "began in another browser",
}


async def test_the_wanted_page_survives_every_failed_sign_in(system: System) -> None:
    async with system.client() as browser:
        for query, says in FAILED.items():
            link = await answer_of_entra(browser, MANAGER, "/tickets?kind=incident")
            state = httpx.URL(link).params["state"]
            page = await browser.get(f"/sign-in/callback?{query.replace('STATE', state)}")
            assert page.status_code in (400, 409), query
            assert says in said(page), query
            assert 'action="/sign-in?return_to=%2Ftickets%3Fkind%3Dincident"' in page.text, query


async def test_parameters_that_come_twice_are_read_once(system: System) -> None:
    async with system.client() as browser:
        link = httpx.URL(await answer_of_entra(browser, MANAGER, "/tickets"))
        twice = f"{link.path}?code=other&state=other&{link.query.decode()}"
        assert (await browser.get(twice)).headers["location"] == "/tickets"


async def test_what_one_browser_wanted_is_told_to_no_other(system: System) -> None:
    async with system.client() as one, system.client() as other:
        link = await answer_of_entra(one, MANAGER, "/tickets?q=secret-project")
        await other.post("/sign-in")
        page = await other.get(link)
    assert page.status_code == 400
    assert "secret-project" not in page.text


async def test_after_signing_in_the_wanted_page_opens(system: System) -> None:
    async with system.client() as browser:
        wanted = "/tickets?kind=incident&q=a%20b"
        assert (await sign_in(browser, MANAGER, wanted)).headers["location"] == wanted
        asked = await browser.get(f"/sign-in?return_to={quote(wanted)}")
        assert (asked.status_code, asked.headers["location"]) == (303, wanted)


@pytest.mark.thorough
@pytest.mark.parametrize("foreign", FOREIGN)
async def test_a_foreign_return_address_leads_to_the_home_page(system: System, foreign: str) -> None:
    async with system.client() as browser:
        page = await browser.get("/sign-in", params={"return_to": foreign})
        assert 'action="/sign-in?return_to=/"' in page.text.replace("%2F", "/")
        done = await sign_in(browser, MANAGER, foreign)
        assert (done.status_code, done.headers["location"]) == (303, "/")
        asked = await browser.get("/sign-in", params={"return_to": foreign})  # Signed in already.
        assert (asked.status_code, asked.headers["location"]) == (303, "/")


PIECES = (
    "/",
    "\\",
    "//",
    ".",
    "..",
    "@",
    ":",
    "?",
    "#",
    "%2f",
    "%5c",
    "%09",
    "\t",
    "\n",
    "\r",
    " ",
    "evil.example",
    "a",
)
LIKE_AN_ADDRESS = st.lists(st.sampled_from(PIECES)).map("".join)


@given(LIKE_AN_ADDRESS | st.text(max_size=40) | LIKE_AN_ADDRESS.map(lambda rest: f"/{rest}"))
def test_wherever_a_browser_is_sent_it_stays_here(wanted: str) -> None:
    location = RedirectResponse(local_path(wanted), 303).headers["location"]
    # Browsers drop tabs and line ends, and read a backslash as a slash (url.spec.whatwg.org, "basic URL parser").
    read = location.translate({ord(letter): None for letter in "\t\r\n"}).strip().replace("\\", "/")
    assert urlsplit(urljoin(f"{PUBLIC_URL}/sign-in/callback", read)).netloc == urlsplit(PUBLIC_URL).netloc
    assert "\n" not in location
    assert "\r" not in location


@pytest.mark.parametrize(
    "error",
    [
        "Your account is locked. Call +1 555 0100 now",
        "x" * 3000,
        "<b>bold</b>",
        "access_denied now",
        "ACCESS_DENIED",
        "Call AADSTS50011",
        "AADSTS5550100123456",
    ],
)
async def test_an_unknown_error_in_the_address_is_not_repeated(system: System, error: str) -> None:
    async with system.client() as browser:
        page = await browser.get("/sign-in/callback", params={"error": error, "error_description": error})
    assert page.status_code == 400
    assert "You are not signed in" in said(page)
    assert error not in page.text
    assert error[:80] not in said(page)
    assert "The reason" not in said(page)


async def test_a_known_error_is_named(system: System) -> None:
    async with system.client() as browser:
        assert "The reason: access_denied." in said(await browser.get("/sign-in/callback?error=access_denied"))
        assert "no confirmation came back" in said(await browser.get("/sign-in/callback"))
