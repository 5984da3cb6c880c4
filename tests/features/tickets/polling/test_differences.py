"""The record that was sent is compared with the one that was stored."""

from __future__ import annotations

import pytest

from app.features.tickets.models import Ticket
from app.features.tickets.polling.differences import differences
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.parse_response import ticket_of
from tests.factories.system import System
from tests.factories.tickets import (
    a_row,
    shared_ticket,
    told,
)


@pytest.mark.fact("other-connectors bug-41", "servicenow trap-7")
async def test_a_priority_that_servicenow_replaced_is_shown(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.keep_change_priority = False
    ticket_id, _ = await shared_ticket(system, TicketKind.CHANGE, priority=1)
    page = await told(system, f"/tickets/{ticket_id}")
    assert "ServiceNow changed what you sent." in page
    assert "Priority: sent Critical, ServiceNow stored Low." in page


@pytest.mark.fact("other-connectors bug-41", "servicenow 4.1", "servicenow trap-7")
def test_an_incidents_looked_up_priority_is_compared_with_the_one_asked_for() -> None:
    ticket = Ticket(kind="incident", priority=1, record={"impact": "1", "urgency": "1"})
    row = a_row(impact={"value": "1"}, urgency={"value": "1"}, priority={"value": "3"})
    (said,) = differences(ticket, ticket_of(row))
    assert "asked for Critical, ServiceNow made it Moderate" in str(said)
