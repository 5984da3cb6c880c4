"""A sign-in is finished by the browser that began it, once and in time; no open redirect and no content injection."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from starlette.responses import RedirectResponse

from app.core.clock import SetClock
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
        # The refused try has used the attempt up, for its own browser as well.
        assert (await attacker.get(link)).status_code == 400
    assert await sessions(system) == 0


async def test_an_attempt_works_once_and_ten_minutes(system: System, still_clock: SetClock) -> None:
    still_clock.move((datetime.now(UTC) - still_clock.now()).total_seconds())  # Tokens carry the sandbox's own time.
    async with system.client() as browser:
        link = await answer_of_entra(browser, MANAGER)
        secret = browser.cookies["sign-in-attempt"]
        assert (await browser.get(link)).status_code == 303
        browser.cookies.set("sign-in-attempt", secret, domain="security-center.test", path="/sign-in")
        assert (await browser.get(link)).status_code == 400
        late = await answer_of_entra(browser, MANAGER)
        still_clock.move(600)
        assert (await browser.get(late)).status_code == 400
    assert await sessions(system) == 1


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
    ["Your account is locked. Call +1 555 0100 now", "x" * 5000, "<b>bold</b>", "access_denied now", "ACCESS_DENIED"],
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
