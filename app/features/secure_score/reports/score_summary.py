"""Summarize the score for the card of the home page and for the overview. Reads rows, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ScalarSelect, func, select

from app.core import clock
from app.core.database import Session
from app.core.messages import Message
from app.features.secure_score.models import ImprovementAction
from app.features.secure_score.reports.day_scores import (
    DayScore,
    Movement,
    day_query,
    days_of,
    movement_since,
    plotted,
)
from app.features.secure_score.reports.freshness import notices
from app.features.secure_score.sync.runs import last_sync

# As many days as Graph keeps: docs/facts/microsoft-graph.md#1-6-paging-size-throttling
PLOT_DAYS = 90
COMPARED_WITH_DAYS = 30


@dataclass(frozen=True)
class ScoreCard:
    """The score in short. `movement` is since 30 days before, None when no such day is known.

    `days` and `values` are the plot: every day of the last PLOT_DAYS, None where there is no score. `notices` say what is
    wrong with the newest day, if anything is.
    """

    percent: float | None
    points: float
    max_points: float
    day: date
    movement: Movement | None
    days: list[str]
    values: list[float | None]
    regressed: int
    synced_at: datetime | None
    notices: tuple[Message, ...] = ()


async def score_card(session: Session, tenant_id: str) -> ScoreCard | None:
    """None when there is no score yet. One statement."""
    also = count_regressed(tenant_id).label("regressed"), last_sync(tenant_id).label("synced")
    rows = (await session.execute(day_query(tenant_id, PLOT_DAYS, *also))).all()
    if not rows:
        return None
    return card_of(days_of(rows), regressed=rows[0].regressed, synced=rows[0].synced)


def card_of(days: Sequence[DayScore], *, regressed: int, synced: datetime | None) -> ScoreCard | None:
    """The card of these days, oldest first; None when no day has a score."""
    known = [day for day in days if day.is_known]
    if not known:
        return None
    newest = known[-1]
    labels, values = plotted(days)
    return ScoreCard(
        percent=newest.percent,
        points=newest.points or 0.0,
        max_points=newest.max_points or 0.0,
        day=newest.day,
        movement=movement_since(known, COMPARED_WITH_DAYS),
        days=labels,
        values=values,
        regressed=regressed,
        synced_at=synced,
        notices=notices(days, newest.day, synced, clock.now()),
    )


def count_regressed(tenant_id: str) -> ScalarSelect[int]:
    """The number of regressions that last, as a subquery."""
    regressed = (
        ImprovementAction.tenant_id == tenant_id,
        ImprovementAction.scored,
        ImprovementAction.regressed_on.is_not(None),
    )
    return select(func.count()).select_from(ImprovementAction).where(*regressed).scalar_subquery()
