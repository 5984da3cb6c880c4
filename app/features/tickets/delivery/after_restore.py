"""After a restore the rows may be older than what was sent: make each next attempt look in ServiceNow first. Sends nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Update, func, update

from app.features.tickets.delivery.outbound import UNCERTAIN_SECONDS
from app.features.tickets.models import Outbound, Ticket, TicketNote
from app.features.tickets.types import Delivery

# Tickets come before their notes, as everywhere.
TABLES: tuple[type[Outbound], ...] = (Ticket, TicketNote)


def look_before_sending(moment: datetime) -> list[Update]:
    """The statements that do it; `moment` is when the rows were restored.

    A row that was queued or held in the backup may have been sent between the backup and now, by the system that the
    backup was made of, and that send may even have left a second ago. So each row says: sent at `moment`, still under way.
    """
    return [_sent_perhaps(table, moment) for table in TABLES] + [
        # By which way a lost create went is not known either: it may have left without the sys_id that we chose.
        update(Ticket).where(Ticket.delivery.in_((Delivery.QUEUED, Delivery.HELD))).values(sent_plain=True)
    ]


def _sent_perhaps(table: type[Outbound], moment: datetime) -> Update:
    until = moment + timedelta(seconds=UNCERTAIN_SECONDS)
    return (
        update(table)
        .where(table.delivery.in_((Delivery.QUEUED, Delivery.HELD)))
        .values(
            sent_at=func.coalesce(table.sent_at, moment),
            uncertain_until=func.greatest(table.uncertain_until, until),
            # "Turned away" and "failed" were said of an earlier send than the one that may have been lost.
            turned_away=False,
            failures=0,
            failure_text="",
            in_flight_since=None,
        )
    )
