"""Recognize a control that Microsoft gave a new id, and let its action go on under it. Ambiguous cases stay two actions.

Real data has `MDA_Google_EnableTwoFactorAuth` in 2024 and `11770.MDA_Google_EnableTwoFactorAuth` in 2026:
docs/facts/microsoft-graph.md#1-4-securescorecontrolprofile
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import select, text

from app.core import clock
from app.core.database import Session
from app.core.logging import get_logger
from app.core.nested_rows import nested
from app.features.secure_score.actions.action_details import ActionDetail, find_detail
from app.features.secure_score.models import ControlRename, ImprovementAction
from app.features.secure_score.sync.parse_graph import SnapshotRow

log = get_logger(__name__)

# The number of an app's instance, as Microsoft writes it before the id.
PREFIX = re.compile(r"^\d+\.")
# Points. Graph sends rounded numbers.
SAME_POINTS = 0.005

# Another feature's rows about the actions follow them too; features above this one add themselves here. They are given all
# (old id, new id) at once, so that they can lock rows in an order of theirs.
Follower = Callable[[Session, Sequence[tuple[str, str]]], Awaitable[None]]
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


# Which ids come after the first snapshot, and which do not come in the last. All others are the same control all the time.
SPANS = """
WITH day AS MATERIALIZED (
  SELECT id, row_number() OVER (ORDER BY created_at, graph_id) AS number
  FROM score_snapshot WHERE tenant_id = :tenant_id AND control_count > 0 AND NOT is_gap)
SELECT score.control_id, min(day.number) AS first_seen, max(day.number) AS last_seen
FROM control_score score JOIN day ON day.id = score.snapshot_id
GROUP BY score.control_id
HAVING min(day.number) > 1 OR max(day.number) < (SELECT max(number) FROM day)
ORDER BY score.control_id
"""
# Every row is found by a key, so that no plan of PostgreSQL's compares all with all.
CANDIDATES = """
WITH day AS MATERIALIZED (
  SELECT id, day, row_number() OVER (ORDER BY created_at, graph_id) AS number
  FROM score_snapshot WHERE tenant_id = :tenant_id AND control_count > 0 AND NOT is_gap)
SELECT pair.old_id, pair.new_id, after.day, gone.points AS points_before, come.points AS points_after,
       COALESCE(was.title, '') AS old_title, COALESCE(is_now.title, '') AS new_title
FROM unnest(CAST(:old_ids AS text[]), CAST(:new_ids AS text[]), CAST(:numbers AS int[])) pair (old_id, new_id, number)
JOIN day before ON before.number = pair.number - 1
JOIN day after ON after.number = pair.number
JOIN control_score gone ON gone.snapshot_id = before.id AND gone.control_id = pair.old_id
JOIN control_score come ON come.snapshot_id = after.id AND come.control_id = pair.new_id
LEFT JOIN improvement_action was ON was.tenant_id = :tenant_id AND was.control_id = pair.old_id
LEFT JOIN improvement_action is_now ON is_now.tenant_id = :tenant_id AND is_now.control_id = pair.new_id
ORDER BY after.day, pair.old_id
"""
# (old id, new id, number of the first snapshot that has the new one)
Pair = tuple[str, str, int]


async def find_renames(session: Session, tenant_id: str) -> list[Rename]:
    """Find renames in all stored days and carry them out but for other features; gives those that are new."""
    spans = await session.execute(text(SPANS), {"tenant_id": tenant_id})
    pairs = pairs_of([(row.control_id, row.first_seen, row.last_seen) for row in spans])
    if not pairs:
        return []
    old_ids, new_ids, numbers = (list(column) for column in zip(*pairs, strict=True))
    given = {"tenant_id": tenant_id, "old_ids": old_ids, "new_ids": new_ids, "numbers": numbers}
    found = await session.execute(text(CANDIDATES), given)
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


def pairs_of(spans: Iterable[tuple[str, int, int]]) -> list[Pair]:
    """Ids that end with one snapshot and ids that begin with the next, paired by their text without the prefix.

    `spans` are (id, number of the first snapshot that has it, number of the last). Of several that fit one another none is
    paired: which of them goes on as which cannot be known (docs/facts/microsoft-graph.md#edge-26).
    """
    ended: dict[tuple[str, int], list[str]] = {}
    begun: dict[tuple[str, int], list[str]] = {}
    for control_id, first_seen, last_seen in spans:
        stem = PREFIX.sub("", control_id)
        ended.setdefault((stem, last_seen + 1), []).append(control_id)
        begun.setdefault((stem, first_seen), []).append(control_id)
    return [
        (old_ids[0], begun[place][0], place[1])
        for place, old_ids in ended.items()
        if len(old_ids) == len(begun.get(place, ())) == 1
    ]


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
    await session.merge(
        ControlRename(
            tenant_id=tenant_id, old_id=rename.old_id, new_id=rename.new_id, day=rename.day, found_at=clock.now()
        )
    )


async def let_others_follow(session: Session, renames: Sequence[Rename]) -> None:
    """Let the rows of other features follow. They lock what others work with, so this comes last in its transaction."""
    if renames:
        for follow in FOLLOWERS:
            await follow(session, [(rename.old_id, rename.new_id) for rename in renames])


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


async def detail_or_new_id(session: Session, tenant_id: str, control_id: str) -> tuple[ActionDetail | None, str]:
    """The action, and the id under which it goes on, as `current_id`; in one statement where there is an action."""
    renames = select(ControlRename.old_id, ControlRename.new_id, ControlRename.day)
    renames = renames.where(ControlRename.tenant_id == tenant_id).order_by(ControlRename.day)
    detail = await find_detail(session, tenant_id, control_id, nested(renames))
    if detail is None:
        return None, await renamed_to(session, tenant_id, control_id)
    if detail.line.scored:
        return detail, control_id
    known = [Rename(row["old_id"], row["new_id"], date.fromisoformat(row["day"])) for row in detail.also[0]]
    return detail, _after(known, control_id)


def _after(renames: Sequence[Rename], control_id: str) -> str:
    """`renames` are the oldest first."""
    for rename in renames:
        if rename.old_id == control_id:
            control_id = rename.new_id
    return control_id
