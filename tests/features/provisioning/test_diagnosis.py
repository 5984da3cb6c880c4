"""The diagnosis: its findings by name, in their order, and as the page shows them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app.core.clock import SetClock
from app.features.connection.tokens import TOKEN_REFUSED, mark_attention
from app.features.provisioning.check_catalog import Stage
from app.features.provisioning.diagnosis import diagnosis_checks, run_diagnosis
from app.features.provisioning.models import DiagnosisRun
from tests.factories.connecting import a_worker, connect_by_pages, remove, requests, said, trouble
from tests.factories.provisioning import attempt, check_context, diagnose
from tests.factories.system import System


async def test_a_healthy_connection_has_no_problem(system: System) -> None:
    await system.connect()
    await a_worker(system)
    found = await diagnose(system)
    problems = {key for key, finding in found.items() if finding.is_problem}
    assert problems == set()
    assert {"reachable", "consent_page", "token", "consent", "release", "client", "user", "table_change",
            "table_incident", "choices", "query_acl", "correlation", "clock", "queue"} <= set(found)  # fmt: skip


@pytest.mark.thorough
@pytest.mark.fact("servicenow 9", "servicenow 1.9")
@pytest.mark.parametrize(
    ("switches", "key", "words"),
    [
        ({"ip_blocked": True}, "ip_filter", "IP Address Access Control"),
        ({"api_asleep": True}, "asleep", "Wake it up"),
        ({"api_sso": "page"}, "sso_before_api", "exempt"),
        ({"api_sso": "redirect"}, "sso_before_api", "exempt"),
        ({"sso": True}, "sso", "/side_door.do"),
        ({"redirect_mismatch": True}, "redirect_mismatch", "http://security-center.test/servicenow/callback"),
        ({"client_inactive": True}, "client_unknown", "Active is ticked"),
        ({"acl_refuses": "incident.read"}, "role_missing.incident.read", "sees none of them"),
        ({"acl_refuses": "change_request.write"}, "role_missing.change_request.write", "sn_change_write"),
        ({"rate_limit_per_hour": 1}, "rate_limit", "sys_rate_limit_rules"),
        ({"range_refused": True}, "query_acl", "range operators"),
        ({"clock_off_seconds": -900}, "clock", "time service"),
        ({"cross_scope_refusal": True}, "client_cross_scope", "All application scopes"),
    ],
)
async def test_each_fault_is_found_by_name_in_the_diagnosis(
    system: System, switches: dict[str, Any], key: str, words: str
) -> None:
    await system.connect()
    system.servicenow.instance.switches.change(switches)
    found = await diagnose(system)
    assert key in found, list(found)
    finding = found[key]
    assert words in f"{finding.advice} {finding.screen} {finding.message}"


async def test_after_a_removal_it_is_a_problem_that_nothing_is_connected(system: System) -> None:
    manager = await system.signed_in("manager")
    await connect_by_pages(system, manager)
    await remove(manager)
    found = await diagnose(system)
    assert found["not_connected"].is_problem
    assert "reachable" not in found


async def test_a_diagnosis_changes_nothing_at_servicenow(system: System) -> None:
    await system.connect()
    store = system.servicenow.instance.store
    before = {
        table: list(store.rows(table)) for table in ("incident", "change_request", "oauth_credential", "sys_user")
    }
    system.servicenow.instance.journal.clear()
    await diagnose(system)
    assert {table: list(store.rows(table)) for table in before} == before
    assert {entry.method for entry in requests(system, "/api/now")} == {"GET", "PATCH"}
    assert requests(system, "/oauth_token.do") == []


async def test_the_page_fills_in_and_offers_the_bundle(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.ip_blocked = True
    manager = await system.signed_in("manager")
    assert "Not checked yet" in said(await manager.get("/servicenow/diagnosis"))
    for _ in range(2):  # A double click starts one run.
        assert (await manager.post("/servicenow/diagnosis")).status_code == 303
    page = await manager.get("/servicenow/diagnosis")
    assert "Checking …" in said(page)
    assert "data-refresh" in page.text
    await system.work()
    page = await manager.get("/servicenow/diagnosis/findings")
    assert 'data-finding="ip_filter"' in page.text
    assert "Network: IP filter" in said(page)
    assert "Asked for by Alex Wilber" in said(page)
    assert "data-refresh" not in page.text
    async with system.resources.database.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM diagnosis_run"))).scalar_one() == 1


async def test_the_page_says_that_no_worker_runs_while_a_check_waits_for_one(
    system: System, still_clock: SetClock
) -> None:
    no_worker = 'data-finding="no_worker"'
    await system.connect()
    manager = await system.signed_in("manager")
    await manager.post("/servicenow/diagnosis")
    assert no_worker in (await manager.get("/servicenow/diagnosis/findings")).text
    still_clock.move(301)
    page = await manager.get("/servicenow/diagnosis")
    assert no_worker in page.text
    assert "The check did not finish" in said(page)
    await a_worker(system)
    assert no_worker not in (await manager.get("/servicenow/diagnosis")).text


@pytest.mark.thorough
async def test_a_result_from_before_a_change_of_the_connection_says_so(system: System) -> None:
    outdated = "The connection has changed since then: it was authorized, removed, stopped working or works again."
    manager = await system.signed_in("manager")

    async def check() -> None:
        await manager.post("/servicenow/diagnosis")
        await system.work()
        assert outdated not in said(await manager.get("/servicenow/diagnosis"))

    await check()
    await connect_by_pages(system, manager)
    assert outdated in said(await manager.get("/servicenow/diagnosis"))
    await check()
    await remove(manager)
    assert outdated in said(await manager.get("/servicenow/diagnosis"))
    await check()


async def test_a_result_from_before_the_connection_stopped_working_says_so_and_promises_nothing(system: System) -> None:
    connection = await system.connect()
    manager = await system.signed_in("manager")
    await manager.post("/servicenow/diagnosis")
    await system.work()
    assert "The connection has changed since then" not in said(await manager.get("/servicenow/diagnosis"))
    await mark_attention(system.resources, connection.id, TOKEN_REFUSED)
    page = said(await manager.get("/servicenow/diagnosis"))
    assert "The connection has changed since then" in page
    assert "Nothing stands in the way." not in page


async def test_the_two_tables_are_told_apart_by_their_titles(system: System) -> None:
    await system.connect()
    manager = await system.signed_in("manager")
    await manager.post("/servicenow/diagnosis")
    await system.work()
    page = said(await manager.get("/servicenow/diagnosis"))
    assert "Table of incidents" in page
    assert "Table of change requests" in page


@pytest.mark.parametrize("role", ["sharer", "viewer", "outsider"])
async def test_only_managers_look(system: System, role: str) -> None:
    browser = await system.signed_in(role)
    for method, address in (("GET", ""), ("GET", "/findings"), ("POST", ""), ("GET", "/bundle.zip")):
        assert (await browser.request(method, f"/servicenow/diagnosis{address}")).status_code == 403


@pytest.mark.parametrize(
    ("stage", "status", "expected"),
    [
        (Stage.REACH, "connected", ["reach"]),
        (Stage.REACH, "begun", ["reach", "last_attempt"]),
        (Stage.AUTHORIZATION, "connected", ["consent_page", "token_in_use", "consent", "scope"]),
        (Stage.AUTHORIZATION, "begun", ["consent_page"]),
        (Stage.ACCESS, "begun", ["clock"]),
    ],
)
def test_without_a_connection_only_what_needs_none_is_checked(stage: Stage, status: str, expected: list[str]) -> None:
    context = check_context(last=attempt() if status == "begun" else None, status=status)
    assert [check.code for check in diagnosis_checks(stage, context)] == expected


async def test_a_rate_limit_that_stays_ends_the_checks_at_servicenow(system: System) -> None:
    await system.connect()
    trouble(system, "semaphore_full", path="/table/", times=50)
    keys = [finding.key async for finding in run_diagnosis(system.resources)]
    assert keys.count("rate_limit") == 1
    assert keys[-3:] == ["no_worker", "tickets", "import_missing"]


async def test_checks_that_are_asked_for_at_the_same_moment_start_one_run(system: System) -> None:
    await system.connect()
    async with await system.signed_in("manager") as browser:
        answers = await asyncio.gather(*(browser.post("/servicenow/diagnosis") for _ in range(6)))
    assert {answer.status_code for answer in answers} == {303}
    async with system.resources.database.transaction() as session:
        assert (await session.execute(select(func.count()).select_from(DiagnosisRun))).scalar_one() == 1
