"""The tenant's score by day, and how it moved. Reads rows, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from app.core.database import Session
from app.core.rounding import rounded
from app.features.secure_score.models import ScoreSnapshot

# Points. The tenant's maximum moves with licenses and catalog from day to day; a smaller difference is rounding.
# docs/facts/microsoft-graph.md#1-2-securescore
ROUNDING = 0.005
# Of plotted percentages: more than any page shows, because a number rounded twice can differ from one rounded once.
PERCENT_DIGITS = 6


@dataclass(frozen=True)
class DayScore:
    """One day; `is_gap` where Microsoft's data of it is probably missing."""

    day: date
    points: float | None
    max_points: float | None
    is_gap: bool = False

    @property
    def is_known(self) -> bool:
        return self.points is not None and self.max_points is not None and not self.is_gap

    @property
    def percent(self) -> float | None:
        """Share of the maximum, 0 to 100; None when either is unknown or the maximum is 0."""
        if self.points is None or not self.max_points or self.is_gap:
            return None
        return min(self.points / self.max_points * 100, 100.0)


@dataclass(frozen=True)
class Movement:
    """How the score moved in a time. `max_change` is in points, and most of it happened on the day `max_changed_on`.

    A percentage can fall without a point being lost: docs/facts/microsoft-graph.md#1-2-securescore
    """

    points: float
    percent_before: float | None
    percent_now: float | None
    max_change: float = 0.0
    max_changed_on: date | None = None
    max_steps: int = 0

    @property
    def is_rescaled(self) -> bool:
        """Whether the maximum changed, so that the points alone do not explain the percentage."""
        known = self.percent_before is not None and self.percent_now is not None
        return known and self.max_changed_on is not None


def movement_since(days: Sequence[DayScore], back: int) -> Movement | None:
    """Since the last known day that is at least `back` days before the newest. `days` are known, oldest first."""
    newest = days[-1]
    before = [day for day in days if day.day <= newest.day - timedelta(days=back)]
    base = before[-1] if before else None
    if base is None or newest.points is None or base.points is None:
        return None
    change = rounded((newest.max_points or 0.0) - (base.max_points or 0.0))
    since_base = [day for day in days if day.day >= base.day]
    steps = [
        (rounded((after.max_points or 0.0) - (earlier.max_points or 0.0)), after.day)
        for earlier, after in pairwise(since_base)
    ]
    # The steps in the direction of the whole change; small ones the other way explain nothing.
    along = [(step, day) for step, day in steps if step * change > 0]
    return Movement(
        points=rounded(newest.points - base.points),
        percent_before=base.percent,
        percent_now=newest.percent,
        max_change=change,
        max_changed_on=max(along, key=lambda one: abs(one[0]))[1] if along and abs(change) > ROUNDING else None,
        max_steps=len(along),
    )


async def day_scores(session: Session, tenant_id: str, days: int) -> list[DayScore]:
    """The scores of the newest `days` days, oldest first."""
    return days_of((await session.execute(day_query(tenant_id, days))).all())


def day_query(tenant_id: str, days: int, *also: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    """The snapshots of the newest `days` days, for `days_of`, and in each row what else is asked for."""
    newest = select(func.max(ScoreSnapshot.day)).where(ScoreSnapshot.tenant_id == tenant_id).scalar_subquery()
    return (
        select(ScoreSnapshot.day, ScoreSnapshot.points, ScoreSnapshot.max_points, ScoreSnapshot.is_gap, *also)
        .where(ScoreSnapshot.tenant_id == tenant_id, ScoreSnapshot.day > newest - days)
        .order_by(ScoreSnapshot.created_at, ScoreSnapshot.graph_id)
    )


def days_of(rows: Iterable[Any]) -> list[DayScore]:
    """One score for each day, oldest first."""
    # The last snapshot of a day counts: docs/facts/microsoft-graph.md#edge-19
    return list({row.day: DayScore(row.day, row.points, row.max_points, row.is_gap) for row in rows}.values())


def plotted(days: Sequence[DayScore]) -> tuple[list[str], list[float | None]]:
    """Labels and percentages of every day from the first to the last; None draws a gap.

    Source: docs/facts/microsoft-graph.md#edge-48
    """
    if not days:
        return [], []
    by_day = {day.day: day.percent for day in days}
    span = (days[-1].day - days[0].day).days
    every = [days[0].day + timedelta(days=offset) for offset in range(span + 1)]
    percents = [by_day.get(day) for day in every]
    return [day.isoformat() for day in every], [
        None if value is None else rounded(value, PERCENT_DIGITS) for value in percents
    ]
