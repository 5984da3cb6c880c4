"""Lets tickets be compared with the score: points now, points gained since a moment, regressions. Knows no ticket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import func, select

from app.core.database import Session
from app.features.secure_score.actions.action_status import has_full_points
from app.features.secure_score.models import ImprovementAction, ScoreSnapshot
from app.features.secure_score.vocabulary import usual_delay

Row = ImprovementAction


@dataclass(frozen=True)
class Points:
    """An action's points in the newest snapshot, which is the one of `as_of`; None is unknown.

    `usual_delay` is how long Microsoft usually needs until work on this product shows in the score. `regressed_on` is
    set while points that were lost have not come back.
    """

    control_id: str
    title: str
    points: float | None
    max_points: float | None
    is_full: bool
    scored: bool
    as_of: date | None
    regressed_on: date | None
    regressed_from: float | None
    usual_delay: timedelta


@dataclass(frozen=True)
class Regressed:
    """An action that lost points and has not got them back."""

    control_id: str
    title: str
    on: date
    points_before: float
    points_now: float | None


async def current_points(session: Session, tenant_id: str, control_ids: Sequence[str]) -> dict[str, Points]:
    """Points by control id, in one statement; ids we do not know are missing from the answer."""
    newest = (
        select(func.max(ScoreSnapshot.day))
        .where(ScoreSnapshot.tenant_id == tenant_id, ScoreSnapshot.control_count > 0)
        .scalar_subquery()
    )
    found = await session.execute(
        select(
            Row.control_id, Row.title, Row.service, Row.points, Row.max_points, Row.percent, Row.scored,
            Row.regressed_on, Row.regressed_from, newest.label("as_of"),
        ).where(Row.tenant_id == tenant_id, Row.control_id.in_(list(control_ids)))
    )  # fmt: skip
    return {
        row.control_id: Points(
            control_id=row.control_id,
            title=row.title or row.control_id,
            points=row.points,
            max_points=row.max_points,
            is_full=row.scored and has_full_points(row.points, row.max_points, row.percent),
            scored=row.scored,
            as_of=row.as_of,
            regressed_on=row.regressed_on if row.scored else None,
            regressed_from=row.regressed_from if row.scored else None,
            usual_delay=usual_delay(row.service),
        )
        for row in found
    }


async def regressions(session: Session, tenant_id: str) -> list[Regressed]:
    """Every regression that lasts, the newest first."""
    found = await session.execute(
        select(Row.control_id, Row.title, Row.points, Row.regressed_on, Row.regressed_from)
        .where(Row.tenant_id == tenant_id, Row.scored, Row.regressed_on.is_not(None))
        .order_by(Row.regressed_on.desc(), Row.control_id)
    )
    return [
        Regressed(row.control_id, row.title or row.control_id, row.regressed_on, row.regressed_from or 0.0, row.points)
        for row in found
    ]
