"""An instance that is down or slow: the ticket waits, and is made once."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.features.tickets.types import TicketKind
from tests.factories.system import System
from tests.factories.tickets import calls, read_ticket, records, run_due_and_waiting, share_one


@pytest.mark.fact("microsoft-graph edge-52")
@pytest.mark.parametrize("fault", ["hibernating", "unavailable", "dropped", "bad_gateway", "cancelled_after_commit"])
async def test_a_ticket_system_that_is_down_or_slow_gets_the_ticket_later_and_once(system: System, fault: str) -> None:
    await system.connect()
    system.servicenow.fault(fault, method="POST", path="/table/")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    waiting = await read_ticket(system, ticket_id)
    assert waiting.delivery == "queued"
    async with await system.signed_in("viewer") as browser:
        assert "On its way" in (await browser.get("/")).text
    await run_due_and_waiting(system, 4)
    await _let_time_pass(system)
    await run_due_and_waiting(system, 2)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, len(records(system, "incident"))) == ("shared", 1)
    assert calls(system, "GET")  # It looked before it sent a second time.


async def _let_time_pass(system: System) -> None:
    """Let `uncertain_until` pass, after which no create can still be running at the instance."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET uncertain_until = now() - interval '1 second'"))
