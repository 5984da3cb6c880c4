"""An authorization is finished once, in its time, by the person and browser that began it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.core.clock import SetClock
from app.core.vault import Vault
from tests.factories.connecting import (
    begin,
    changed,
    connections,
    decide,
    requests,
    said,
    second_manager,
    with_known_key,
)
from tests.factories.leaving import leads_to
from tests.factories.microsoft import SandboxMicrosoft
from tests.factories.servicenow import SandboxServiceNow
from tests.factories.system import System, open_system

pytestmark = pytest.mark.thorough


async def test_a_state_works_once(system: System) -> None:
    manager = await system.signed_in("manager")
    start = await begin(system, manager)
    back = decide(system, leads_to(start))
    assert (await manager.get(back)).status_code == 303
    manager.cookies.update(start.cookies)
    again = await manager.get(back)
    assert again.status_code == 400
    assert "was already used" in said(again)
    assert len(requests(system, "/oauth_token.do")) == 1
    [connection] = await connections(system)
    assert connection.status == "connected"


async def test_a_double_callback_at_the_same_moment_connects_once(system: System) -> None:
    manager = await system.signed_in("manager")
    start = await begin(system, manager)
    back = decide(system, leads_to(start))
    answers = await asyncio.gather(*(manager.get(back) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [303, 400, 400, 400]
    assert len(requests(system, "/oauth_token.do")) == 1


async def test_a_wrong_state_is_refused(system: System) -> None:
    manager = await system.signed_in("manager")
    start = await begin(system, manager)
    back = decide(system, leads_to(start))
    for state in ("x" * 48, ""):
        answer = await manager.get(changed(back, state=state))
        assert answer.status_code == 400
        assert "belongs to no authorization" in said(answer)
    assert (await manager.get(back)).status_code == 303  # The right one still works.


async def test_an_expired_state_is_refused(system: System, still_clock: SetClock) -> None:
    manager = await system.signed_in("manager")
    start = await begin(system, manager)
    back = decide(system, leads_to(start))
    still_clock.move(15 * 60 + 1)
    answer = await manager.get(back)
    assert answer.status_code == 400
    assert "has expired" in said(answer)
    assert await connections(system) == []


async def test_another_browser_cannot_finish_and_spoils_nothing(system: System) -> None:
    manager, elsewhere = await system.signed_in("manager"), await system.signed_in("manager")
    start = await begin(system, manager)
    back = decide(system, leads_to(start))
    answer = await elsewhere.get(back)
    assert answer.status_code == 400
    assert "begun in another browser" in said(answer)
    assert await connections(system) == []
    assert (await manager.get(back)).status_code == 303


async def test_another_persons_state_is_refused_and_not_spoiled(system: System) -> None:
    manager, second = await system.signed_in("manager"), await second_manager(system)
    start = await begin(system, manager)
    back = decide(system, leads_to(start))
    second.cookies.update(start.cookies)
    answer = await second.get(back)
    assert answer.status_code == 400
    assert "belongs to no authorization" in said(answer)
    assert (await manager.get(back)).status_code == 303


async def test_error_without_a_state_of_ours_shows_no_foreign_words(system: System) -> None:
    manager = await system.signed_in("manager")
    answer = await manager.get("/servicenow/callback?error=call+0900-EVIL&state=nothing")
    assert answer.status_code == 400
    assert "EVIL" not in answer.text


async def test_signed_out_meanwhile_the_answer_is_kept_until_sign_in(system: System) -> None:
    manager = await system.signed_in("manager")
    start = await begin(system, manager)
    back = decide(system, leads_to(start))
    session = manager.cookies["session"]
    manager.cookies.delete("session")
    away = await manager.get(back)
    assert away.status_code == 303
    assert away.headers["location"].startswith("/sign-in?return_to=%2Fservicenow%2Fcallback%3Fcode%3D")
    manager.cookies.set("session", session, domain="security-center.test")
    assert (await manager.get(back)).status_code == 303


async def test_two_tabs_or_a_double_click_can_both_finish(system: System) -> None:
    manager = await system.signed_in("manager")
    first, second = await begin(system, manager), await begin(system, manager)
    for start in (second, first):
        assert (await manager.get(decide(system, leads_to(start)))).status_code == 303
    [connection] = await connections(system)
    assert connection.token_version == 2


@pytest.mark.fact("other-connectors bug-12")
async def test_a_state_works_once_in_its_time_and_for_its_own_person(system: System, still_clock: SetClock) -> None:
    manager, other = await system.signed_in("manager"), await second_manager(system)
    start = await begin(system, manager)
    back = decide(system, leads_to(start))
    foreign = await other.get(back)
    used = [await manager.get(back)]
    used.append(await manager.get(back))
    late = await begin(system, manager)
    late_back = decide(system, leads_to(late))
    still_clock.move(1801)
    await manager.get("/servicenow")
    still_clock.move(1800)
    expired = await manager.get(late_back)
    made_up = await manager.get(changed(late_back, state="0" * 48))
    assert [foreign.status_code, *(answer.status_code for answer in used)] == [400, 303, 400]
    assert [expired.status_code, made_up.status_code] == [400, 400]
    assert len(requests(system, "/oauth_token.do")) == 1


@pytest.mark.fact("other-connectors bug-12")
async def test_a_callback_after_a_restart_finds_its_authorization(
    system: System, database_url: str, sandbox: tuple[SandboxMicrosoft, SandboxServiceNow]
) -> None:
    key, manager = with_known_key(system), await system.signed_in("manager")
    start = await begin(system, manager)
    back = decide(system, leads_to(start))
    async with open_system(database_url, *sandbox) as restarted:
        restarted.resources = replace(restarted.resources, vault=Vault([key]))
        restarted.app.state.resources = restarted.resources
        async with restarted.client() as browser:
            browser.cookies.update(manager.cookies)
            assert (await browser.get(back)).status_code == 303
            browser.cookies.update(start.cookies)
            assert (await browser.get(back)).status_code == 400  # And once, whichever process it was.
    [connection] = await connections(system)
    assert connection.status == "connected"
