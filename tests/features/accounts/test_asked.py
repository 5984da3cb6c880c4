"""The one question of a request: one statement, asked each time, and each browser gets the answer of its own session."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update

from app.core import clock
from app.core.clock import SetClock
from app.core.database_connection import ConnectionOptions
from app.core.random_tokens import hash_token, new_token
from app.features.accounts.asked import QUESTION, Asked, ask
from app.features.accounts.home_layout import forget_cards, keep_cards
from app.features.accounts.models import Person, WebSession
from app.features.accounts.permissions import Role
from app.features.accounts.sessions import USE_NOTED_SECONDS, end_sessions
from app.microsoft_defaults import SECURITY_READER
from tests.factories.calling import another_process
from tests.factories.outages import assert_unavailable, idle_holder, kill_backends, marked_as, missing, with_database_at
from tests.factories.statements import counted
from tests.factories.system import ROLES, System


async def token_of(system: System, role: str) -> str:
    """A new session of this role."""
    return str((await system.signed_in(role)).cookies["session"])


async def asked_by(system: System, token: str) -> Asked:
    """The answer, which has to be there."""
    found = await ask(system.resources, token)
    assert found is not None
    return found


async def test_the_answer_tells_who_it_is_and_what_that_person_sees(system: System) -> None:
    token = await token_of(system, "sharer")
    found = await ask(system.resources, token, address="192.0.2.1")
    assert found is not None
    viewer, account = found.viewer, ROLES["sharer"]
    assert (viewer.oid, viewer.display_name, viewer.email) == (account.oid, account.name, account.email)
    assert (viewer.role, viewer.address, viewer.tid) == (Role.SHARER, "192.0.2.1", system.resources.config.tenant_id)
    assert (found.cards, found.has_worker) == (None, False)
    for cards in (["score", "incident"], []):
        async with system.resources.database.transaction() as session:
            await keep_cards(session, viewer.person_id, cards)
        assert (await asked_by(system, token)).cards == tuple(cards)
    async with system.resources.database.transaction() as session:
        await forget_cards(session, viewer.person_id)
    assert (await asked_by(system, token)).cards is None


@pytest.mark.parametrize(("silent", "runs"), [(0, True), (59, True), (61, False)])
async def test_a_worker_runs_while_its_heartbeat_is_new(system: System, silent: int, runs: bool) -> None:
    async with system.resources.database.transaction() as session:
        beat = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - make_interval(secs => :silent))"
        await session.execute(text(beat), {"silent": silent})
    assert (await asked_by(system, await token_of(system, "viewer"))).has_worker is runs


async def test_a_version_rises_with_the_commit_of_a_change(system: System) -> None:
    token = await token_of(system, "viewer")
    before = (await asked_by(system, token)).versions.get("connection", 0)
    await system.connect()
    after = await asked_by(system, token)
    assert after.versions["connection"] > before
    assert (await asked_by(system, token)).versions == after.versions


@pytest.mark.parametrize("token", [None, "", "x", "'\"%s\x00", "\U0001f600" * 20, "y" * 100_000])
async def test_a_token_that_is_none_finds_nothing(system: System, token: str | None) -> None:
    await system.signed_in("manager")
    assert await ask(system.resources, token) is None


@pytest.mark.parametrize("token", ["x", "y" * 8_000, "z" * 44, "%00" * 14 + "a"])
async def test_a_cookie_that_can_be_no_token_asks_nothing(system: System, token: str) -> None:
    with counted(system.resources.database) as sent:
        async with system.client() as browser:
            answer = await browser.get("/tickets", headers={"cookie": f"session={token}"})
    assert (answer.status_code, sent) == (303, [])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/tickets"), ("GET", "/"), ("POST", "/home-cards/reset"), ("GET", "/no-page")]
)  # fmt: skip
async def test_each_request_asks_exactly_once(system: System, method: str, path: str) -> None:
    async with await system.signed_in("manager") as browser:
        with counted(system.resources.database) as sent:
            answer = await browser.request(method, path)
    assert answer.status_code in (200, 303, 404)
    assert sent.count(QUESTION.statement) == 1
    assert not [statement for statement in sent if "web_session" in statement and statement != QUESTION.statement]


async def test_requests_at_the_same_time_share_the_question(system: System) -> None:
    tokens = [await token_of(system, role) for role in ("manager", "sharer", "viewer")] * 20
    with counted(system.resources.database) as sent:
        found = await asyncio.gather(*(ask(system.resources, token) for token in tokens))
    assert [one.viewer.oid for one in found if one] == [
        ROLES[role].oid for role in ("manager", "sharer", "viewer")
    ] * 20
    assert sent == [QUESTION.statement]


async def test_a_session_that_another_process_ended_is_refused_with_the_next_request(system: System) -> None:
    async with await system.signed_in("manager") as browser, another_process(system) as other:
        token = browser.cookies["session"]
        for _ in range(2):
            assert (await browser.get("/servicenow/audit")).status_code == 200
            assert await ask(other, token) is not None
        async with other.database.transaction() as session:
            await end_sessions(session, WebSession.token_hash == hash_token(token))
        assert (await browser.get("/servicenow/audit")).status_code == 303
        assert await ask(other, token) is None


async def test_a_role_that_changed_in_another_process_counts_with_the_next_request(system: System) -> None:
    async with await system.signed_in("manager") as browser, another_process(system) as other:
        for roles, status in (([SECURITY_READER], 403), (list(ROLES["manager"].wids), 200), ([], 403)):
            async with other.database.transaction() as session:
                await session.execute(update(WebSession).values(roles=roles))
            assert (await browser.get("/servicenow/audit")).status_code == status


async def test_a_changed_setting_of_roles_counts_in_open_sessions(system: System) -> None:
    token = await token_of(system, "viewer")
    config = replace(system.resources.config, role_ids={Role.MANAGER: frozenset(ROLES["viewer"].wids)})
    found = await ask(replace(system.resources, config=config), token)
    assert found is not None
    assert found.viewer.role is Role.MANAGER


async def test_both_ends_of_a_session_are_kept_to_the_second(system: System, still_clock: SetClock) -> None:
    token = await token_of(system, "manager")
    idle = system.resources.config.session_idle_minutes * 60
    still_clock.move(idle - 1)
    assert await ask(system.resources, token, used=False) is not None
    still_clock.move(1)
    assert await ask(system.resources, token, used=False) is None
    other = await token_of(system, "manager")
    async with system.resources.database.transaction() as session:
        await session.execute(update(WebSession).values(expires_at=clock.now()))
    assert await ask(system.resources, other) is None


async def test_use_is_written_by_one_of_many_and_seldom(system: System, still_clock: SetClock) -> None:
    token = await token_of(system, "viewer")
    still_clock.move(USE_NOTED_SECONDS)
    with counted(system.resources.database) as sent:
        await ask(system.resources, token, used=False)
        assert not [statement for statement in sent if statement.startswith("UPDATE")]
        await ask(system.resources, token)
        await asyncio.gather(*(ask(system.resources, token) for _ in range(10)))
    assert len([statement for statement in sent if statement.startswith("UPDATE web_session")]) == 1


async def test_a_restarted_or_migrating_database_is_told_from_a_mistake_of_ours(
    system: System, database_url: str
) -> None:
    async with await system.signed_in("viewer") as browser:
        assert (await browser.get("/account/sessions")).status_code == 200
        assert kill_backends(database_url) > 0
        assert (await browser.get("/account/sessions")).status_code == 200
        for table in ("page_version", "web_session"):
            with marked_as(database_url, "9999"), missing(database_url, table):
                assert_unavailable(await browser.get("/account/sessions"))
            with missing(database_url, table):
                assert (await browser.get("/account/sessions")).status_code == 500
        assert (await browser.get("/account/sessions")).status_code == 200


async def test_a_held_table_of_sessions_makes_the_page_busy(system: System, database_url: str) -> None:
    quick = ConnectionOptions("security-center web", statement_seconds=0.5)
    async with await system.signed_in("viewer") as browser, with_database_at(system, database_url, quick):
        with idle_holder(database_url, "web_session"):
            answer = await browser.get("/tickets")
        assert_unavailable(answer)
        assert "Too busy" in answer.text
        assert (await browser.get("/tickets")).status_code == 200


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.booleans()), max_size=60))
async def test_no_one_is_ever_taken_for_another(system: System, requests: list[tuple[int, int, bool]]) -> None:
    """Any mixture of sessions, of ended ones and made-up tokens, of moments, and of browsers that hang up."""
    people = await sessions_of_many(system)

    async def one(number: int, turns: int) -> Asked | None:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await ask(system.resources, people[number][0])

    tasks = [asyncio.create_task(one(number, turns)) for number, turns, _ in requests]
    await asyncio.sleep(0)
    for task, (_, _, hangs_up) in zip(tasks, requests, strict=True):
        if hangs_up:
            task.cancel()
    for (number, _, _), found in zip(requests, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
        if not isinstance(found, asyncio.CancelledError):
            assert not isinstance(found, BaseException)
            assert (found and found.viewer.oid) == people[number][1]


async def sessions_of_many(system: System) -> list[tuple[str, str | None]]:
    """Ten tokens with whose they are; three of them belong to no one: one ended, one idle for too long, one made up."""
    now = clock.now()
    made: list[tuple[str, str | None]] = []
    async with system.resources.database.transaction() as session:
        for number in range(9):
            token, oid = new_token(), f"oid-{new_token()}"
            person = Person(tid="t", oid=oid, display_name=f"Person {number}", email="", last_signed_in_at=now)
            session.add(person)
            await session.flush()
            hours = system.resources.config.session_idle_minutes / 60
            session.add(
                WebSession(
                    token_hash=hash_token(token), person_id=person.id, roles=[], created_at=now,
                    expires_at=now if number == 7 else now + timedelta(hours=12),
                    last_used_at=now - timedelta(hours=hours if number == 8 else 0),
                )
            )  # fmt: skip
            made.append((token, None if number >= 7 else oid))
    return [*made, (new_token(), None)]
