"""Recognize a control that Microsoft gave a new id, and let its action go on under it. Ambiguous cases stay two actions.

Real data has `MDA_Google_EnableTwoFactorAuth` in 2024 and `11770.MDA_Google_EnableTwoFactorAuth` in 2026:
docs/facts/microsoft-graph.md#1-4-securescorecontrolprofile
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import select, text

from app.core import clock
from app.core.database import Session
from app.core.logging import get_logger
from app.features.secure_score.models import ControlRename, ImprovementAction
from app.features.secure_score.sync.parse_graph import SnapshotRow

log = get_logger(__name__)

# The number of an app's instance, as Microsoft writes it before the id.
PREFIX = re.compile(r"^\d+\.")
# Points. Graph sends rounded numbers.
SAME_POINTS = 0.005

# Another feature's rows about the action follow it too; features above this one add themselves here.
Follower = Callable[[Session, str, str], Awaitable[None]]
FOLLOWERS: list[Follower] = []


@dataclass(frozen=True)
class Rename:
    """From the snapshot of `day` on, the control is `new_id`."""

    old_id: str
    new_id: str
    day: date


@dataclass(frozen=True)
class Candidate:
    """One id that was last seen on the day before another appeared, both with their points and titles."""

    rename: Rename
    points: tuple[float | None, float | None]
    titles: tuple[str, str]


# Ids that end with one snapshot and ids that begin with the next, paired by their text without the prefix. Those that neither
# end nor begin are left out first, and each text is made once: a plan of nested loops would make it for every pair of ids.
CANDIDATES = r"""
WITH day AS (
  SELECT id, day, row_number() OVER (ORDER BY created_at, graph_id) AS number
  FROM score_snapshot WHERE tenant_id = :tenant_id AND control_count > 0 AND NOT is_gap),
span AS (
  SELECT score.control_id, regexp_replace(score.control_id, '^\d+\.', '') AS stem,
         min(day.number) AS first_seen, max(day.number) AS last_seen
  FROM control_score score JOIN day ON day.id = score.snapshot_id GROUP BY score.control_id),
ended AS MATERIALIZED (SELECT * FROM span WHERE last_seen < (SELECT max(number) FROM day)),
begun AS MATERIALIZED (SELECT * FROM span WHERE first_seen > 1)
SELECT old.control_id AS old_id, new.control_id AS new_id, after.day, gone.points AS points_before,
       come.points AS points_after, COALESCE(was.title, '') AS old_title, COALESCE(is_now.title, '') AS new_title
FROM ended old
JOIN begun new ON new.first_seen = old.last_seen + 1 AND new.control_id <> old.control_id AND new.stem = old.stem
JOIN day before ON before.number = old.last_seen
JOIN day after ON after.number = new.first_seen
JOIN control_score gone ON gone.snapshot_id = before.id AND gone.control_id = old.control_id
JOIN control_score come ON come.snapshot_id = after.id AND come.control_id = new.control_id
LEFT JOIN improvement_action was ON was.tenant_id = :tenant_id AND was.control_id = old.control_id
LEFT JOIN improvement_action is_now ON is_now.tenant_id = :tenant_id AND is_now.control_id = new.control_id
ORDER BY after.day, old.control_id, new.control_id
"""


async def find_renames(session: Session, tenant_id: str) -> list[Rename]:
    """Find renames in all stored days and carry them out; gives those that are new."""
    found = await session.execute(text(CANDIDATES), {"tenant_id": tenant_id})
    candidates = [
        Candidate(
            Rename(row.old_id, row.new_id, row.day),
            (row.points_before, row.points_after),
            (row.old_title, row.new_title),
        )
        for row in found
    ]
    renames = certain(candidates)
    for rename in renames:
        await _carry_out(session, tenant_id, rename)
        log.info("secure_score.control.renamed", old=rename.old_id, new=rename.new_id, day=rename.day.isoformat())
    return renames


def certain(candidates: Sequence[Candidate]) -> list[Rename]:
    """The candidates of which there is no doubt."""
    # Several instances of one app are several actions: docs/facts/microsoft-graph.md#edge-26
    olds = Counter(one.rename.old_id for one in candidates)
    news = Counter(one.rename.new_id for one in candidates)
    return [
        one.rename
        for one in candidates
        if olds[one.rename.old_id] == 1 and news[one.rename.new_id] == 1 and _is_same(one)
    ]


def _is_same(one: Candidate) -> bool:
    has_prefix = [PREFIX.match(control_id) is not None for control_id in (one.rename.old_id, one.rename.new_id)]
    # Two different numbers are two instances of the app: one was disconnected and another one connected.
    if has_prefix[0] == has_prefix[1]:
        return False
    before, after = one.points
    if before is None or after is None or abs(before - after) > SAME_POINTS:
        return False
    titles = {title.casefold() for title in one.titles if title}
    return len(titles) < 2


# What people wrote moves to the new id; where both have a row that can be there once only, the new one's stays.
MOVES = (
    "UPDATE control_score SET control_id = :new FROM score_snapshot snapshot WHERE snapshot.id = snapshot_id"
    " AND snapshot.tenant_id = :tenant_id AND control_id = :old AND snapshot.day < :day",
    "UPDATE status_change SET control_id = :new WHERE tenant_id = :tenant_id AND control_id = :old",
    "UPDATE action_note SET control_id = :new WHERE tenant_id = :tenant_id AND control_id = :old",
    "UPDATE action_plan SET control_id = :new WHERE tenant_id = :tenant_id AND control_id = :old AND NOT EXISTS"
    " (SELECT 1 FROM action_plan other WHERE other.tenant_id = :tenant_id AND other.control_id = :new)",
    "DELETE FROM action_plan WHERE tenant_id = :tenant_id AND control_id = :old",
    "INSERT INTO action_tag (tenant_id, control_id, tag) SELECT tenant_id, :new, tag FROM action_tag"
    " WHERE tenant_id = :tenant_id AND control_id = :old ON CONFLICT DO NOTHING",
    "DELETE FROM action_tag WHERE tenant_id = :tenant_id AND control_id = :old",
    "UPDATE improvement_action SET first_seen_at = LEAST(first_seen_at, (SELECT old.first_seen_at FROM improvement_action old"
    " WHERE old.tenant_id = :tenant_id AND old.control_id = :old)) WHERE tenant_id = :tenant_id AND control_id = :new",
    # Its place is taken; a catalog that still lists the old id adds it again, as an action without a score.
    "DELETE FROM improvement_action WHERE tenant_id = :tenant_id AND control_id = :old",
)


async def _carry_out(session: Session, tenant_id: str, rename: Rename) -> None:
    values: dict[str, Any] = {
        "tenant_id": tenant_id, "old": rename.old_id, "new": rename.new_id, "day": rename.day,
    }  # fmt: skip
    for statement in MOVES:
        await session.execute(text(statement), values)
    for follow in FOLLOWERS:
        await follow(session, rename.old_id, rename.new_id)
    await session.merge(
        ControlRename(
            tenant_id=tenant_id, old_id=rename.old_id, new_id=rename.new_id, day=rename.day, found_at=clock.now()
        )
    )


async def known_renames(session: Session, tenant_id: str) -> list[Rename]:
    """The oldest first."""
    found = await session.execute(
        select(ControlRename).where(ControlRename.tenant_id == tenant_id).order_by(ControlRename.day)
    )
    return [Rename(row.old_id, row.new_id, row.day) for row in found.scalars()]


def under_new_ids(rows: Sequence[SnapshotRow], renames: Sequence[Rename]) -> list[SnapshotRow]:
    """Days from before a rename with the control's new id, so that reading them again does not bring the old one back."""
    return (
        [_under_new_ids(row, [one for one in renames if row.day < one.day]) for row in rows] if renames else list(rows)
    )


def _under_new_ids(row: SnapshotRow, renames: Sequence[Rename]) -> SnapshotRow:
    controls = row.controls or []
    for rename in renames:
        present = {control.control_id for control in controls}
        if rename.old_id in present and rename.new_id not in present:
            controls = [
                replace(control, control_id=rename.new_id) if control.control_id == rename.old_id else control
                for control in controls
            ]
    return replace(row, controls=controls) if row.controls else row


async def current_id(session: Session, tenant_id: str, control_id: str) -> str:
    """The id under which an action goes on: its own unless it was renamed and is not scored itself."""
    action = await session.get(ImprovementAction, (tenant_id, control_id))
    if action is not None and action.scored:
        return control_id
    return await renamed_to(session, tenant_id, control_id)


async def current_ids(session: Session, tenant_id: str, control_ids: Sequence[str]) -> list[str]:
    """`current_id` of each, every one once, in two statements however many they are."""
    if not control_ids:
        return []
    found = await session.execute(
        select(ImprovementAction.control_id).where(
            ImprovementAction.tenant_id == tenant_id,
            ImprovementAction.control_id.in_(list(control_ids)),
            ImprovementAction.scored,
        )
    )
    scored = set(found.scalars())
    renames = [] if scored.issuperset(control_ids) else await known_renames(session, tenant_id)
    current = dict.fromkeys(control_ids, "")
    for control_id in current:
        current[control_id] = control_id if control_id in scored else _after(renames, control_id)
    return list(dict.fromkeys(current.values()))


async def renamed_to(session: Session, tenant_id: str, control_id: str) -> str:
    """The id that a control without a score of its own was given last; the same one where it was never renamed."""
    return _after(await known_renames(session, tenant_id), control_id)


def _after(renames: Sequence[Rename], control_id: str) -> str:
    """`renames` are the oldest first."""
    for rename in renames:
        if rename.old_id == control_id:
            control_id = rename.new_id
    return control_id
