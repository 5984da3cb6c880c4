"""Lists of tickets: filters, pages, and what a line says of a ticket before and after it is shared."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import uuid4

import pytest
from sqlalchemy import update

from app.features.connection.models import Connection, ConnectionStatus
from app.features.tickets.models import Ticket
from app.features.tickets.polling.state_names import StateNames
from app.features.tickets.types import ABSENCE_NAMES, Absence, Delivery, TicketKind
from app.features.tickets.views.ticket_classes import Filters, LineContext
from app.features.tickets.views.ticket_list import line_of, list_tickets
from app.features.tickets.views.ticket_pages import PAGE_SIZE
from app.features.tickets.views.tickets_of_actions import numbers_by_action, tickets_by_action, tickets_of_action
from tests.factories.system import System
from tests.factories.tickets import an_action, read_ticket, share_one, shared_ticket

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
CONTEXT = LineContext(StateNames({}), {})


def a_ticket(**changes: object) -> Ticket:
    known: dict[str, object] = {
        "id": uuid4(), "connection_id": uuid4(), "kind": "incident", "name": "n", "number": "INC1", "state": "2",
        "state_label": "", "delivery": "shared", "priority": 2, "remote_priority": "", "due_date": date(2030, 12, 31),
        "created_at": NOW, "requested_by_name": "Megan", "absence": "",
    }  # fmt: skip
    return Ticket(**{**known, **changes})


@pytest.mark.parametrize(
    ("delivery", "state", "name", "badge", "is_open"),
    [
        (Delivery.SHARED, "2", "In Progress", "progress", True),
        (Delivery.SHARED, "7", "Closed", "done", False),
        (Delivery.SHARED, "8", "Canceled", "canceled", False),
        (Delivery.SHARED, "18", "18", "unknown", True),
        (Delivery.QUEUED, "", "On its way", "queued", True),
        (Delivery.HELD, "", "Held", "held", True),
        (Delivery.GIVEN_UP, "", "Given up", "plain", False),
    ],
)
def test_a_line_shows_the_state_once_shared_and_the_delivery_before(
    delivery: Delivery, state: str, name: str, badge: str, is_open: bool
) -> None:
    line = line_of(a_ticket(delivery=delivery, state=state), CONTEXT)
    assert (line.state_name, line.badge, line.is_open) == (name, badge, is_open)


def test_a_line_shows_the_priority_that_servicenow_stored() -> None:
    assert line_of(a_ticket(), CONTEXT).priority == "High"
    assert line_of(a_ticket(remote_priority="4"), CONTEXT).priority == "Low"


async def test_a_page_beyond_the_last_gives_the_last(system: System) -> None:
    await system.connect()
    for _ in range(PAGE_SIZE + 1):
        await share_one(system, TicketKind.INCIDENT)
    async with system.resources.database.transaction() as session:
        first = await list_tickets(session, Filters())
        last = await list_tickets(session, Filters(page=99))
    assert (first.total, first.has_more, len(first.lines)) == (PAGE_SIZE + 1, False, PAGE_SIZE)
    assert (first.newer, last.older, len(last.lines)) == (None, None, PAGE_SIZE)
    assert {line.id for line in last.lines} - {line.id for line in first.lines}


async def test_filters_narrow_the_list_and_unknown_values_of_them_do_not(system: System) -> None:
    await system.connect()
    shared, record = await shared_ticket(system)
    queued = await share_one(system, TicketKind.CHANGE)
    batch_id = uuid4()
    async with system.resources.database.transaction() as session:
        (await session.get_one(Ticket, queued)).batch_id = batch_id

    async def found(**filters: str) -> set[object]:
        async with system.resources.database.transaction() as session:
            return {line.id for line in (await list_tickets(session, Filters(**filters))).lines}  # type: ignore[arg-type]

    assert await found() == {shared, queued}
    assert await found(state_category="new") == {shared}
    assert await found(state_category="done") == set()
    assert await found(state_category="open") == {shared, queued}
    assert await found(state_category="x", kind="x", delivery="x") == {shared, queued}
    assert await found(state="New") == {shared}
    assert await found(state="Nowhere") == set()
    assert await found(search=record["number"]) == {shared}
    assert await found(batch=str(batch_id)) == {queued}
    assert await found(batch=str(uuid4())) == set()
    assert await found(batch="x") == set()


async def test_the_states_to_filter_by_are_those_of_shared_tickets(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    await shared_ticket(system, TicketKind.CHANGE)
    async with system.resources.database.transaction() as session:
        assert (await list_tickets(session, Filters())).states == [("New", "New")]


async def test_tickets_are_found_by_the_actions_they_were_made_of(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system, action=an_action("mfa"))
    async with system.resources.database.transaction() as session:
        (await session.get_one(Ticket, ticket_id)).state = "7"
    later = await share_one(system, TicketKind.CHANGE, action=an_action("mfa"))
    async with system.resources.database.transaction() as session:
        assert [line.id for line in (await tickets_of_action(session, "mfa")).lines] == [later, ticket_id]
        assert (await tickets_of_action(session, "other")).lines == []
        assert set(await tickets_by_action(session, ["mfa", "other"])) == {"mfa"}
        assert await numbers_by_action(session, ["mfa", "other"]) == {"mfa": ["", record["number"]]}
    assert (await read_ticket(system, ticket_id)).number == record["number"]


async def test_a_bookmark_of_an_earlier_version_still_filters(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    async with await system.signed_in("viewer") as browser:
        assert "No ticket fits" in (await browser.get("/tickets?group=done")).text
        assert "No ticket fits" not in (await browser.get("/tickets?group=open")).text


@pytest.mark.parametrize("absence", list(Absence))
def test_a_record_that_is_not_shown_is_marked_and_is_not_open(absence: Absence) -> None:
    line = line_of(a_ticket(absence=absence), CONTEXT)
    assert (line.shown_name, line.badge, line.is_open) == (str(ABSENCE_NAMES[absence]), "unknown", False)
    assert line.state_name == "In Progress", "the last known state is kept"


def test_a_ticket_of_an_instance_that_is_not_connected_any_more_is_archived_and_not_open() -> None:
    ticket = a_ticket()
    line = line_of(ticket, LineContext(StateNames({}), {ticket.connection_id: "fabrikam"}))
    assert (line.archived_at, line.is_open) == ("fabrikam", False)


async def numbers(system: System, filters: Filters) -> list[str]:
    async with system.resources.database.transaction() as session:
        return [line.number for line in (await list_tickets(session, filters)).lines]


async def test_filters_count_deleted_and_archived_tickets_nowhere_as_open(system: System) -> None:
    connection = await system.connect()
    (deleted, gone), (_, shown) = await shared_ticket(system), await shared_ticket(system)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).where(Ticket.id == deleted).values(absence=Absence.DELETED))
    assert await numbers(system, Filters(state_category="open")) == [shown["number"]]
    assert await numbers(system, Filters(state="New")) == [shown["number"]]
    assert await numbers(system, Filters(state_category="absent")) == [gone["number"]]
    assert await numbers(system, Filters(state_category="archived")) == []
    async with system.resources.database.transaction() as session:
        await session.execute(
            update(Connection).where(Connection.id == connection.id).values(status=ConnectionStatus.REMOVED)
        )
    assert await numbers(system, Filters(state_category="open")) == []
    assert len(await numbers(system, Filters(state_category="archived"))) == 2
