"""A ticket that was given up after it was sent is looked for, and its page says what is known."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.features.secure_score.actions.action import Action
from app.features.tickets.sharing.share import AlreadyShared
from app.features.tickets.types import TicketKind
from tests.factories.delivering import give_up
from tests.factories.system import System
from tests.factories.tickets import an_action, read_ticket, records, run_due_and_waiting, share_one, told


async def held_though_it_arrived(system: System, action: Action | None = None) -> UUID:
    """Refused although it was done, and not found by a look that was refused."""
    await system.connect()
    system.servicenow.fault("refused_after_commit", method="POST", path="/table/")
    system.servicenow.fault("acl_hiccup", method="GET", path="/table/")
    ticket_id = await share_one(system, TicketKind.INCIDENT, action=action)
    await run_due_and_waiting(system, 2)
    assert (await read_ticket(system, ticket_id)).delivery == "held"
    return ticket_id


async def test_a_ticket_given_up_that_had_arrived_is_found_and_followed(system: System) -> None:
    ticket_id = await held_though_it_arrived(system)
    page = await give_up(system, ticket_id)
    (record,) = records(system, "incident")
    assert "It may have reached ServiceNow before that." in page
    assert record["correlation_id"] in page
    await run_due_and_waiting(system, 2)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.number) == ("shared", record["number"])
    assert len(records(system, "incident")) == 1


@pytest.mark.parametrize("trouble", ["acl_refuses", "api_asleep"])
async def test_while_nobody_knows_whether_it_arrived_the_page_says_so_and_sharing_again_asks(
    system: System, trouble: str
) -> None:
    action = an_action()
    ticket_id = await held_though_it_arrived(system, action)
    switches = system.servicenow.instance.switches
    setattr(switches, trouble, "incident.read" if trouble == "acl_refuses" else True)
    await give_up(system, ticket_id)
    await run_due_and_waiting(system, 2)
    assert (await read_ticket(system, ticket_id)).delivery == "given_up"
    assert "It may have reached ServiceNow before that." in await told(system, f"/tickets/{ticket_id}")
    with pytest.raises(AlreadyShared):
        await share_one(system, TicketKind.INCIDENT, action=action)
