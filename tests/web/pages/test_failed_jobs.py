"""The page of failed jobs: read and used by managers only, reachable from "Check the connection"."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from app.core.errors import NeedsAttention
from app.core.job_failures import reason_json
from app.core.messages import T
from app.features.tickets.delivery.hand_over import give_own_job
from app.features.tickets.types import TicketKind
from tests.factories.connecting import said
from tests.factories.provisioning import diagnose
from tests.factories.system import System
from tests.factories.tickets import run_due_and_waiting, share_one


async def one_failed_job(system: System) -> None:
    await system.connect()
    await run_due_and_waiting(system)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await give_own_job(system.resources, ticket_id, 0)
    reason = reason_json(NeedsAttention(T("The oven is <b>cold</b>.")))
    async with system.resources.database.transaction() as session:
        await session.execute(text("DELETE FROM procrastinate_jobs WHERE task_name <> 'tickets.deliver'"))
        await session.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
        await session.execute(text("UPDATE procrastinate_jobs SET status = 'failed'"))
        await session.execute(
            text("INSERT INTO procrastinate_job_reasons SELECT id, CAST(:reason AS jsonb) FROM procrastinate_jobs"),
            {"reason": reason},
        )


async def test_a_manager_reads_why_a_job_failed_and_retries_it(system: System) -> None:
    await one_failed_job(system)
    async with await system.signed_in("manager") as browser:
        assert 'href="/servicenow/failed-jobs"' in (await browser.get("/servicenow/diagnosis")).text
        answer = await browser.get("/servicenow/failed-jobs")
        assert "Send a ticket to ServiceNow" in said(answer)
        assert "The oven is &lt;b&gt;cold" in answer.text
        assert re.search(r'href="/tickets/[0-9a-f-]{36}"', answer.text)
        [retry] = re.findall(r'action="(/servicenow/failed-jobs/\d+/retry)"', answer.text)
        assert (await browser.post(retry)).headers["location"] == "/servicenow/failed-jobs"
        assert "No job has failed" in said(await browser.get("/servicenow/failed-jobs"))
        again = await browser.post(retry)
        assert again.status_code == 409
        assert "does not wait here any more" in said(again)


async def test_all_are_retried_at_once(system: System) -> None:
    await one_failed_job(system)
    async with await system.signed_in("manager") as browser:
        assert (await browser.post("/servicenow/failed-jobs/retry-all")).status_code == 303
        assert "No job has failed" in said(await browser.get("/servicenow/failed-jobs"))


@pytest.mark.parametrize("number", ["0", "-1", "9" * 40, "x", "1e5", "%00", "%ED%A0%80", "1 OR 1=1"])
async def test_an_odd_number_is_no_job(system: System, number: str) -> None:
    async with await system.signed_in("manager") as browser:
        assert (await browser.post(f"/servicenow/failed-jobs/{number}/retry")).status_code == 409


async def test_other_roles_and_other_sites_are_refused(system: System) -> None:
    await one_failed_job(system)
    async with await system.signed_in("sharer") as browser:
        assert (await browser.get("/servicenow/failed-jobs")).status_code == 403
        assert (await browser.post("/servicenow/failed-jobs/retry-all")).status_code == 403
    async with await system.signed_in("manager") as browser:
        foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert (await browser.post("/servicenow/failed-jobs/retry-all", headers=foreign)).status_code == 403


async def test_the_diagnosis_says_that_jobs_have_failed(system: System) -> None:
    await one_failed_job(system)
    async with system.resources.database.transaction() as session:
        await session.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES"))
    finding = (await diagnose(system))["jobs_failed"]
    assert "not tried again by themselves: 1" in str(finding.meaning)
    assert "Failed jobs" in str(finding.advice)
