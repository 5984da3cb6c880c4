"""Moves a ticket's due date on when its moment has passed before the ticket is sent. Changes the row only, sends nothing."""

from __future__ import annotations

from datetime import datetime

from app.core.messages import Message, T
from app.features.tickets.due_moment import MARGIN, due_moment, earliest_due_moment
from app.features.tickets.models import Ticket
from app.integrations.servicenow.parse_response import parse_time
from app.integrations.servicenow.protocol import format_time

LATE_CODE = "delivery.due_day_passed"


def keep_due_date_ahead(ticket: Ticket, now: datetime) -> Message | None:
    """Give the record a due date that has not passed at `now`; returns what people have to be told, if anything.

    A due date in the past would make the record overdue at birth, and rules of the instance may refuse it.
    """
    before = str(ticket.record.get("due_date", ""))
    stored = parse_time(before)
    if stored is None or stored >= now + MARGIN:
        return None
    wanted = due_moment(ticket.due_date, now)
    moment = format_time(wanted or earliest_due_moment(now))
    # Copies in columns of the instance's own hold the same text.
    ticket.record = {name: moment if value == before else value for name, value in ticket.record.items()}
    if wanted is not None:
        return None
    late = T(
        "The due date %(day)s had passed before this ticket could be sent. ServiceNow was given %(sent)s (UTC).",
        code=LATE_CODE,
        day=ticket.due_date.isoformat(),
        sent=moment,
    )
    others = [warning for warning in ticket.warnings if warning.get("code") != LATE_CODE]
    ticket.warnings = [*others, late.to_json()]
    return late
