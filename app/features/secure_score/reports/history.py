"""Load what changed when: points, decisions, licenses. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, func, select, text

from app.core.database import Session
from app.core.messages import Message
from app.core.rounding import rounded
from app.features.secure_score.actions.action_status import NAMES, Status
from app.features.secure_score.models import ScoreSnapshot
from app.features.secure_score.reports.day_scores import ROUNDING, DayScore
from app.features.secure_score.vocabulary import product_of

PAGE_SIZE = 100


@dataclass(frozen=True)
class Period:
    """Both days included."""

    since: date
    until: date


@dataclass(frozen=True)
class FilterValues:
    """The categories ever scored, those of the most actions first, and the newest day with a score."""

    categories: list[str]
    newest: date | None


@dataclass(frozen=True)
class HistoryLine:
    """One change of one action. `kind` is a `ChangeKind` or "decided"; `delta` is in points."""

    day: date
    kind: str
    control_id: str
    title: str
    category: str
    product: str
    delta: float | None
    before: float | None
    after: float | None
    status_before: Message | None
    status_after: Message | None
    who: str
    reason: str


@dataclass(frozen=True)
class TenantEvent:
    """What changed for the whole tenant between two snapshots: enabled services and the maximum.

    With `is_gap`, the day itself is probably missing in Microsoft's data, and nothing else is known of it.
    """

    day: date
    since: date
    services_gained: tuple[str, ...] = ()
    services_lost: tuple[str, ...] = ()
    max_before: float | None = None
    max_after: float | None = None
    is_gap: bool = False


@dataclass(frozen=True)
class HistoryPage:
    """`total` counts the lines of all pages."""

    lines: tuple[HistoryLine, ...]
    total: int
    page: int
    pages: int


CHANGES = """
WITH happened AS (
  SELECT day, kind, control_id, points_before AS before, points_after AS after, NULL AS status_before,
         NULL AS status_after, '' AS who, '' AS reason, id AS position
  FROM score_change WHERE tenant_id = :tenant_id AND day BETWEEN :since AND :until
  UNION ALL
  SELECT CAST(decided_at AT TIME ZONE 'UTC' AS date), 'decided', control_id, NULL, NULL, status_before, status_after,
         decided_by, reason, 0
  FROM status_change WHERE tenant_id = :tenant_id
    AND CAST(decided_at AT TIME ZONE 'UTC' AS date) BETWEEN :since AND :until)
SELECT happened.*, COALESCE(NULLIF(action.title, ''), happened.control_id) AS title, action.service,
       COALESCE(NULLIF(action.category, ''), action.category_raw) AS category, count(*) OVER () AS total
FROM happened JOIN improvement_action action
  ON action.tenant_id = :tenant_id AND action.control_id = happened.control_id
WHERE CAST(:categories AS text[]) = '{}' OR COALESCE(NULLIF(action.category, ''), action.category_raw) = ANY(:categories)
ORDER BY happened.day DESC, happened.position DESC, happened.control_id
LIMIT :limit OFFSET :offset
"""


async def newest_changes(session: Session, tenant_id: str, count: int) -> tuple[HistoryLine, ...]:
    """At most `count` changes, newest first, not limited to a period."""
    parameters = {
        "tenant_id": tenant_id,
        "since": date.min,
        "until": date.max,
        "categories": [],
        "limit": count,
        "offset": 0,
    }
    rows = (await session.execute(text(CHANGES), parameters)).all()
    return tuple(_line(row) for row in rows)


async def load_history(
    session: Session, tenant_id: str, period: Period, categories: Sequence[str], page: int
) -> HistoryPage:
    """One page of the changes in this period, the newest first; without categories, of all."""
    page = max(page, 1)
    parameters = {
        "tenant_id": tenant_id,
        "since": period.since,
        "until": period.until,
        "categories": list(categories),
        "limit": PAGE_SIZE,
        "offset": (page - 1) * PAGE_SIZE,
    }
    rows = (await session.execute(text(CHANGES), parameters)).all()
    if not rows and page > 1:
        return await load_history(session, tenant_id, period, categories, 1)
    total = rows[0].total if rows else 0
    pages = max((total + PAGE_SIZE - 1) // PAGE_SIZE, 1)
    return HistoryPage(tuple(_line(row) for row in rows), total, page, pages)


def _line(row: Any) -> HistoryLine:  # noqa: ANN401 - a row of the statement above.
    return HistoryLine(
        day=row.day,
        kind=row.kind,
        control_id=row.control_id,
        title=row.title,
        category=row.category,
        product=product_of(row.service),
        delta=delta_of(row.kind, row.before, row.after),
        before=row.before,
        after=row.after,
        status_before=NAMES[Status(row.status_before)] if row.status_before else None,
        status_after=NAMES[Status(row.status_after)] if row.status_after else None,
        who=row.who,
        reason=row.reason,
    )


def delta_of(kind: str, before: float | None, after: float | None) -> float | None:
    """The effect on the score, in points."""
    # A control that is added brings its points, and one that is removed takes them away, which the portal shows too.
    # docs/facts/microsoft-graph.md#3-1-pages-and-tabs
    if kind == "added":
        return after
    if kind == "removed":
        return None if before is None else rounded(-before)
    return None if before is None or after is None else rounded(after - before)


async def days_in(session: Session, tenant_id: str, period: Period) -> tuple[list[DayScore], list[TenantEvent]]:
    """The scores of this period, oldest first, and what changed for the whole tenant, newest first."""
    return await _days(session, tenant_id, ScoreSnapshot.day.between(period.since, period.until))


async def newest_days(session: Session, tenant_id: str, count: int) -> tuple[list[DayScore], list[TenantEvent]]:
    """The same of the newest `count` days."""
    newest = select(func.max(ScoreSnapshot.day)).where(ScoreSnapshot.tenant_id == tenant_id).scalar_subquery()
    return await _days(session, tenant_id, ScoreSnapshot.day > newest - count)


async def _days(
    session: Session, tenant_id: str, wanted: ColumnElement[bool]
) -> tuple[list[DayScore], list[TenantEvent]]:
    found = await session.execute(
        select(
            ScoreSnapshot.day,
            ScoreSnapshot.points,
            ScoreSnapshot.max_points,
            ScoreSnapshot.enabled_services,
            ScoreSnapshot.is_gap,
        )
        .where(ScoreSnapshot.tenant_id == tenant_id, wanted)
        .order_by(ScoreSnapshot.created_at, ScoreSnapshot.graph_id)
    )
    rows = found.all()
    # The last snapshot of a day counts: docs/facts/microsoft-graph.md#edge-19
    by_day = {row.day: DayScore(row.day, row.points, row.max_points, row.is_gap) for row in rows}
    events = [TenantEvent(row.day, row.day, is_gap=True) for row in rows if row.is_gap]
    had: set[str] = set()  # The services last named.
    for before, after in pairwise(row for row in rows if not row.is_gap):
        had = set(before.enabled_services) or had
        if (event := _tenant_event(before, after, had)) is not None:
            events.append(event)
    return list(by_day.values()), sorted(events, key=lambda event: event.day, reverse=True)


def _tenant_event(before: Any, after: Any, had: set[str]) -> TenantEvent | None:  # noqa: ANN401 - rows of the statement above.
    # A day without services says nothing about them, because every tenant with a score has some.
    has = set(after.enabled_services) or had
    had = had or has
    rescaled = (
        before.max_points is not None
        and after.max_points is not None
        and abs(before.max_points - after.max_points) > ROUNDING
    )
    if had == has and not rescaled:
        return None
    return TenantEvent(
        day=after.day,
        since=before.day,
        services_gained=tuple(sorted(has - had)),
        services_lost=tuple(sorted(had - has)),
        max_before=before.max_points if rescaled else None,
        max_after=after.max_points if rescaled else None,
    )


async def filter_values(session: Session, tenant_id: str) -> FilterValues:
    found = await session.execute(
        text(
            "SELECT (SELECT max(day) FROM score_snapshot WHERE tenant_id = :tenant_id) AS newest, "
            "ARRAY(SELECT COALESCE(NULLIF(category, ''), category_raw) AS name FROM improvement_action "
            "WHERE tenant_id = :tenant_id AND first_scored_on IS NOT NULL "
            "GROUP BY name ORDER BY count(*) DESC, name) AS categories"
        ),
        {"tenant_id": tenant_id},
    )
    row = found.one()
    return FilterValues([name for name in row.categories if name], row.newest)
