"""Tables of Secure Score. Graph's raw JSON is stored beside the typed columns that the pages read.

A constraint of all of them: data of two tenants is kept strictly apart. docs/facts/microsoft-graph.md#edge-31
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Id
from app.core.page_versions import bump_on_change


class ScoreSnapshot(Base):
    """A tenant's score on one day, by Graph's id. Two ids may share a day."""

    # Without retention: Graph keeps 90 days, and the trends of a year need more: docs/facts/microsoft-graph.md#edge-48

    __tablename__ = "score_snapshot"
    __table_args__ = (
        UniqueConstraint("tenant_id", "graph_id"),
        Index("ix_score_snapshot_newest", "tenant_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[str]
    graph_id: Mapped[str]
    day: Mapped[date]
    created_at: Mapped[datetime]
    points: Mapped[float | None]
    max_points: Mapped[float | None]
    control_count: Mapped[int]
    # The sum of the controls' points, which can differ from `points`: docs/facts/microsoft-graph.md#edge-16
    control_points: Mapped[float | None]
    enabled_services: Mapped[list[str]]
    comparisons: Mapped[list[Any]]
    # bigint, because absurd values have been seen: docs/facts/microsoft-graph.md#edge-21
    active_users: Mapped[int | None] = mapped_column(BigInteger)
    licensed_users: Mapped[int | None] = mapped_column(BigInteger)
    raw: Mapped[dict[str, Any]] = mapped_column(JSONB, deferred=True)
    # Probably a gap in Microsoft's data: `sync.find_gaps` decides, and everything derived leaves the day out.
    is_gap: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    imported_at: Mapped[datetime]


class ControlScore(Base):
    """One control's points in one snapshot; None is unknown, which differs from 0."""

    __tablename__ = "control_score"
    __table_args__ = (Index("ix_control_score_control_id", "control_id", "snapshot_id"),)

    snapshot_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("score_snapshot.id", ondelete="CASCADE"), primary_key=True
    )
    control_id: Mapped[str] = mapped_column(primary_key=True)
    points: Mapped[float | None]
    percent: Mapped[float | None]


class ImprovementAction(Base):
    """One control of one tenant: its profile, and its points in the newest snapshot. Never deleted, as tickets refer to it.

    `scored` is whether the newest snapshot holds it, `has_profile` whether the catalog does: neither covers the other
    (docs/facts/microsoft-graph.md#1-6-paging-size-throttling). `category` is one of the five a ticket may carry, or empty.
    Graph's HTML is stored unchanged, and sanitized when shown.
    """

    __tablename__ = "improvement_action"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    control_id: Mapped[str] = mapped_column(primary_key=True)
    first_seen_at: Mapped[datetime]

    has_profile: Mapped[bool] = mapped_column(default=False)
    title: Mapped[str] = mapped_column(default="")
    service: Mapped[str] = mapped_column(default="")
    category: Mapped[str] = mapped_column(default="")
    category_raw: Mapped[str] = mapped_column(default="")
    max_points: Mapped[float | None]
    rank: Mapped[int | None] = mapped_column(BigInteger)
    tier: Mapped[str] = mapped_column(default="")
    user_impact: Mapped[str] = mapped_column(default="unknown")
    implementation_cost: Mapped[str] = mapped_column(default="unknown")
    action_type: Mapped[str] = mapped_column(default="")
    action_url: Mapped[str] = mapped_column(default="")
    threats: Mapped[list[str]] = mapped_column(default=list)
    remediation: Mapped[str] = mapped_column(Text, default="", deferred=True)
    remediation_impact: Mapped[str] = mapped_column(Text, default="", deferred=True)
    deprecated: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(default="")
    state_at: Mapped[datetime | None]
    state_by: Mapped[str] = mapped_column(default="")
    state_comment: Mapped[str] = mapped_column(default="")
    profile_raw: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True), deferred=True)
    profile_hash: Mapped[str] = mapped_column(default="")
    profile_seen_at: Mapped[datetime | None]
    profile_changed_at: Mapped[datetime | None]

    scored: Mapped[bool] = mapped_column(default=False)
    # Microsoft's mark on an entry that is worth no points: docs/facts/microsoft-graph.md#1-3-controlscores
    not_scored: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    points: Mapped[float | None]
    percent: Mapped[float | None]
    description: Mapped[str] = mapped_column(Text, default="", deferred=True)
    implementation_status: Mapped[str] = mapped_column(Text, default="", deferred=True)
    switched_on: Mapped[bool | None]
    counted: Mapped[int | None] = mapped_column(BigInteger)
    counted_of: Mapped[int | None] = mapped_column(BigInteger)
    last_synced_at: Mapped[datetime | None]
    first_scored_on: Mapped[date | None]
    last_scored_on: Mapped[date | None]
    added_on: Mapped[date | None]  # None for controls of the first stored day, which may be older.
    regressed_on: Mapped[date | None]
    regressed_from: Mapped[float | None]


class ScoreChange(Base):
    """What changed for one control between two snapshots. Derived: rebuilt from the snapshots at every import.

    `kind` is a `sync.score_changes.ChangeKind`. `since` is the day of the snapshot before.
    """

    __tablename__ = "score_change"
    __table_args__ = (
        Index("ix_score_change_day", "tenant_id", "day"),
        Index("ix_score_change_control", "tenant_id", "control_id", "day"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[str]
    control_id: Mapped[str]
    day: Mapped[date]
    since: Mapped[date]
    kind: Mapped[str]
    points_before: Mapped[float | None]
    points_after: Mapped[float | None]
    max_before: Mapped[float | None]
    max_after: Mapped[float | None]


class ControlRename(Base):
    """A control that went on under another id from the snapshot of `day` on.

    Real data has `MDA_Google_EnableTwoFactorAuth` and later `11770.MDA_Google_EnableTwoFactorAuth`:
    docs/facts/microsoft-graph.md#1-4-securescorecontrolprofile
    """

    __tablename__ = "control_rename"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    old_id: Mapped[str] = mapped_column(primary_key=True)
    new_id: Mapped[str]
    day: Mapped[date] = mapped_column(primary_key=True)
    found_at: Mapped[datetime]


class ActionPlan(Base):
    """What this organization decided about an action. `status` is one of `action_status.DECISIONS`.

    A decision that is `to_send` to Graph counts from the moment when Graph accepted it (`sent_at`); until then
    `status_before` does. `confirmed_at` is when an import showed it; `problem` is the message of a refusal.
    """

    __tablename__ = "action_plan"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    control_id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    status_before: Mapped[str]
    planned_for: Mapped[date | None]
    decided_at: Mapped[datetime]
    decided_by: Mapped[str]
    to_send: Mapped[bool] = mapped_column(default=False)
    sent_state: Mapped[str] = mapped_column(default="")
    sent_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    problem: Mapped[dict[str, Any] | None]


class StatusChange(Base):
    """One decision in the history of an action. Never changed."""

    __tablename__ = "status_change"
    __table_args__ = (Index("ix_status_change_control", "tenant_id", "control_id"),)

    id: Mapped[Id]
    tenant_id: Mapped[str]
    control_id: Mapped[str]
    status_before: Mapped[str]
    status_after: Mapped[str]
    planned_for: Mapped[date | None]
    reason: Mapped[str] = mapped_column(default="")
    decided_at: Mapped[datetime]
    decided_by: Mapped[str]


class ActionNote(Base):
    __tablename__ = "action_note"
    __table_args__ = (Index("ix_action_note_control", "tenant_id", "control_id"),)

    id: Mapped[Id]
    tenant_id: Mapped[str]
    control_id: Mapped[str]
    text: Mapped[str]
    author_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id", ondelete="SET NULL"))
    author_name: Mapped[str]
    created_at: Mapped[datetime]


class ActionTag(Base):
    """A label of this organization on an action, to filter by."""

    __tablename__ = "action_tag"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    control_id: Mapped[str] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)


class ScoreZones(Base):
    """The percentages from which the score is okay and good."""

    __tablename__ = "score_zones"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    okay_from: Mapped[float]
    good_from: Mapped[float]
    set_at: Mapped[datetime]
    set_by: Mapped[str]


class ImportRun(Base):
    """One import, requested, running or ended. `status` is a `runs.RunStatus`; `warnings` are messages as JSON.

    `known_until` is the newest day up to which everything that Graph had was read; None where the scores broke off.
    """

    __tablename__ = "import_run"
    __table_args__ = (Index("ix_import_run_newest", "tenant_id", "asked_at"),)

    id: Mapped[Id]
    tenant_id: Mapped[str]
    source: Mapped[str]
    status: Mapped[str]
    asked_by: Mapped[str] = mapped_column(default="")
    asked_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    heard_at: Mapped[datetime | None]  # The last heartbeat.
    finished_at: Mapped[datetime | None]
    stage: Mapped[str] = mapped_column(default="")
    snapshots_read: Mapped[int] = mapped_column(default=0)
    snapshots_new: Mapped[int] = mapped_column(default=0)
    profiles_read: Mapped[int] = mapped_column(default=0)
    profiles_new: Mapped[int] = mapped_column(default=0)
    profiles_changed: Mapped[int] = mapped_column(default=0)
    actions_scored: Mapped[int] = mapped_column(default=0)
    without_profile: Mapped[int] = mapped_column(default=0)
    known_until: Mapped[date | None]
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    problem: Mapped[dict[str, Any] | None]


bump_on_change(
    "score", ScoreSnapshot, ControlScore, ImprovementAction, ScoreChange, ControlRename, ScoreZones, ImportRun
)
bump_on_change("plans", ActionPlan, StatusChange, ActionTag)
