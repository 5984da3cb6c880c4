"""Managers read what each failed job was for, and retry it: once, and with nothing sent twice."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.core.errors import Conflict
from app.core.logging import bind_correlation_id
from app.features.accounts.audit import list_entries
from app.features.accounts.permissions import Viewer
from app.features.operation.failed_job_list import (
    NAMES,
    FailedJobList,
    list_failed_jobs,
    retry_failed_job,
    retry_failed_jobs,
)
from app.features.tickets.delivery.hand_over import start_lanes
from app.features.tickets.types import TicketKind
from tests.factories.connecting import viewer_of
from tests.factories.delivering import shared_change, write_note
from tests.factories.logged import logged_lines, of_event
from tests.factories.system import System
from tests.factories.tickets import calls, records, run_due_and_waiting, share_one

WAITING = "SELECT task_name FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id"


@pytest.fixture
async def manager(system: System) -> Viewer:
    async with await system.signed_in("manager") as browser:
        return await viewer_of(system, browser)


async def fail_all(system: System) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE procrastinate_jobs SET status = 'doing' WHERE status = 'todo'"))
        await session.execute(text("UPDATE procrastinate_jobs SET status = 'failed' WHERE status = 'doing'"))


async def listed(system: System) -> FailedJobList:
    async with system.resources.database.transaction() as session:
        return await list_failed_jobs(session, system.resources.queue)


async def waiting(system: System) -> list[str]:
    async with system.resources.database.transaction() as session:
        return list((await session.execute(text(WAITING))).scalars())


def test_every_task_has_a_name_in_words(system: System) -> None:
    assert set(NAMES) == set(system.resources.queue.task_names)


async def test_a_failed_job_names_its_ticket_also_for_a_note(system: System) -> None:
    ticket_id = await shared_change(system)
    await run_due_and_waiting(system)
    await write_note(system, ticket_id, "A note.")
    await fail_all(system)
    found = await listed(system)
    assert found.count == len(found.lines)
    [line] = [line for line in found.lines if "work note" in str(line.name)]
    assert line.ticket == ticket_id
    assert line.ticket_name.startswith("CHG")
    assert line.failed_at is not None
    assert "No reason was kept" in str(line.reason)
    assert line.can_retry


async def test_retry_delivers_once_and_is_audited(system: System, manager: Viewer) -> None:
    await system.connect()
    await run_due_and_waiting(system)
    await share_one(system, TicketKind.INCIDENT)
    await fail_all(system)
    [line] = (await listed(system)).lines
    async with await system.signed_in("manager") as browser:
        async with system.resources.database.transaction() as session:
            await retry_failed_job(session, system.resources.queue, line.number, viewer=manager)
        assert "Failed job retried" in (await browser.get("/servicenow/audit")).text
    with pytest.raises(Conflict):
        async with system.resources.database.transaction() as session:
            await retry_failed_job(session, system.resources.queue, line.number, viewer=manager)
    assert await waiting(system) == ["tickets.drain_outbox"]
    await run_due_and_waiting(system)
    assert (await listed(system)).count == 0
    assert len(records(system, "incident")) == 1
    assert len(calls(system, "POST", "/api/now/v2/table/incident")) == 1


async def test_a_retried_job_goes_on_in_the_log_lines_of_what_first_asked_for_it(
    system: System, manager: Viewer
) -> None:
    await system.connect()
    await run_due_and_waiting(system)
    bind_correlation_id("0123456789abcdef")
    await share_one(system, TicketKind.INCIDENT)
    await fail_all(system)
    [line] = (await listed(system)).lines
    bind_correlation_id("fedcba9876543210")
    with logged_lines() as lines:
        async with system.resources.database.transaction() as session:
            await retry_failed_job(session, system.resources.queue, line.number, viewer=manager)
        await run_due_and_waiting(system)
    [retried] = of_event(lines, "job.retried")
    assert (retried["correlation_id"], retried["first_request"]) == ("fedcba9876543210", "0123456789abcdef")
    [done] = [line for line in of_event(lines, "job.done") if line["task"] == "tickets.drain_outbox"]
    assert (done["correlation_id"], done["outcome"]) == ("0123456789abcdef", "done")
    async with system.resources.database.transaction() as session:
        # Either id finds the entry.
        for wanted in ("0123456789abcdef", "fedcba9876543210"):
            found = await list_entries(session, wanted=wanted)
            assert "Failed job retried" in [str(entry.action) for entry in found.lines]


async def test_retry_adds_no_second_job_where_one_is_under_way(system: System, manager: Viewer) -> None:
    await system.connect()
    await run_due_and_waiting(system)
    await share_one(system, TicketKind.INCIDENT)
    await fail_all(system)
    async with system.resources.database.transaction() as session:
        await start_lanes(session, system.resources.queue)
        assert await retry_failed_jobs(session, system.resources.queue, viewer=manager) == 1
    assert await waiting(system) == ["tickets.drain_outbox"]
    await run_due_and_waiting(system)
    assert len(records(system, "incident")) == 1


async def test_a_newer_job_with_the_same_queueing_lock_takes_the_place_of_a_failed_one(
    system: System, manager: Viewer
) -> None:
    queue = system.resources.queue
    async with system.resources.database.transaction() as session:
        await queue.defer(session, "tickets.fetch_notes", queueing_lock="same", ticket_id="1")
    await fail_all(system)
    async with system.resources.database.transaction() as session:
        await queue.defer(session, "tickets.fetch_notes", queueing_lock="same", ticket_id="2")
        assert await retry_failed_jobs(session, queue, viewer=manager) == 1
    assert await waiting(system) == ["tickets.fetch_notes"]
    assert (await listed(system)).count == 0


async def test_a_job_of_another_version_is_listed_and_left(system: System, manager: Viewer) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)"
                " VALUES ('default', 'tickets.of_old', 'failed', '{\"ticket_id\": \"no id\", \"timestamp\": 5}')"
            )
        )
        assert await retry_failed_jobs(session, system.resources.queue, viewer=manager) == 0
    [line] = (await listed(system)).lines
    assert not line.can_retry
    assert str(line.name) == "tickets.of_old (of another version)"
