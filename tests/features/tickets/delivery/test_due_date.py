"""A due date that has passed while the ticket waited is moved on before it is sent, and a passed day is told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from app.core import clock
from app.core.messages import Message
from app.features.tickets.delivery.due_date import keep_due_date_ahead
from app.features.tickets.models import Ticket, TicketEvent
from app.features.tickets.types import TicketKind
from tests.factories.system import System
from tests.factories.tickets import read_ticket, records, share_one

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def queued(day: date, **record: Any) -> Ticket:
    return Ticket(due_date=day, warnings=[], record={"due_date": f"{day} 12:00:00", **record})


def test_a_ticket_sent_in_the_afternoon_of_its_due_day_is_due_at_the_end_of_it() -> None:
    ticket = queued(NOW.date(), short_description="Turn on MFA")
    assert keep_due_date_ahead(ticket, NOW) is None
    assert ticket.record == {"due_date": "2026-11-20 23:59:59", "short_description": "Turn on MFA"}
    assert ticket.warnings == []


def test_a_later_day_is_left_as_it_is() -> None:
    ticket = queued(date(2026, 11, 21))
    assert keep_due_date_ahead(ticket, NOW) is None
    assert ticket.record["due_date"] == "2026-11-21 12:00:00"


def test_a_copy_in_an_own_column_moves_along() -> None:
    ticket = queued(NOW.date(), u_due="2026-11-20 12:00:00", u_other="2026-11-19 12:00:00")
    keep_due_date_ahead(ticket, NOW)
    assert ticket.record["u_due"] == ticket.record["due_date"]
    assert ticket.record["u_other"] == "2026-11-19 12:00:00"


def test_a_day_that_passed_while_the_ticket_waited_is_told_once_and_not_dropped() -> None:
    ticket = queued(date(2026, 11, 10))
    for later in (timedelta(0), timedelta(days=1)):
        late = keep_due_date_ahead(ticket, NOW + later)
        assert "The due date 2026-11-10 had passed before this ticket could be sent." in str(late)
        assert ticket.record["due_date"] > (NOW + later).strftime("%Y-%m-%d %H:%M:%S")
    (warning,) = ticket.warnings
    assert str(ticket.record["due_date"]) in str(Message.from_json(warning))


@pytest.mark.parametrize("record", [{}, {"due_date": "soon"}])
def test_a_record_without_a_due_date_is_left_as_it_is(record: dict[str, str]) -> None:
    ticket = Ticket(due_date=NOW.date(), warnings=[], record=record)
    assert keep_due_date_ahead(ticket, NOW) is None
    assert ticket.record == record


async def test_a_ticket_that_waited_past_its_due_day_arrives_with_a_due_date_ahead_and_says_so(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT, due_date=clock.now().date() + timedelta(days=1))
    async with system.resources.database.transaction() as session:
        passed = (
            """UPDATE ticket SET due_date = '2020-01-10', record = record || '{"due_date": "2020-01-10 12:00:00"}'"""
        )
        await session.execute(text(passed))
    await system.work()
    (record,) = records(system, "incident")
    assert record["due_date"] > clock.now().strftime("%Y-%m-%d %H:%M:%S")
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.differences) == ("shared", [])
    (warning,) = ticket.warnings
    assert "2020-01-10 had passed" in str(Message.from_json(warning))
    async with system.resources.database.transaction() as session:
        told = (await session.execute(select(TicketEvent.message).where(TicketEvent.ticket_id == ticket_id))).scalars()
        assert any("2020-01-10 had passed" in str(Message.from_json(one)) for one in told)
