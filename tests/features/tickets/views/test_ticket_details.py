"""The page of one ticket: the link to its record, advice, and the tickets before and after it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from app.core import clock
from app.core.errors import NotFound
from app.features.tickets.models import Ticket
from app.features.tickets.types import Delivery, TicketKind
from app.features.tickets.views.ticket_details import TicketDetails, open_url, ticket_details
from tests.factories.system import System
from tests.factories.tickets import an_action, share_one, shared_ticket


async def details(system: System, ticket_id: object) -> TicketDetails:
    async with system.resources.database.transaction() as session:
        return await ticket_details(session, ticket_id)  # type: ignore[arg-type]


@pytest.mark.fact("servicenow 4.5")
@pytest.mark.parametrize(("kind", "table"), [(TicketKind.INCIDENT, "incident"), (TicketKind.CHANGE, "change_request")])
def test_the_link_to_a_record_has_its_inner_part_encoded(kind: TicketKind, table: str) -> None:
    assert open_url("https://contoso.service-now.com", kind, "0" * 32) == (
        f"https://contoso.service-now.com/nav_to.do?uri={table}.do%3Fsys_id%3D{'0' * 32}"
    )


async def test_an_unknown_ticket_is_not_found(system: System) -> None:
    with pytest.raises(NotFound):
        await details(system, uuid4())


@pytest.mark.fact("servicenow 3.6")
@pytest.mark.parametrize(
    ("kind", "role"), [(TicketKind.INCIDENT, "sn_incident_write"), (TicketKind.CHANGE, "sn_change_write")]
)
async def test_a_held_ticket_comes_with_advice(system: System, kind: TicketKind, role: str) -> None:
    await system.connect()
    ticket_id = await share_one(system, kind)
    assert (await details(system, ticket_id)).advice is None
    async with system.resources.database.transaction() as session:
        (await session.get_one(Ticket, ticket_id)).delivery = Delivery.HELD
    assert role in str((await details(system, ticket_id)).advice)
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id)
        ticket.uncertain_until = clock.now()
    assert ticket.correlation_id in str((await details(system, ticket_id)).advice)


async def test_actions_of_a_later_shared_ticket_are_rated_there(system: System) -> None:
    await system.connect()
    first, _ = await shared_ticket(system, action=an_action("mfa"))
    assert [control_id for control_id, _, _ in (await details(system, first)).rated] == ["mfa"]
    async with system.resources.database.transaction() as session:
        (await session.get_one(Ticket, first)).state = "7"
    second = await share_one(system, TicketKind.INCIDENT, action=an_action("mfa"))
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, second)
        ticket.predecessor_id, ticket.created_at = first, clock.now() + timedelta(seconds=1)
    assert len((await details(system, first)).rated) == 1, "until it is shared"
    await system.work()
    before, after = await details(system, first), await details(system, second)
    assert before.rated == []
    assert [control_id for control_id, _ in before.actions] == ["mfa"]
    assert [line.id for line in before.later] == [second]
    assert after.earlier is not None
    assert (after.earlier.id, len(after.rated)) == (first, 1)
