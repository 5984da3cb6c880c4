"""Summarize the score for the card of the home page and for the overview. Reads rows, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ScalarSelect, func, select

from app.core.database import Session
from app.core.rounding import rounded
from app.features.secure_score.models import ImprovementAction, ScoreSnapshot
from app.features.secure_score.sync.runs import last_sync

# As many days as Graph keeps: docs/facts/microsoft-graph.md#1-6-paging-size-throttling
PLOT_DAYS = 90
COMPARED_WITH_DAYS = 30
# Of plotted percentages: more than any page shows, because a number rounded twice can differ from one rounded once.
PERCENT_DIGITS = 6


@dataclass(frozen=True)
class DayScore:
    day: date
    points: float | None
    max_points: float | None

    @property
    def percent(self) -> float | None:
        """Share of the maximum, 0 to 100; None when either is unknown or the maximum is 0."""
        if self.points is None or not self.max_points:
            return None
        return min(self.points / self.max_points * 100, 100.0)


@dataclass(frozen=True)
class ScoreCard:
    """The score in short. `change_points` is the difference from 30 days before, None when no such day is known.

    `days` and `values` are the plot: every day of the last PLOT_DAYS, None where there is no score.
    """

    percent: float | None
    points: float
    max_points: float
    day: date
    change_points: float | None
    days: list[str]
    values: list[float | None]
    regressed: int
    synced_at: datetime | None


async def score_card(session: Session, tenant_id: str) -> ScoreCard | None:
    """None when there is no score yet."""
    days = await day_scores(session, tenant_id, PLOT_DAYS)
    regressed, synced = (await session.execute(select(count_regressed(tenant_id), last_sync(tenant_id)))).one()
    return card_of(days, regressed=regressed, synced=synced)


def card_of(days: Sequence[DayScore], *, regressed: int, synced: datetime | None) -> ScoreCard | None:
    """The card of these days, oldest first; None when no day has a score."""
    known = [day for day in days if day.points is not None and day.max_points is not None]
    if not known:
        return None
    newest = known[-1]
    labels, values = plotted(days)
    return ScoreCard(
        percent=newest.percent,
        points=newest.points or 0.0,
        max_points=newest.max_points or 0.0,
        day=newest.day,
        change_points=change_since(known, COMPARED_WITH_DAYS),
        days=labels,
        values=values,
        regressed=regressed,
        synced_at=synced,
    )


async def day_scores(session: Session, tenant_id: str, days: int) -> list[DayScore]:
    """The scores of the newest `days` days, oldest first."""
    newest = select(func.max(ScoreSnapshot.day)).where(ScoreSnapshot.tenant_id == tenant_id).scalar_subquery()
    found = await session.execute(
        select(ScoreSnapshot.day, ScoreSnapshot.points, ScoreSnapshot.max_points)
        .where(ScoreSnapshot.tenant_id == tenant_id, ScoreSnapshot.day > newest - days)
        .order_by(ScoreSnapshot.created_at, ScoreSnapshot.graph_id)
    )
    # The last snapshot of a day counts: docs/facts/microsoft-graph.md#edge-19
    by_day = {row.day: DayScore(row.day, row.points, row.max_points) for row in found}
    return list(by_day.values())


def count_regressed(tenant_id: str) -> ScalarSelect[int]:
    """The number of regressions that last, as a subquery."""
    regressed = (
        ImprovementAction.tenant_id == tenant_id,
        ImprovementAction.scored,
        ImprovementAction.regressed_on.is_not(None),
    )
    return select(func.count()).select_from(ImprovementAction).where(*regressed).scalar_subquery()


def change_since(days: Sequence[DayScore], back: int) -> float | None:
    """Points gained since the last known day that is at least `back` days before the newest; negative when lost."""
    newest = days[-1]
    before = [day for day in days if day.day <= newest.day - timedelta(days=back) and day.points is not None]
    if not before or newest.points is None or before[-1].points is None:
        return None
    return rounded(newest.points - before[-1].points)


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
