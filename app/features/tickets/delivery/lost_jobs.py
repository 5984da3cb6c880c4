"""Which rows should have a job and have lost it. A condition for queries; changes nothing."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement

from app.core import clock
from app.features.tickets.models import Outbound
from app.features.tickets.types import Delivery

# Lanes or a job of its own bring each row as soon as it is committed. One that has been due for this long has lost them.
JOB_LOST_AFTER = timedelta(minutes=1)


def lost_its_job(table: type[Outbound]) -> ColumnElement[bool]:
    """The condition for queued rows that are due and should have a job, or that wait for the connection."""
    overdue = table.next_try_at < clock.now() - JOB_LOST_AFTER
    return (table.delivery == Delivery.QUEUED) & (table.next_try_at.is_(None) | overdue)
