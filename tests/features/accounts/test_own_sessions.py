"""A person sees and ends their own sessions, and no other person's."""

from __future__ import annotations

import re

import httpx

from app.core.clock import SetClock
from tests.factories.microsoft import MANAGER, SHARER
from tests.factories.signing_in import sign_in
from tests.factories.system import System

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.6 Mobile/15E148 Safari/604.1"
)


async def rows(browser: httpx.AsyncClient) -> list[str]:
    """The lines of the page, as text."""
    page = await browser.get("/account/sessions")
    assert page.status_code == 200
    found = re.findall(r"<tr>(.*?)</tr>", page.text, re.DOTALL)[1:]
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]


async def ends_in(browser: httpx.AsyncClient) -> list[str]:
    """Where the buttons that end other sessions lead."""
    return re.findall(r'action="(/account/sessions/[^"]+/end)"', (await browser.get("/account/sessions")).text)


async def test_the_page_names_each_open_session_this_one_first(system: System) -> None:
    async with system.client() as desk, system.client() as phone, system.client() as other:
        desk.headers["user-agent"], phone.headers["user-agent"] = WINDOWS, PHONE
        for browser, person in ((desk, MANAGER), (phone, MANAGER), (other, SHARER)):
            await sign_in(browser, person)
        this, that = await rows(desk)
        assert this.startswith("Firefox on Windows (this one)")
        assert that.startswith("Safari on iPhone")
        assert "127.0.0.1" in that
        assert (await rows(phone))[0].startswith("Safari on iPhone")
        assert len(await rows(other)) == 1


async def test_one_session_is_ended_and_the_audit_log_says_so(system: System) -> None:
    async with system.client() as desk, system.client() as lost:
        await sign_in(desk, MANAGER)
        await sign_in(lost, MANAGER)
        [address] = await ends_in(desk)
        assert (await desk.post(address)).headers["location"] == "/account/sessions"
        assert (await lost.get("/")).status_code == 303
        assert len(await rows(desk)) == 1
        assert (await desk.post(address)).status_code == 404
        log = (await desk.get("/servicenow/audit.json")).json()
    assert [line["what"] for line in log].count("Session ended") == 1


async def test_another_persons_session_cannot_be_ended(system: System) -> None:
    async with system.client() as one, system.client() as two, system.client() as other:
        await sign_in(one, MANAGER)
        await sign_in(two, MANAGER)
        await sign_in(other, SHARER)
        [address] = await ends_in(one)
        assert (await other.post(address)).status_code == 404
        assert (await two.get("/account/sessions")).status_code == 200


async def test_signing_out_everywhere_ends_all_sessions_and_only_ones_own(system: System) -> None:
    async with system.client() as one, system.client() as two, system.client() as other:
        for browser, person in ((one, MANAGER), (two, MANAGER), (other, SHARER)):
            await sign_in(browser, person)
        out = await one.post("/account/sessions/end-all")
        assert out.headers["location"] == "/signed-out"
        assert "session" not in one.cookies
        assert out.headers["clear-site-data"]
        for browser, status in ((one, 303), (two, 303), (other, 200)):
            assert (await browser.get("/tickets")).status_code == status
        await sign_in(one, MANAGER)
        log = (await one.get("/servicenow/audit.json")).json()
    assert [line["facts"] for line in log if line["what"] == "Signed out everywhere"] == [{"sessions": "2"}]


async def test_idle_sessions_are_not_shown(system: System, still_clock: SetClock) -> None:
    await system.signed_in("manager")
    still_clock.move(3600)
    now = await system.signed_in("manager")
    assert len(await rows(now)) == 1
