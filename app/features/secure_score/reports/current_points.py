"""What tickets are compared with: an action's points now, and regressions. Knows no ticket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select

from app.core.database import Session
from app.features.secure_score.actions.action_status import has_full_points
from app.features.secure_score.models import ImprovementAction, ScoreSnapshot
from app.features.secure_score.vocabulary import usual_delay

Row = ImprovementAction


@dataclass(frozen=True)
class Points:
    """An action's points in the snapshot of `as_of`, the newest; None is unknown.

    `usual_delay` is the usual time until work on this product shows in the score. `regressed_on` is set as long as the
    regression lasts.
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
    control_id: str
    title: str
    on: date
    points_before: float
    points_now: float | None


def points_columns(tenant_id: str) -> tuple[ColumnElement[Any], ...]:
    """The columns of an improvement action that `points_of` reads."""
    # A day can come without its controls, and their points are then still those of the day before.
    # docs/facts/microsoft-graph.md#edge-13
    newest = (
        select(func.max(ScoreSnapshot.day))
        .where(ScoreSnapshot.tenant_id == tenant_id, ScoreSnapshot.control_count > 0, ~ScoreSnapshot.is_gap)
        .scalar_subquery()
    )
    columns: tuple[Any, ...] = (
        Row.control_id, Row.title, Row.service, Row.points, Row.max_points, Row.percent, Row.scored, Row.regressed_on,
        Row.regressed_from, newest.label("as_of"),
    )  # fmt: skip
    return columns


def points_of(row: Any) -> Points:  # noqa: ANN401 - a row with the columns above.
    return Points(
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


async def current_points(session: Session, tenant_id: str, control_ids: Sequence[str]) -> dict[str, Points]:
    """Points by control id, in one statement; unknown ids are missing."""
    wanted = Row.tenant_id == tenant_id, Row.control_id.in_(list(control_ids))
    found = await session.execute(select(*points_columns(tenant_id)).where(*wanted))
    return {row.control_id: points_of(row) for row in found}


async def regressions(session: Session, tenant_id: str) -> list[Regressed]:
    """The regressions that last, the newest first."""
    found = await session.execute(
        select(Row.control_id, Row.title, Row.points, Row.regressed_on, Row.regressed_from)
        .where(Row.tenant_id == tenant_id, Row.scored, Row.regressed_on.is_not(None))
        .order_by(Row.regressed_on.desc(), Row.control_id)
    )
    return [
        Regressed(row.control_id, row.title or row.control_id, row.regressed_on, row.regressed_from or 0.0, row.points)
        for row in found
    ]
