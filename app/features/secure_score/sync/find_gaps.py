"""Mark the days on which every action came with 0 points, which is probably a gap in Microsoft's data. Derives nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from sqlalchemy import func, select, update

from app.core.database import Session
from app.features.secure_score.models import ControlScore, ScoreSnapshot

# An organization can lose the points of a few actions in a day, and not those of ten and more.
FEWEST_ACTIONS = 10
# Days in a row. From the next one on it is taken for what Microsoft means, and the fall is shown from its first day on.
LONGEST_GAP = 2


@dataclass(frozen=True)
class DayTotal:
    """One snapshot with the sum of its actions' points."""

    key: int
    day: date
    points: float
    controls: int
    is_gap: bool


async def find_gaps(session: Session, tenant_id: str) -> date | None:
    """Set and clear the marks; gives the first day whose mark changed, None when none did."""
    days = await _days(session, tenant_id)
    gaps = [day for before, run in zero_runs(days) if await _had_points(session, before) for day in run]
    changed = [day for day in days if day.is_gap != (day in gaps)]
    for is_gap in (True, False):
        keys = [day.key for day in changed if day.is_gap != is_gap]
        if keys:
            await session.execute(update(ScoreSnapshot).where(ScoreSnapshot.id.in_(keys)).values(is_gap=is_gap))
    return min((day.day for day in changed), default=None)


def zero_runs(days: Sequence[DayTotal]) -> Iterator[tuple[DayTotal, list[DayTotal]]]:
    """Each short run of days without a single point, with the day before it. `days` are in the order of time."""
    before: DayTotal | None = None
    for is_zero, group in groupby(days, key=lambda day: day.points == 0):
        run = list(group)
        if is_zero and before is not None and _is_short(run):
            yield before, run
        before = run[-1]


def _is_short(run: Sequence[DayTotal]) -> bool:
    return len({day.day for day in run}) <= LONGEST_GAP and all(day.controls >= FEWEST_ACTIONS for day in run)


async def _had_points(session: Session, day: DayTotal) -> bool:
    """Whether enough actions had points on this day for their common loss to be incredible."""
    found = await session.execute(
        select(func.count()).where(ControlScore.snapshot_id == day.key, ControlScore.points > 0)
    )
    return found.scalar_one() >= FEWEST_ACTIONS


async def _days(session: Session, tenant_id: str) -> list[DayTotal]:
    found = await session.execute(
        select(
            ScoreSnapshot.id,
            ScoreSnapshot.day,
            ScoreSnapshot.control_points,
            ScoreSnapshot.control_count,
            ScoreSnapshot.is_gap,
        )
        .where(ScoreSnapshot.tenant_id == tenant_id, ScoreSnapshot.control_points.is_not(None))
        .order_by(ScoreSnapshot.created_at, ScoreSnapshot.graph_id)
    )
    return [
        DayTotal(row.id, row.day, row.control_points, row.control_count, row.is_gap)
        for row in found
        if row.control_points is not None
    ]
