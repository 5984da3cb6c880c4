"""No second record, even if ServiceNow hides the first: a create is repeated only when a lookup could have found the first."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.features.tickets.types import TicketKind
from app.integrations.http.http_types import RemoteResponse, Request
from app.integrations.servicenow import protocol
from tests.factories.delivering import let_time_pass
from tests.factories.system import System
from tests.factories.tickets import calls, read_ticket, records, run_due_and_waiting, share_one, shared_ticket, told


def hide_the_field(system: System) -> None:
    system.servicenow.instance.switches.unreadable_fields = "correlation_id"


def hide_the_rows(system: System) -> None:
    system.servicenow.instance.switches.acl_refuses = "incident.read"


def lose_the_answer(system: System) -> None:
    system.servicenow.fault("dropped_after_commit", method="POST", path="/table/")


def refuse_what_was_done(system: System) -> None:
    system.servicenow.fault("refused_after_commit", times=2, method="POST", path="/table/")


@pytest.mark.fact("servicenow trap-15", "servicenow trap-4")
@pytest.mark.parametrize("hide", [hide_the_field, hide_the_rows])
@pytest.mark.parametrize("trouble", [lose_the_answer, refuse_what_was_done])
async def test_a_record_that_is_hidden_from_us_is_not_made_again(
    system: System, hide: Callable[[System], None], trouble: Callable[[System], None]
) -> None:
    await system.connect()
    hide(system)
    trouble(system)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    await let_time_pass(system)
    await run_due_and_waiting(system, 4)
    assert len(records(system, "incident")) == len(calls(system, "POST")) == 1
    assert (await read_ticket(system, ticket_id)).delivery == "held"
    page = await told(system, f"/tickets/{ticket_id}", "sharer")
    assert "We cannot tell whether this ticket arrived." in page
    assert f"correlation ID {records(system, 'incident')[0]['correlation_id']}" in page


async def test_a_record_that_is_hidden_and_not_even_counted_is_not_made_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Domains and query rules leave no trace of what they hide: neither our record nor those we know is shown."""
    await system.connect()
    await shared_ticket(system)
    lose_the_answer(system)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    show_no_incidents(system, monkeypatch)
    await let_time_pass(system)
    await run_due_and_waiting(system, 4)
    assert len(records(system, "incident")) == 2
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.uncertain_until is None) == ("held", False)
    assert "not finding one proves nothing" in str(ticket.problem)


def show_no_incidents(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every query for incidents is answered with an empty list and a count of 0."""
    transport = system.resources.servicenow
    real = transport.send

    async def send(request: Request) -> RemoteResponse:
        if request.method == "GET" and "/table/incident" in request.url:
            return RemoteResponse(200, {"content-type": "application/json", "x-total-count": "0"}, b'{"result":[]}')
        return await real(request)

    monkeypatch.setattr(transport, "send", send)


@pytest.mark.fact("servicenow sandbox-21")
async def test_a_look_whose_condition_is_ignored_makes_no_second_record(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    system.servicenow.control(
        "fill", table="incident", count=30, fields={"correlation_id": "x" * 32}, changed_hours_ago=9
    )
    real = protocol.find_by_correlation_request

    def ignored(*args: Any, **kwargs: Any) -> Request:
        asked = real(*args, **kwargs)
        broken = re.sub("^correlation_id=", "u_unknown_here=", asked.query["sysparm_query"])
        return replace(asked, query={**asked.query, "sysparm_query": broken})

    monkeypatch.setattr(protocol, "find_by_correlation_request", ignored)
    lose_the_answer(system)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    await let_time_pass(system)
    await run_due_and_waiting(system, 3)
    ticket = await read_ticket(system, ticket_id)
    made = [record for record in records(system, "incident") if record["correlation_id"] == ticket.correlation_id]
    assert len(made) == 1
    assert ticket.delivery == "held"


@pytest.mark.parametrize("hide", [hide_the_field, hide_the_rows])
async def test_once_it_may_be_read_retry_finds_the_record_and_follows_it(
    system: System, hide: Callable[[System], None]
) -> None:
    await system.connect()
    hide(system)
    lose_the_answer(system)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 3)
    system.servicenow.instance.switches.unreadable_fields = system.servicenow.instance.switches.acl_refuses = ""
    async with await system.signed_in("sharer") as browser:
        await browser.post(f"/tickets/{ticket_id}/retry")
    await run_due_and_waiting(system)
    (record,) = records(system, "incident")
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.number, ticket.uncertain_until) == ("shared", record["number"], None)
