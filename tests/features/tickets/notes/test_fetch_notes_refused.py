"""Notes of others that cannot be read: the ticket is still followed, and the instance is not asked again immediately."""

from __future__ import annotations

import pytest

from app.features.tickets.polling.poll import poll_states
from app.features.tickets.types import TicketKind
from tests.factories.system import System
from tests.factories.tickets import (
    calls,
    read_ticket,
    share_one,
    shared_ticket,
    told,
)


@pytest.mark.fact("other-connectors bug-64")
async def test_a_refusal_of_the_journal_alone_hurts_nothing_else(system: System) -> None:
    """Three people open a ticket, and the journal of each is refused (403). Everything else continues, without a pause."""
    await system.connect()
    opened = [await shared_ticket(system) for _ in range(3)]
    system.servicenow.fault("acl_hiccup", times=3, method="GET", path="/table/incident")
    for ticket_id, _ in opened:
        await told(system, f"/tickets/{ticket_id}")
        await system.work()
    other = await share_one(system, TicketKind.CHANGE)
    await system.work()
    assert (await read_ticket(system, other)).delivery == "shared"
    ticket_id, record = opened[0]
    assert "Notes of others could not be read" in await told(system, f"/tickets/{ticket_id}")
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await poll_states(system.resources)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.state, ticket.visible) == ("shared", "2", True)


@pytest.mark.fact("other-connectors bug-64")
async def test_a_journal_that_cannot_be_read_is_asked_for_once_a_minute(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    system.servicenow.fault("acl_hiccup", times=9, method="GET", path="/table/incident")
    before = len(calls(system, "GET"))
    for _ in range(3):
        await told(system, f"/tickets/{ticket_id}")
        await system.work()
    assert len(calls(system, "GET")) - before == 1


@pytest.mark.fact("servicenow trap-38")
async def test_an_open_page_of_a_deleted_ticket_says_so_and_pauses_nothing(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], delete=True)
    before = len(calls(system, "GET"))
    for _ in range(4):
        await told(system, f"/tickets/{ticket_id}")
        await system.work()
    assert len(calls(system, "GET")) - before == 1
    assert "Deleted in ServiceNow" in await told(system, f"/tickets/{ticket_id}")
    other = await share_one(system, TicketKind.CHANGE)
    await system.work()
    assert (await read_ticket(system, other)).delivery == "shared"
