"""The moment that stands for a due day in ServiceNow: on that day of the calendar, and never passed. Pure.

ServiceNow keeps a moment in UTC (docs/facts/servicenow.md#4-3-shared-task-fields), and people mean a day, wherever they are.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from app.core import clock

# On the same day of the calendar in nearly every time zone.
NOON = time(12, 0, tzinfo=UTC)
END_OF_DAY = time(23, 59, 59, tzinfo=UTC)
# The request takes its time, and the instance's clock may be ahead of ours.
MARGIN = timedelta(minutes=5)


def usual_due_moment(day: date) -> datetime:
    return datetime.combine(day, NOON)


def due_moment(day: date, now: datetime) -> datetime | None:
    """The first of these that is not about to pass; None once the day is over everywhere on earth.

    Noon, which nearly everyone reads as that day; the end of the day in UTC; its end in the westernmost time zone, where
    the day may still be "today" for the person who chose it.
    """
    end_everywhere = datetime.combine(day + timedelta(days=1), NOON) - timedelta(seconds=1)
    moments = (usual_due_moment(day), datetime.combine(day, END_OF_DAY), end_everywhere)
    return next((moment for moment in moments if moment >= now + MARGIN), None)


def earliest_due_moment(now: datetime) -> datetime:
    """The moment of the earliest day that has one, for a day that has passed."""
    first = clock.earliest_day(now + MARGIN)
    return next(found for day in range(3) if (found := due_moment(first + timedelta(days=day), now)) is not None)
