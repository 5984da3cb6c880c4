"""A ticket's page stays below a megabyte, whatever ServiceNow and people have put into it, and says what it leaves out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from app.core import clock
from app.core.messages import T
from app.features.connection.models import Connection
from app.features.tickets.events import EventType, record_event
from app.features.tickets.models import Ticket, TicketAction, TicketNote
from app.features.tickets.notes.write_note import MOST_NOTES
from app.features.tickets.polling.apply_remote import MOST_DUPLICATES, warn_of_duplicate
from app.features.tickets.polling.differences import differences
from app.features.tickets.types import Delivery, TicketKind
from app.integrations.servicenow.parse_response import ticket_of
from tests.factories.system import System
from tests.factories.tickets import a_row, read_ticket, share_one, shared_ticket

pytestmark = pytest.mark.thorough
MOST_BYTES = 1_000_000
Q = '"'
REFUSAL = T("ServiceNow refused: %(reason)s", code="servicenow.refused", reason=Q * 65_536).to_json()


async def fill(system: System, ticket_id: UUID, worst: str, **changes: Any) -> None:
    """The worst of every text that a ticket may hold, also as earlier versions stored it."""
    now = clock.now()
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(instance_name=worst * 255))
        ticket = await session.get_one(Ticket, ticket_id)
        ticket.name, ticket.description, ticket.requested_by_name = worst * 500, worst * 80_000, worst * 255
        ticket.assigned_to = ticket.state_label = worst * 255
        ticket.record = {f"u_{number}": worst * 4000 for number in range(34)}
        ticket.problem = ticket.journal_problem = REFUSAL
        ticket.journal_read_at = now
        entry = {
            "when": worst * 40,
            "who": worst * 200,
            "what": worst * 80,
            "text": worst * 4000,
            "author": worst * 255,
        }
        ticket.journal = [entry] * 50
        difference = T("%(field)s: sent %(sent)s.", field=T("%(value)s", value=worst * 100), sent=worst * 65_536)
        ticket.differences = [difference.to_json()] * 40
        ticket.warnings = [T("Close %(other)s there.", other=worst * 1000).to_json()] * 300
        for name, value in changes.items():
            setattr(ticket, name, value)
        for number in range(100):
            session.add(
                TicketAction(ticket_id=ticket_id, control_id=f"{number}{worst * 250}", title=worst * 500, points=None)
            )
            session.add(
                TicketNote(
                    id=uuid4(),
                    ticket_id=ticket_id,
                    text=worst * 3500,
                    requested_by_oid=worst * 64,
                    requested_by_name=worst * 255,
                    created_at=now,
                    delivery=Delivery.HELD,
                    problem=REFUSAL,
                )
            )
        for _ in range(300):
            record_event(
                session, ticket, EventType.CHANGED, T("Assigned to %(name)s.", name=worst * 500), actor=worst * 255
            )


@pytest.mark.parametrize("worst", [Q, "漢", "\U0001f600"], ids=["quotes", "cjk", "emoji"])
@pytest.mark.parametrize("delivery", ["shared", "held", "queued"])
async def test_a_page_of_the_worst_texts_stays_below_a_megabyte(system: System, delivery: str, worst: str) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    labels = ", ".join(f"{number}{worst * 70}" for number in range(20))
    cause = f"The following fields are mandatory: {labels}"
    await fill(system, ticket_id, worst, delivery=delivery, refusal_cause=cause if delivery == "held" else None)
    for _ in range(30):
        other = await share_one(system)
        async with system.resources.database.transaction() as session:
            values = {"predecessor_id": ticket_id, "name": worst * 500, "number": ""}
            await session.execute(update(Ticket).where(Ticket.id == other).values(**values))
    async with await system.signed_in("manager") as browser:
        page = await browser.get(f"/tickets/{ticket_id}")
        typed = {"note": worst * 20_000, "note_id": str(uuid4())}
        again = await browser.post(f"/tickets/{ticket_id}/notes", data=typed)
    assert (page.status_code, again.status_code) == (200, 422)
    assert len(page.content) < MOST_BYTES
    assert len(again.content) < MOST_BYTES
    for sentence in (
        "Older events are not shown.",
        "Older ones are in the list",
        "for this page",
        "more fields differ",
    ):
        assert sentence in page.text
    assert ("older notes are not shown here" in page.text) == (delivery == "shared")
    assert ("Older notes are not shown here" in page.text) == (delivery == "shared")


async def test_of_many_notes_the_newest_and_those_that_wait_are_shown_and_the_others_counted(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    now = clock.now()
    async with system.resources.database.transaction() as session:
        for number in range(MOST_NOTES + 7):
            session.add(
                TicketNote(
                    id=uuid4(),
                    ticket_id=ticket_id,
                    text=f"Note {number}.",
                    requested_by_oid="x",
                    requested_by_name="Megan",
                    created_at=now - timedelta(minutes=number),
                    delivery=Delivery.HELD if number == MOST_NOTES + 6 else Delivery.SHARED,
                )
            )
    async with await system.signed_in("sharer") as browser:
        page = (await browser.get(f"/tickets/{ticket_id}")).text
    assert page.count("Note ") == MOST_NOTES
    assert f"Note {MOST_NOTES - 2}." in page
    assert f"Note {MOST_NOTES + 6}." in page
    assert page.index("Note 0.") < page.index("Note 1.") < page.index(f"Note {MOST_NOTES + 6}.")
    assert "7 older notes are not shown here" in page


async def test_what_honest_people_write_is_shown_whole(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system, description="word " * 3999 + "end")
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id)
        ticket.journal = [
            {
                "when": "2026-11-20 12:00",
                "who": "Ann",
                "what": "Work notes",
                "text": "word " * 300 + f"end{number}",
                "author": "",
            }
            for number in range(50)
        ]
        for _ in range(190):
            record_event(session, ticket, EventType.CHANGED, T("Assigned to %(name)s.", name="Fred Luddy"), actor="Ann")
        for number in range(100):
            session.add(
                TicketAction(
                    ticket_id=ticket_id, control_id=f"Control{number}", title="Require this of all users", points=None
                )
            )
    async with await system.signed_in("viewer") as browser:
        page = (await browser.get(f"/tickets/{ticket_id}")).text
    assert "word end</p>" in page
    assert "end49</p>" in page
    assert page.count("Require this of all users") == 100
    assert page.count("Assigned to Fred Luddy.") == 190
    for sentence in ("not shown", "for this page", "more improvement action"):
        assert sentence not in page


async def test_a_value_that_differs_is_stored_in_part(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    ticket = await read_ticket(system, ticket_id)
    ticket.record = {"u_site": "Berlin"}
    (found, *_) = differences(ticket, ticket_of(a_row(u_site={"value": "x" * 65_536, "display_value": ""})))
    assert len(str(found)) < 1_000


async def test_of_endless_duplicates_a_few_are_named(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id)
        for number in range(3 * MOST_DUPLICATES):
            warn_of_duplicate(session, ticket, ticket_of(a_row(number=f"INC{number}")))
        assert len(ticket.warnings) == MOST_DUPLICATES
