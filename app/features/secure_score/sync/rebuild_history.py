"""Rebuild the derived history from the stored snapshots: spans, changes, marks of regressions. Changes no snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import text

from app.core.database import Session
from app.features.secure_score.actions.action_status import Status, status_of_state
from app.features.secure_score.sync.json_values import label, moment, objects
from app.features.secure_score.sync.score_changes import Change, ChangeKind, Day, Mark, Point, changes_of, marks_of
from app.features.secure_score.sync.upsert import columns

# `added_on` stays empty for controls of the first day, because nothing tells since when they were there.
SPANS = """
WITH span AS (
  SELECT score.control_id, min(snapshot.day) AS first_day, max(snapshot.day) AS last_day
  FROM control_score score JOIN score_snapshot snapshot ON snapshot.id = score.snapshot_id
  WHERE snapshot.tenant_id = :tenant_id GROUP BY score.control_id)
UPDATE improvement_action AS action
SET first_scored_on = span.first_day, last_scored_on = span.last_day, added_on = CASE WHEN span.first_day > (
  SELECT min(day) FROM score_snapshot WHERE tenant_id = :tenant_id AND control_count > 0) THEN span.first_day END
FROM span WHERE action.tenant_id = :tenant_id AND action.control_id = span.control_id
  AND (action.first_scored_on, action.last_scored_on) IS DISTINCT FROM (span.first_day, span.last_day)
"""
# One array per column: PostgreSQL plans one statement, however many rows it inserts.
CHANGES = """
INSERT INTO score_change (tenant_id, control_id, day, since, kind, points_before, points_after, max_before, max_after)
SELECT :tenant_id, * FROM unnest(CAST(:control_id AS text[]), CAST(:day AS date[]), CAST(:since AS date[]),
  CAST(:kind AS text[]), CAST(:before AS float8[]), CAST(:after AS float8[]), CAST(:max_before AS float8[]),
  CAST(:max_after AS float8[]))
"""
MARKS = """
UPDATE improvement_action AS action SET regressed_on = given.day, regressed_from = given.points
FROM improvement_action AS same LEFT JOIN unnest(CAST(:control_id AS text[]), CAST(:day AS date[]),
  CAST(:points AS float8[])) AS given (control_id, day, points) ON given.control_id = same.control_id
WHERE action.tenant_id = :tenant_id AND same.tenant_id = action.tenant_id AND same.control_id = action.control_id
  AND (action.regressed_on, action.regressed_from) IS DISTINCT FROM (given.day, given.points)
"""


async def rebuild_history(session: Session, tenant_id: str, since: date | None = None) -> None:
    """Derive the changes from the day `since` on (all when None), and mark what regressed."""
    await session.execute(text(SPANS), {"tenant_id": tenant_id})
    days, scores = await _series(session, tenant_id, since)
    if since is not None and days and days[0].day >= since:
        # There is no older snapshot to compare with, so this is everything.
        since = None
    elif since is not None and _begins_unknown(days, scores):
        # The last known points lie further back, and a fall after an unknown day would be missed.
        since = None
        days, scores = await _series(session, tenant_id, None)
    changes = changes_of(days, scores, await _decisions(session, tenant_id))
    await session.execute(
        text(
            "DELETE FROM score_change WHERE tenant_id = :tenant_id AND (CAST(:since AS date) IS NULL OR day >= :since)"
        ),
        {"tenant_id": tenant_id, "since": since},
    )
    if changes:
        values = columns(changes, "control_id", "day", "since", "before", "after", "max_before", "max_after")
        await session.execute(
            text(CHANGES), {"tenant_id": tenant_id, "kind": [str(change.kind) for change in changes]} | values
        )
    marks = marks_of(await _all_changes(session, tenant_id))
    await session.execute(text(MARKS), {"tenant_id": tenant_id, **_mark_columns(marks)})


def _begins_unknown(days: Sequence[Day], scores: Mapping[str, Mapping[int, Point]]) -> bool:
    """Whether any control's points are unknown on the first day."""
    first = [by_day[days[0].key] for by_day in scores.values() if days[0].key in by_day] if days else []
    return any(point.points is None for point in first)


async def _series(
    session: Session, tenant_id: str, since: date | None
) -> tuple[list[Day], dict[str, dict[int, Point]]]:
    """The snapshots from the last one before `since` on, with every control's points."""
    found = await session.execute(
        text(
            "SELECT id, day, created_at FROM score_snapshot WHERE tenant_id = :tenant_id AND control_count > 0 "
            "AND NOT is_gap AND (CAST(:since AS date) IS NULL OR created_at >= COALESCE(("
            "SELECT max(created_at) FROM score_snapshot WHERE tenant_id = :tenant_id AND control_count > 0 AND NOT is_gap "
            "AND day < :since), '-infinity')) "
            "ORDER BY created_at, graph_id"
        ),
        {"tenant_id": tenant_id, "since": since},
    )
    days = [Day(key, day, created_at) for key, day, created_at in found.all()]
    rows = await session.execute(
        text("SELECT control_id, snapshot_id, points, percent FROM control_score WHERE snapshot_id = ANY(:ids)"),
        {"ids": [day.key for day in days]},
    )
    scores: dict[str, dict[int, Point]] = {}
    for control_id, snapshot_id, points, percent in rows.all():
        scores.setdefault(control_id, {})[snapshot_id] = Point(points, percent)
    return days, scores


async def _decisions(session: Session, tenant_id: str) -> Mapping[str, list[datetime]]:
    """The times at which each control's state became another one at Microsoft."""
    found = await session.execute(
        text(
            "SELECT control_id, profile_raw -> 'controlStateUpdates' FROM improvement_action "
            "WHERE tenant_id = :tenant_id AND state_at IS NOT NULL"
        ),
        {"tenant_id": tenant_id},
    )
    return {control_id: _state_changes(objects(updates)) for control_id, updates in found.all()}


def _state_changes(updates: list[dict[str, Any]]) -> list[datetime]:
    """The times of updates that changed the state. Those for a comment or an owner keep it, and are none."""
    dated = [(at, label(update.get("state"))) for update in updates if (at := moment(update.get("updatedDateTime")))]
    changes, before = [], Status.TO_ADDRESS
    for at, state in sorted(dated, key=lambda one: one[0]):
        status = status_of_state(state)
        if status is not before:
            changes.append(at)
        before = status
    return changes


async def _all_changes(session: Session, tenant_id: str) -> list[Change]:
    found = await session.execute(
        text(
            "SELECT control_id, day, since, kind, points_before, points_after, max_before, max_after "
            "FROM score_change WHERE tenant_id = :tenant_id ORDER BY day, id"
        ),
        {"tenant_id": tenant_id},
    )
    return [
        Change(control_id, day, since, ChangeKind(kind), before, after, max_before, max_after)
        for control_id, day, since, kind, before, after, max_before, max_after in found.all()
    ]


def _mark_columns(marks: Mapping[str, Mark]) -> dict[str, list[Any]]:
    return {
        "control_id": list(marks),
        "day": [mark.on for mark in marks.values()],
        "points": [mark.points for mark in marks.values()],
    }
