"""A poisonous answer ends in a held ticket with a reason, never in a job that fails for ever, and never in two records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.core.job_failures import failed_job_count
from app.features.tickets.delivery import deliver
from app.features.tickets.delivery.unexpected import BELIEVED_TIMES, UNEXPECTED
from app.features.tickets.notes.deliver_note import NoteAdapter
from app.features.tickets.polling.apply_remote import link_record
from app.features.tickets.sharing.held_tickets import retry
from app.features.tickets.types import TicketKind
from app.integrations.http.http_types import RemoteResponse, Request
from app.integrations.servicenow import parse_response
from tests.factories.connecting import viewer_of
from tests.factories.delivering import note_deliveries, shared_change, work_notes, write_note
from tests.factories.system import System
from tests.factories.tickets import calls, read_ticket, records, run_due_and_waiting, share_one, told


async def failed_jobs(system: System) -> int:
    async with system.resources.database.transaction() as session:
        return await failed_job_count(session)


def poison(system: System, monkeypatch: pytest.MonkeyPatch, **columns: object) -> None:
    """Put these values into every record that ServiceNow shows, on the way."""
    transport = system.resources.servicenow
    real = transport.send

    async def send(request: Request) -> RemoteResponse:
        answer = await real(request)
        if "/table/incident" not in request.url or not answer.is_json():
            return answer
        content = json.loads(answer.body)
        rows = content.get("result")
        for row in rows if isinstance(rows, list) else [rows]:
            if isinstance(row, dict):
                row.update(columns)
        return RemoteResponse(answer.status, answer.headers, json.dumps(content).encode())

    monkeypatch.setattr(transport, "send", send)


@pytest.mark.parametrize(
    "columns",
    [
        {"number": "INC\ud800"},
        {"number": "INC\0001"},
        {"number": "N" * 300_000, "assigned_to": {"value": "1", "display_value": "a\ud800\0" * 50_000}},
        {"number": ["a"], "state": {"value": {"a": 1}, "display_value": 7}, "sys_updated_on": 10**200},
        {"sys_class_name": None, "priority": {"value": 1e308}, "x\0y": "\0"},
    ],
)
async def test_odd_characters_and_long_texts_are_cleaned_and_the_ticket_is_shared(
    system: System, monkeypatch: pytest.MonkeyPatch, columns: dict[str, object]
) -> None:
    await system.connect()
    poison(system, monkeypatch, **columns)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, len(records(system, "incident"))) == ("shared", 1)
    assert len(ticket.number) <= 40
    assert len(ticket.assigned_to) <= 255
    assert len(await told(system, f"/tickets/{ticket_id}")) < 200_000
    assert await failed_jobs(system) == 0


@pytest.mark.parametrize("where", ["parsing", "storing"])
async def test_what_no_one_foresaw_is_tried_again_and_then_held_with_a_reason(
    system: System, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise UnicodeError("surrogates not allowed")

    await system.connect()
    with monkeypatch.context() as patched:
        if where == "parsing":
            patched.setattr(parse_response, "ticket_of", broken)
        else:
            patched.setattr(deliver, "link_record", broken)
        ticket_id = await share_one(system, TicketKind.INCIDENT)
        await run_due_and_waiting(system, BELIEVED_TIMES + 2)
        ticket = await read_ticket(system, ticket_id)
        assert (ticket.delivery, ticket.in_flight_since) == ("held", None)
        assert ticket.uncertain_until is not None
        assert UNEXPECTED in json.dumps(ticket.problem)
        assert len(calls(system, "POST", "/api/now/v2/table/incident")) == 1, "looked for, and not sent again"
        page = await told(system, f"/tickets/{ticket_id}")
        assert "did not foresee (UnicodeError, 3 times in a row)" in page
        assert "We cannot tell whether this ticket arrived" in page
    assert await failed_jobs(system) == 0
    # What was wrong is over: Retry finds the record.
    async with await system.signed_in("manager") as browser, system.resources.database.transaction() as session:
        await retry(session, system.resources.queue, ticket_id, viewer=await viewer_of(system, browser))
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(records(system, "incident")) == 1


async def test_what_fails_before_anything_was_sent_is_held_without_doubt(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no request can be built")

    await system.connect()
    monkeypatch.setattr(deliver, "keep_due_date_ahead", broken)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, BELIEVED_TIMES + 1)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.sent_at, ticket.uncertain_until) == ("held", None, None)
    assert "RuntimeError" in json.dumps(ticket.problem)
    assert (records(system, "incident"), await failed_jobs(system)) == ([], 0)


async def test_one_surprise_that_passes_delays_and_holds_nothing(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, times = link_record, [0]

    async def once_broken(*given: Any) -> None:
        times[0] += 1
        if times[0] == 1:
            raise MemoryError
        await real(*given)

    await system.connect()
    monkeypatch.setattr(deliver, "link_record", once_broken)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 2)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.problem) == ("shared", None)
    assert len(records(system, "incident")) == 1


async def test_a_note_whose_answer_no_one_foresaw_is_held_and_written_once(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise UnicodeError("surrogates not allowed")

    ticket_id = await shared_change(system)
    monkeypatch.setattr(NoteAdapter, "delivered", broken)
    await write_note(system, ticket_id, "Once, please.")
    await run_due_and_waiting(system, BELIEVED_TIMES + 2)
    assert await note_deliveries(system) == ["held"]
    assert len(work_notes(system)) == 1
    assert await failed_jobs(system) == 0
