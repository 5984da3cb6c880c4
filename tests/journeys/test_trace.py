"""One search of the log shows a share's whole way: from the click through the job to ServiceNow's own transaction."""

from __future__ import annotations

import json
import re
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from tests.factories.delivering import let_time_pass, run_sweep, write_note
from tests.factories.logged import Line, logged_lines, of_event
from tests.factories.system import System
from tests.factories.tickets import (
    an_action,
    fill_and_send,
    know_actions,
    read_ticket,
    run_due_and_waiting,
)


async def share_by_page(system: System) -> tuple[UUID, str]:
    """The ticket of a form that was sent, and the id that its answer carried."""
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        page = await fill_and_send(
            browser, "/tickets/new?action=AdminMFAV2", kind="incident", priority="2", due_date="2030-12-31"
        )
    sent: httpx.Response = next(answer for answer in page.history if answer.request.method == "POST")
    return UUID(str(page.url)[-36:]), sent.headers["x-correlation-id"]


def grep(lines: list[Line], what: str) -> list[Line]:
    return [line for line in lines if re.search(rf"\b{re.escape(what)}\b", json.dumps(line, default=str))]


@pytest.fixture(autouse=True)
async def _connected(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    know_actions(monkeypatch, an_action())
    await system.connect()


async def test_the_id_of_the_answer_finds_request_ticket_job_call_and_transaction(system: System) -> None:
    with logged_lines() as lines:
        ticket_id, request_id = await share_by_page(system)
        await system.work()
    chain = grep(lines, request_id)
    events = [line["event"] for line in chain]
    assert events[:2] == ["share.queued", "request.done"]
    assert events[-2:] == ["delivery.delivered", "job.done"]
    assert all(line["correlation_id"] == request_id for line in chain)
    [request] = of_event(chain, "request.done")
    assert (request["method"], request["route"], request["status"]) == ("POST", "share.send", 303)
    [created] = [line for line in of_event(chain, "http.call.answered") if line["method"] == "POST"]
    assert created["transaction"] in {call.transaction for call in system.servicenow.calls("POST")}
    # The last line is of the job, which sends whatever waits.
    for line in chain[2:-1]:
        assert (line["ticket"], line["task"], line["attempt"]) == (str(ticket_id), "tickets.drain_outbox", 1)
        assert line["job"] > 0


async def test_the_tickets_number_leads_to_the_same_chain(system: System) -> None:
    with logged_lines() as lines:
        ticket_id, request_id = await share_by_page(system)
        await system.work()
    number = (await read_ticket(system, ticket_id)).number
    assert number
    by_number = grep(lines, number)
    assert [line["event"] for line in by_number] == ["delivery.delivered"]
    [created] = [line for line in of_event(lines, "http.call.answered") if line["method"] == "POST"]
    for line in by_number:
        assert (line["correlation_id"], line["ticket"]) == (request_id, str(ticket_id))
        assert line["last_transaction"] == created["transaction"]
    assert request_id in {line["correlation_id"] for line in grep(lines, str(ticket_id))}


async def test_the_audit_entry_of_the_share_is_found_by_the_same_id(system: System) -> None:
    _ticket_id, request_id = await share_by_page(system)
    async with await system.signed_in("manager") as manager:
        found = (await manager.get("/servicenow/audit.json", params={"q": request_id})).json()
    assert [(entry["what"], entry["request"]) for entry in found] == [("Ticket shared", request_id)]


async def test_a_retry_and_a_sweep_keep_the_id_of_the_share(system: System) -> None:
    system.servicenow.fault("dropped_after_commit", method="POST", path="/table/")
    with logged_lines() as lines:
        ticket_id, request_id = await share_by_page(system)
        await system.work()
        await let_time_pass(system)
        async with system.resources.database.transaction() as session:
            await session.execute(text("DELETE FROM procrastinate_jobs"))
            await session.execute(text("UPDATE ticket SET next_try_at = now() - interval '5 minutes'"))
        await run_sweep(system)
        await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).number
    done = [line for line in of_event(lines, "job.done") if line["task"] == "tickets.deliver"]
    assert {line["correlation_id"] for line in done} == {request_id}
    assert done[-1]["outcome"] == "done"
    assert {line["correlation_id"] for line in of_event(lines, "delivery.failed")} == {request_id}


async def test_a_work_note_is_followed_by_its_own_request(system: System) -> None:
    ticket_id, share_id = await share_by_page(system)
    await system.work()
    number = (await read_ticket(system, ticket_id)).number
    with logged_lines() as lines:
        await write_note(system, ticket_id, "Please begin with the administrators.")
        await system.work()
    [done] = [line for line in of_event(lines, "job.done") if line["task"] == "tickets.deliver_note"]
    [posted] = [line for line in of_event(lines, "request.done") if line["route"] == "tickets.add_note"]
    assert done["correlation_id"] == posted["correlation_id"] != share_id
    assert (done["ticket"], done["number"]) == (str(ticket_id), number)
