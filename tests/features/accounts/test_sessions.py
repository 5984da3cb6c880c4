"""A session belongs to one browser and one person, has an end, and allows what Entra ID last said of that person."""

from __future__ import annotations

from dataclasses import replace
from http.cookies import Morsel, SimpleCookie

import httpx
import pytest
from sqlalchemy import select

from app.core.clock import SetClock
from app.core.random_tokens import hash_token, new_token
from app.features.accounts.models import WebSession
from app.main import create_app
from tests.factories.microsoft import MANAGER, SHARER
from tests.factories.signing_in import answer_of_entra, sign_in
from tests.factories.system import PUBLIC_URL, System


def cookies_set(answer: httpx.Response) -> dict[str, Morsel[str]]:
    """The cookies that an answer sets, with their attributes as a browser reads them."""
    found = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        found.load(line)
    return dict(found)


async def test_a_role_that_was_taken_away_is_gone_from_all_sessions_with_the_next_sign_in(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    other = await system.signed_in("sharer")
    async with system.client() as old, system.client() as new:
        assert (await sign_in(old, MANAGER)).status_code == 303
        assert (await old.get("/servicenow/audit")).status_code == 200
        monkeypatch.setattr("sandbox.entra_sign_in.PEOPLE", (replace(MANAGER, wids=()), SHARER))
        assert (await sign_in(new, MANAGER)).status_code == 303
        for browser in (old, new):
            assert (await browser.post("/servicenow/remove")).status_code == 403
    assert (await other.get("/tickets/new")).status_code == 200  # Another person's session is as it was.


async def test_a_role_that_was_granted_counts_in_all_sessions_with_the_next_sign_in(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with system.client() as old, system.client() as new:
        await sign_in(old, SHARER)
        assert (await old.get("/servicenow/audit")).status_code == 403
        monkeypatch.setattr("sandbox.entra_sign_in.PEOPLE", (replace(SHARER, wids=MANAGER.wids),))
        await sign_in(new, SHARER)
        assert (await old.get("/servicenow/audit")).status_code == 200


async def test_cookies_are_for_our_pages_alone_and_no_script_reads_them(system: System) -> None:
    async with system.client() as browser:
        begun = await browser.post("/sign-in")
        [attempt] = cookies_set(begun).values()
        assert attempt.key.startswith("sign-in-attempt-")
        assert (attempt["path"], attempt["max-age"], attempt["domain"]) == ("/", "4200", "")
        done = await sign_in(browser, MANAGER)
        session = cookies_set(done)["session"]
        assert (session["path"], session["domain"]) == ("/", "")
        assert session["expires"]
        for cookie in (attempt, session):
            assert cookie["httponly"] is True
            assert cookie["samesite"].lower() == "lax"
            assert not cookie["secure"]  # Plain http, where only demos run: a browser would drop it.
        out = await browser.post("/sign-out")
        for name in ("session", attempt.key):
            assert cookies_set(out)[name]["max-age"] == "0"
        assert session.value not in done.text + str(done.headers["location"])


async def test_over_https_the_session_cookie_is_bound_to_this_host(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    https = PUBLIC_URL.replace("http://", "https://")
    monkeypatch.setattr("app.features.accounts.sign_in.redirect_uri", lambda _: f"{PUBLIC_URL}/sign-in/callback")
    system.resources = replace(system.resources, config=replace(system.resources.config, public_url=https))
    system.app = create_app(system.resources)
    wire = httpx.ASGITransport(app=system.app)
    async with httpx.AsyncClient(base_url=https, mounts={https: wire}) as browser:
        begun = await browser.post("/sign-in")
        back = await answer_of_entra(browser, MANAGER)
        done = await browser.get(back.replace(PUBLIC_URL, https))
        assert done.status_code == 303
        name = "__Host-session"
        cookie = cookies_set(done)[name]
        # What browsers demand of a name that begins so: secure, for the whole host, and no domain (RFC 6265bis 4.1.3.2).
        assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
        assert (cookie["httponly"], cookie["samesite"].lower()) == (True, "lax")
        [attempt] = cookies_set(begun).values()
        assert (attempt["secure"], attempt["path"]) == (True, "/")
        assert attempt.key.startswith("__Host-sign-in-attempt-")
        assert (await browser.get("/servicenow/audit")).status_code == 200
        token = browser.cookies[name]
        browser.cookies.clear()
        browser.cookies.set("session", token, domain="security-center.test")
        assert (await browser.get("/servicenow/audit")).status_code == 303  # The unbound name counts for nothing here.
        browser.cookies.set(name, token, domain="security-center.test")
        browser.cookies.set(attempt.key, attempt.value, domain="security-center.test")
        gone = cookies_set(await browser.post("/sign-out"))
        # A deletion without Secure is ignored for a name that begins so, and the old value stays in the browser.
        assert {name, attempt.key} <= gone.keys()
        for deleted in gone.values():
            assert (deleted["max-age"], deleted["secure"], deleted["path"]) == ("0", True, "/"), deleted.key
            assert (deleted["httponly"], deleted["samesite"].lower(), deleted["domain"]) == (True, "lax", "")


async def test_a_session_ends_when_its_time_is_over(system: System, still_clock: SetClock) -> None:
    browser = await system.signed_in("manager")  # Twelve hours.
    for seconds in (1800,) * 23 + (1799,):
        still_clock.move(seconds)
        assert (await browser.get("/servicenow/audit")).status_code == 200
    still_clock.move(1)
    gone = await browser.get("/servicenow/audit")
    assert (gone.status_code, gone.headers["location"]) == (303, "/sign-in?return_to=%2Fservicenow%2Faudit")
    assert (await browser.post("/servicenow/remove")).headers["location"].startswith("/sign-in")


async def test_signing_in_makes_a_new_session_with_every_cookie_of_the_browser(system: System) -> None:
    """Session fixation: a token that another person knows, put into this browser, never becomes this person's."""
    async with system.client() as browser, system.client() as thief:
        known = new_token()
        for each in (browser, thief):
            each.cookies.set("session", known, domain="security-center.test")
        done = await sign_in(browser, MANAGER)
        token = cookies_set(done)["session"].value
        assert token != known
        assert len(token) >= 43  # 256 bits.
        assert (await thief.get("/servicenow/audit")).status_code == 303
    async with await system.signed_in("sharer") as before:
        old = before.cookies["session"]
        again = cookies_set(await sign_in(before, MANAGER))["session"].value
        assert again not in (old, token)  # Not the other person's session with more rights.
    async with system.resources.database.transaction() as session:
        stored = set((await session.execute(select(WebSession.token_hash))).scalars())
    assert hash_token(token) in stored
    assert hash_token(known) not in stored
    assert token not in stored  # Only hashes are kept.


async def test_signing_in_again_ends_the_session_before(system: System) -> None:
    """A copy of the earlier cookie would otherwise outlive every sign-out."""
    async with system.client() as browser, system.client() as copy:
        await sign_in(browser, MANAGER)
        copy.cookies.set("session", browser.cookies["session"], domain="security-center.test")
        assert (await copy.get("/servicenow/audit")).status_code == 200
        await sign_in(browser, MANAGER)
        gone = await copy.get("/servicenow/audit")
        assert (gone.status_code, gone.headers["location"][:9]) == (303, "/sign-in?")
        assert (await browser.get("/servicenow/audit")).status_code == 200


async def test_a_session_ends_when_it_is_not_used_for_an_hour(system: System, still_clock: SetClock) -> None:
    browser = await system.signed_in("manager")
    for _ in range(3):
        still_clock.move(3599)
        assert (await browser.get("/servicenow/audit")).status_code == 200
    still_clock.move(3600)
    assert (await browser.get("/servicenow/audit")).status_code == 303


async def test_a_page_that_refreshes_itself_is_no_use(system: System, still_clock: SetClock) -> None:
    await system.connect()
    browser = await system.signed_in("manager")
    statuses = []
    for _ in range(13):
        still_clock.move(300)
        statuses.append((await browser.get("/cards/incident", headers={"HX-Request": "true"})).status_code)
    assert statuses == [200] * 11 + [401] * 2


async def test_use_is_written_once_a_minute(system: System, still_clock: SetClock) -> None:
    browser = await system.signed_in("viewer")
    seen = []
    for seconds in (0, 59, 1, 30):
        still_clock.move(seconds)
        await browser.get("/secure-score")
        async with system.resources.database.transaction() as session:
            seen.append((await session.execute(select(WebSession.last_used_at))).scalar_one())
    assert [(at - seen[0]).total_seconds() for at in seen] == [0, 0, 60, 60]


async def test_signing_out_tells_the_browser_to_forget_pages(system: System) -> None:
    browser = await system.signed_in("manager")
    out = await browser.post("/sign-out")
    # Never "cookies": it would reach other sites of the organization.
    assert out.headers["clear-site-data"] == '"cache", "storage"'


async def test_a_session_that_was_signed_out_is_over_for_a_copy_of_its_cookie(system: System) -> None:
    browser = await system.signed_in("manager")
    copy = system.client()
    copy.cookies.set("session", browser.cookies["session"], domain="security-center.test")
    assert (await copy.get("/servicenow/audit")).status_code == 200
    await browser.post("/sign-out")
    assert (await copy.get("/servicenow/audit")).status_code == 303
