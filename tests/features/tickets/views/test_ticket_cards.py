"""The home page's ticket cards: what they count, and the order in which they show it."""

from __future__ import annotations

from sqlalchemy import update

from app.features.connection.models import Connection
from app.features.provisioning.home_state import home_state
from app.features.tickets.models import Ticket
from app.features.tickets.polling.state_names import set_state_name
from app.features.tickets.types import Absence, Delivery, TicketKind
from app.features.tickets.views.ticket_cards import NEWEST, TicketCard
from tests.factories.system import System
from tests.factories.tickets import share_one, shared_ticket


async def card(system: System, connection: Connection, kind: TicketKind = TicketKind.INCIDENT) -> TicketCard:
    async with system.resources.database.transaction() as session:
        state = await home_state(session, [kind])
    assert state.connection is not None
    assert state.connection.id == connection.id
    return state.cards[kind]


async def test_a_card_counts_shared_tickets_by_state_and_the_others_by_delivery(system: System) -> None:
    connection = await system.connect()
    await shared_ticket(system)
    await share_one(system, TicketKind.INCIDENT)
    held, given_up = await share_one(system, TicketKind.INCIDENT), await share_one(system, TicketKind.INCIDENT)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).where(Ticket.id == held).values(delivery=Delivery.HELD))
        await session.execute(update(Ticket).where(Ticket.id == given_up).values(delivery=Delivery.GIVEN_UP))
    found = await card(system, connection)
    assert [(line.label, line.category, line.count) for line in found.counts] == [("New", "new", 1)]
    assert (found.total, found.queued, found.held, len(found.newest)) == (3, 1, 1, 3)
    assert (await card(system, connection, TicketKind.CHANGE)).total == 0


async def test_a_card_counts_a_deleted_record_in_no_state(system: System) -> None:
    connection = await system.connect()
    (deleted, _), _ = await shared_ticket(system), await shared_ticket(system)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).where(Ticket.id == deleted).values(absence=Absence.DELETED))
    found = await card(system, connection)
    assert [(line.label, line.count) for line in found.counts] == [("New", 1)]
    assert (found.total, found.absent) == (2, 1)
    assert {line.shown_name for line in found.newest} == {"Deleted in ServiceNow", "New"}


async def test_states_with_the_same_label_are_one_line_in_the_order_of_the_work(system: System) -> None:
    connection = await system.connect()
    states = ("7", "6", "2", "18", "1", "1")
    tickets = [(await shared_ticket(system))[0] for _ in states]
    async with system.resources.database.transaction() as session:
        for ticket_id, state in zip(tickets, states, strict=True):
            await session.execute(update(Ticket).where(Ticket.id == ticket_id).values(state=state, state_label=""))
        await set_state_name(session, "incident", "6", own_label="Finished", category="done")
        await set_state_name(session, "incident", "7", own_label="Finished", category="done")
    found = await card(system, connection)
    assert [(line.label, line.category, line.count) for line in found.counts] == [
        ("New", "new", 2),
        ("In Progress", "progress", 1),
        ("Finished", "done", 2),
        ("18", "unknown", 1),
    ]
    assert len(found.newest) == NEWEST
