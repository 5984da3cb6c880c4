"""A create or a note that ServiceNow fails at each time ends on hold with its words; an outage is waited for, for ever."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.features.tickets.delivery.next_step import BELIEVED_FAILURES, is_failure
from app.features.tickets.types import TicketKind
from app.integrations.http.errors import RemoteError
from app.integrations.servicenow.parse_response import result_of
from tests.factories.delivering import note_row, shared_change, work_notes, write_note
from tests.factories.system import System
from tests.factories.tickets import (
    ScriptedServiceNow,
    calls,
    client_over,
    read_ticket,
    records,
    replied,
    run_due_and_waiting,
    share_one,
    told,
)

FAILED = '{"error":{"message":"Operation Failed","detail":"Rule Set caller"},"status":"failure"}'


def error_of(status: int, body: str) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        result_of(replied(status=status, body=body, content_type="text/html" if "<" in body else "application/json"))
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "counts"),
    [
        (500, FAILED, True),
        (502, FAILED, False),
        (503, FAILED, False),
        (500, "<html>", False),
        (503, "<html>", False),
        (500, '{"message":"upstream"}', False),
        (429, FAILED, False),
        (202, FAILED, False),
    ],
)
def test_only_servicenows_own_500_counts_towards_holding(status: int, body: str, *, counts: bool) -> None:
    assert is_failure(error_of(status, body)) is counts


@pytest.mark.thorough
@pytest.mark.parametrize("trouble", ["broken_json", "partial_result"])
async def test_a_create_whose_answer_can_never_be_read_ends_on_hold(system: System, trouble: str) -> None:
    await system.connect()
    system.servicenow.fault(trouble, method="POST", path="/table/", times=50)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, BELIEVED_FAILURES + 1)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.failures) == ("held", BELIEVED_FAILURES)
    assert "cannot be read" in await told(system, f"/tickets/{ticket_id}")
    assert records(system, "incident") == []


@pytest.mark.parametrize("body", ['{"result":', "[]", '{"result":{},"error":{}}', '{"result":{"sys_id":""}}'])
async def test_a_create_whose_answer_says_nothing_counts_towards_holding(body: str) -> None:
    with pytest.raises(RemoteError) as caught:
        await client_over(ScriptedServiceNow(replied(status=201, body=body))).create("incident", {})
    assert is_failure(caught.value)


@pytest.mark.thorough
@pytest.mark.fact("servicenow 2.6")
async def test_a_create_that_a_rule_fails_each_time_ends_on_hold_and_names_the_rule(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.failing_rule = "incident"
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    for _ in range(BELIEVED_FAILURES - 1):
        await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "queued"
    other = await share_one(system, TicketKind.CHANGE)
    await run_due_and_waiting(system, 2)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.failures, ticket.uncertain_until) == ("held", BELIEVED_FAILURES, None)
    assert "Set the watch list of a new ticket" in await told(system, f"/tickets/{ticket_id}", "sharer")
    assert (await read_ticket(system, other)).delivery == "shared"
    system.servicenow.instance.switches.failing_rule = ""
    async with await system.signed_in("sharer") as browser:
        await browser.post(f"/tickets/{ticket_id}/retry")
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(records(system, "incident")) == 1


async def test_a_record_that_was_made_behind_the_last_500_is_found_and_not_held(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET failures = :one_less"), {"one_less": BELIEVED_FAILURES - 1})
    system.servicenow.fault("cancelled_after_commit", method="POST", path="/table/")
    await system.work()
    assert (await read_ticket(system, ticket_id)).failures == BELIEVED_FAILURES
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(records(system, "incident")) == 1


async def test_a_note_whose_update_fails_each_time_ends_on_hold_with_servicenows_words(system: System) -> None:
    await write_note(system, await shared_change(system), "Never.")
    system.servicenow.fault("cancelled_after_commit", place="before", times=1000, method="PATCH")
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket_note SET failures = :two_less"), {"two_less": BELIEVED_FAILURES - 2})
    await run_due_and_waiting(system, 3)
    note = await note_row(system)
    assert note.delivery == "held"
    assert "maximum execution time exceeded" in str(note.problem)
    assert len(calls(system, "PATCH")) == 2
    assert work_notes(system) == []


@pytest.mark.thorough
@pytest.mark.parametrize("outage", ["bad_gateway", "unavailable", "hibernating_503"])
async def test_an_outage_holds_no_ticket_however_long_it_takes(system: System, outage: str) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    system.servicenow.fault(outage, place="before", times=1000, path="/table/")
    for _ in range(BELIEVED_FAILURES + 2):
        await run_due_and_waiting(system)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.failures) == ("queued", 0)
