"""Upsert parsed snapshots and profiles, many rows per statement. Never deletes an action."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy import text

from app.core import clock
from app.core.database import Session
from app.features.secure_score.sync.parse_graph import ProfileRow, ScoreRow, SnapshotRow
from app.features.secure_score.vocabulary import category_of


@dataclass(frozen=True)
class UpsertResult:
    """How many rows of a batch were new and how many had changed; `earliest` is the first day that was written."""

    new: int
    changed: int
    earliest: date | None = None


# A snapshot is 15 to 62 KB of JSON, and a batch is in memory twice: docs/facts/microsoft-graph.md#1-6-paging-size-throttling
SNAPSHOT_BATCH = 15


async def lock_tenant(session: Session, tenant_id: str) -> None:
    """Serialize the writes of a tenant's imports over all processes, until the transaction ends."""
    # The command line imports as well, and knows nothing of the queue's lock.
    # https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"secure_score {tenant_id}"})


# A whole day is kept when a later answer lacks its controls, and an unchanged one is not written: the `WHERE` spares the
# scores of up to 90 days at each import. `xmax = 0` tells an insert from an update.
SNAPSHOTS = """
INSERT INTO score_snapshot (tenant_id, graph_id, day, created_at, points, max_points, control_count, control_points,
                            enabled_services, comparisons, active_users, licensed_users, raw, imported_at)
SELECT :tenant_id, graph_id, day, created_at, points, max_points, control_count, control_points,
       enabled_services::jsonb, comparisons::jsonb, active_users, licensed_users, raw, :now
FROM ROWS FROM (unnest(CAST(:graph_id AS text[]), CAST(:day AS date[]), CAST(:created_at AS timestamptz[]),
            CAST(:points AS float8[]), CAST(:max_points AS float8[]), CAST(:control_count AS int[]),
            CAST(:control_points AS float8[]), CAST(:enabled_services AS text[]), CAST(:comparisons AS text[]),
            CAST(:active_users AS bigint[]), CAST(:licensed_users AS bigint[])),
            jsonb_array_elements(CAST(:raw AS jsonb)))
  AS given (graph_id, day, created_at, points, max_points, control_count, control_points,
            enabled_services, comparisons, active_users, licensed_users, raw)
ON CONFLICT (tenant_id, graph_id) DO UPDATE SET
  day = excluded.day, created_at = excluded.created_at, points = excluded.points, max_points = excluded.max_points,
  control_count = CASE WHEN excluded.control_count > 0 THEN excluded.control_count
                       ELSE score_snapshot.control_count END,
  control_points = CASE WHEN excluded.control_count > 0 THEN excluded.control_points
                        ELSE score_snapshot.control_points END,
  enabled_services = excluded.enabled_services, comparisons = excluded.comparisons,
  active_users = excluded.active_users, licensed_users = excluded.licensed_users,
  raw = excluded.raw, imported_at = excluded.imported_at
WHERE score_snapshot.raw <> excluded.raw OR (score_snapshot.control_count = 0 AND excluded.control_count > 0)
RETURNING id, graph_id, day, (xmax = 0) AS is_new
"""
SCORES = """
INSERT INTO control_score (snapshot_id, control_id, points, percent)
SELECT * FROM unnest(CAST(:snapshot_id AS bigint[]), CAST(:control_id AS text[]),
                     CAST(:points AS float8[]), CAST(:percent AS float8[]))
"""
# A scored control may have no profile; its row then has a name and a category only: docs/facts/microsoft-graph.md#edge-24
SCORED_CONTROLS = """
INSERT INTO improvement_action (tenant_id, control_id, first_seen_at, has_profile, title, service, category, category_raw,
  tier, user_impact, implementation_cost, action_type, action_url, threats, remediation, remediation_impact, deprecated,
  state, state_by, state_comment, profile_hash, scored, description, implementation_status)
SELECT :tenant_id, control_id, :now, false, '', '', category, category_raw, '', 'unknown', 'unknown', '', '', '[]', '', '',
  false, '', '', '', '', false, '', ''
FROM unnest(CAST(:control_id AS text[]), CAST(:category AS text[]), CAST(:category_raw AS text[]))
  AS given (control_id, category, category_raw)
ON CONFLICT DO NOTHING
"""


async def upsert_snapshots(session: Session, tenant_id: str, rows: Sequence[SnapshotRow]) -> UpsertResult:
    """Insert or update by Graph's id, which is the same for one day at every import."""
    # docs/facts/microsoft-graph.md#edge-19
    touched: list[tuple[bool, date]] = []
    for start in range(0, len(rows), SNAPSHOT_BATCH):
        touched += await _upsert_batch(session, tenant_id, rows[start : start + SNAPSHOT_BATCH])
    new = sum(is_new for is_new, _ in touched)
    return UpsertResult(new, len(touched) - new, min((day for _, day in touched), default=None))


async def _upsert_batch(session: Session, tenant_id: str, rows: Sequence[SnapshotRow]) -> list[tuple[bool, date]]:
    """For each row that was written: whether it is new, and its day."""
    written = await session.execute(
        text(SNAPSHOTS),
        {
            "tenant_id": tenant_id,
            "now": clock.now(),
            "control_count": [len(row.controls or ()) for row in rows],
            "enabled_services": [json.dumps(row.enabled_services) for row in rows],
            "comparisons": [json.dumps([asdict(entry) for entry in row.comparisons]) for row in rows],
            # One long text: as an array of texts, every quotation mark in it would have to be escaped.
            "raw": f"[{','.join(row.raw for row in rows)}]",
            **columns(
                rows,
                "graph_id", "day", "created_at", "points", "max_points", "control_points",
                "active_users", "licensed_users",
            ),
        },
    )  # fmt: skip
    touched = written.all()
    by_graph_id = {row.graph_id: row for row in rows}
    scores = [(line.id, score) for line in touched for score in by_graph_id[line.graph_id].controls or ()]
    await _replace_scores(session, scores)
    await _insert_controls(session, tenant_id, [score for _, score in scores])
    return [(line.is_new, line.day) for line in touched]


async def _replace_scores(session: Session, scores: Sequence[tuple[int, ScoreRow]]) -> None:
    if not scores:
        return
    await session.execute(
        text("DELETE FROM control_score WHERE snapshot_id = ANY(:ids)"), {"ids": list({key for key, _ in scores})}
    )
    await session.execute(
        text(SCORES),
        {"snapshot_id": [key for key, _ in scores]}
        | columns([score for _, score in scores], "control_id", "points", "percent"),
    )


async def _insert_controls(session: Session, tenant_id: str, scores: Sequence[ScoreRow]) -> None:
    """Give every scored control a row, so that the history can name it."""
    raw = {score.control_id: score.category_raw for score in scores}
    if raw:
        await session.execute(
            text(SCORED_CONTROLS),
            {
                "tenant_id": tenant_id,
                "now": clock.now(),
                "control_id": list(raw),
                "category": [category_of(name) or "" for name in raw.values()],
                "category_raw": list(raw.values()),
            },
        )


# A category that Graph leaves out keeps the one that the score gave. `profile_changed_at` is the day of the import that
# found another text, because Graph's own date is always null: docs/facts/microsoft-graph.md#edge-20
PROFILES = """
INSERT INTO improvement_action (tenant_id, control_id, first_seen_at, has_profile, title, service, category, category_raw,
  max_points, rank, tier, user_impact, implementation_cost, action_type, action_url, threats, remediation,
  remediation_impact, deprecated, state, state_at, state_by, state_comment, profile_raw, profile_hash, profile_seen_at,
  profile_changed_at, scored, description, implementation_status)
SELECT :tenant_id, control_id, :now, true, title, service, category, category_raw, max_points, rank, tier, user_impact,
  implementation_cost, action_type, action_url, threats::jsonb, remediation, remediation_impact, deprecated, state,
  state_at, state_by, state_comment, raw, content_hash, :now, modified_at, false, '', ''
FROM ROWS FROM (unnest(CAST(:control_id AS text[]), CAST(:title AS text[]), CAST(:service AS text[]), CAST(:category AS text[]),
  CAST(:category_raw AS text[]), CAST(:max_points AS float8[]), CAST(:rank AS bigint[]), CAST(:tier AS text[]),
  CAST(:user_impact AS text[]), CAST(:implementation_cost AS text[]), CAST(:action_type AS text[]),
  CAST(:action_url AS text[]), CAST(:threats AS text[]), CAST(:remediation AS text[]),
  CAST(:remediation_impact AS text[]), CAST(:deprecated AS bool[]), CAST(:state AS text[]),
  CAST(:state_at AS timestamptz[]), CAST(:state_by AS text[]), CAST(:state_comment AS text[]),
  CAST(:modified_at AS timestamptz[]), CAST(:content_hash AS text[])), jsonb_array_elements(CAST(:raw AS jsonb)))
  AS given (control_id, title, service, category, category_raw, max_points, rank, tier, user_impact, implementation_cost,
            action_type, action_url, threats, remediation, remediation_impact, deprecated, state, state_at, state_by,
            state_comment, modified_at, content_hash, raw)
ON CONFLICT (tenant_id, control_id) DO UPDATE SET
  has_profile = true, title = excluded.title, service = excluded.service,
  category = CASE WHEN excluded.category = '' THEN improvement_action.category ELSE excluded.category END,
  category_raw = CASE WHEN excluded.category_raw = '' THEN improvement_action.category_raw ELSE excluded.category_raw END,
  max_points = excluded.max_points, rank = excluded.rank, tier = excluded.tier, user_impact = excluded.user_impact,
  implementation_cost = excluded.implementation_cost, action_type = excluded.action_type,
  action_url = excluded.action_url, threats = excluded.threats, remediation = excluded.remediation,
  remediation_impact = excluded.remediation_impact, deprecated = excluded.deprecated, state = excluded.state,
  state_at = excluded.state_at, state_by = excluded.state_by, state_comment = excluded.state_comment,
  profile_raw = excluded.profile_raw, profile_hash = excluded.profile_hash, profile_seen_at = excluded.profile_seen_at,
  profile_changed_at = CASE
    WHEN improvement_action.has_profile AND improvement_action.profile_hash <> excluded.profile_hash
      THEN COALESCE(excluded.profile_changed_at, :now)
    ELSE COALESCE(excluded.profile_changed_at, improvement_action.profile_changed_at) END
"""


async def upsert_profiles(session: Session, tenant_id: str, rows: Sequence[ProfileRow]) -> UpsertResult:
    """Insert or update by control id; other profiles stay, because a catalog may break off.

    Source: docs/facts/microsoft-graph.md#edge-1
    """
    if not rows:
        return UpsertResult(0, 0)
    found = await session.execute(
        text("SELECT control_id, profile_hash FROM improvement_action WHERE tenant_id = :tenant_id AND has_profile"),
        {"tenant_id": tenant_id},
    )
    known: dict[str, str] = {row.control_id: row.profile_hash for row in found}
    await session.execute(
        text(PROFILES),
        {
            "tenant_id": tenant_id,
            "now": clock.now(),
            "threats": [json.dumps(row.threats) for row in rows],
            "raw": f"[{','.join(row.raw for row in rows)}]",
            **columns(
                rows,
                "control_id", "title", "service", "category", "category_raw", "max_points", "rank", "tier",
                "user_impact", "implementation_cost", "action_type", "action_url", "remediation",
                "remediation_impact", "deprecated", "state", "state_at", "state_by", "state_comment", "modified_at",
                "content_hash",
            ),
        },
    )  # fmt: skip
    new = sum(row.control_id not in known for row in rows)
    changed = sum(known.get(row.control_id, row.content_hash) != row.content_hash for row in rows)
    return UpsertResult(new, changed)


# The profile's category wins over the score's.
NEWEST = """
UPDATE improvement_action AS action SET
  scored = true, points = given.points, percent = given.percent, description = given.description,
  implementation_status = given.implementation_status, switched_on = given.switched_on, counted = given.counted,
  counted_of = given.counted_of, last_synced_at = given.last_synced_at, not_scored = given.not_scored,
  category = CASE WHEN action.category = '' THEN given.category ELSE action.category END,
  category_raw = CASE WHEN action.category_raw = '' THEN given.category_raw ELSE action.category_raw END
FROM unnest(CAST(:control_id AS text[]), CAST(:points AS float8[]), CAST(:percent AS float8[]),
  CAST(:description AS text[]), CAST(:implementation_status AS text[]), CAST(:switched_on AS bool[]),
  CAST(:counted AS bigint[]), CAST(:counted_of AS bigint[]), CAST(:last_synced_at AS timestamptz[]),
  CAST(:category AS text[]), CAST(:category_raw AS text[]), CAST(:not_scored AS bool[]))
  AS given (control_id, points, percent, description, implementation_status, switched_on, counted, counted_of,
            last_synced_at, category, category_raw, not_scored)
WHERE action.tenant_id = :tenant_id AND action.control_id = given.control_id
"""
# Archived instead of deleted: tickets and history refer to it. docs/facts/microsoft-graph.md#edge-28
ARCHIVE = """
UPDATE improvement_action SET scored = false, points = NULL, percent = NULL, switched_on = NULL, counted = NULL,
  counted_of = NULL, not_scored = false
WHERE tenant_id = :tenant_id AND scored AND control_id <> ALL(:control_id)
"""


async def apply_newest(session: Session, tenant_id: str, newest: SnapshotRow) -> None:
    """Copy the newest snapshot's points to the actions and archive those that it lacks.

    Does nothing when a newer one is stored, or when this one is probably a gap.
    """
    found = await session.execute(
        text(
            "SELECT max(created_at) FILTER (WHERE NOT is_gap) AS newest_stored, "
            "COALESCE(bool_or(is_gap) FILTER (WHERE graph_id = :graph_id), false) AS is_gap "
            "FROM score_snapshot WHERE tenant_id = :tenant_id AND control_count > 0"
        ),
        {"tenant_id": tenant_id, "graph_id": newest.graph_id},
    )
    stored = found.one()
    is_older = stored.newest_stored is not None and stored.newest_stored > newest.created_at
    if not newest.controls or is_older or stored.is_gap:
        return
    await session.execute(
        text(NEWEST),
        {
            "tenant_id": tenant_id,
            "category": [category_of(row.category_raw) or "" for row in newest.controls],
            **columns(
                newest.controls,
                "control_id", "points", "percent", "description", "implementation_status", "switched_on", "counted",
                "counted_of", "last_synced_at", "category_raw", "not_scored",
            ),
        },
    )  # fmt: skip
    await session.execute(
        text(ARCHIVE), {"tenant_id": tenant_id, "control_id": [row.control_id for row in newest.controls]}
    )


def columns(rows: Sequence[object], *names: str) -> dict[str, list[Any]]:
    """One list per column, as unnest takes them."""
    return {name: [getattr(row, name) for row in rows] for name in names}
