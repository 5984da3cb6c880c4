"""Load one line per improvement action with all that lists, totals and filters need, in one statement. No long texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.core import clock
from app.core.database import Session
from app.core.messages import Message
from app.core.rounding import rounded
from app.features.secure_score.actions.action_status import (
    DECISIONS,
    SELF_DECLARED,
    ActionStatus,
    Decision,
    Status,
    has_full_points,
    resolve_status,
)
from app.features.secure_score.models import ActionNote, ActionPlan, ActionTag, ImprovementAction, ScoreSnapshot
from app.features.secure_score.vocabulary import Category, action_type_name, product_of

Row = ImprovementAction
# Added or rewritten within this time counts as recent. Ours: no document says what the portal takes.
RECENT = timedelta(days=30)


@dataclass(frozen=True)
class ActionLine:
    """An action as lists show it. Points and percentages are None when unknown.

    `max_is_derived` is whether the maximum follows from points and percentage, because the catalog gives none. `tenant_max`
    is the tenant's maximum, and `score_impact` is in percent of it. `category` is None when Graph's is none of the five.
    `rank` is Microsoft's, and a lower one is more important.
    """

    control_id: str
    title: str
    product: str
    category: Category | None
    category_raw: str
    points: float | None
    max_points: float | None
    percent: float | None
    score_impact: float | None
    rank: int | None
    tier: str
    user_impact: str
    implementation_cost: str
    threats: tuple[str, ...]
    status_shown: ActionStatus
    planned_for: date | None
    scored: bool
    has_profile: bool
    deprecated: bool
    regressed_on: date | None
    regressed_from: float | None
    last_synced_at: datetime | None
    updated_at: datetime | None
    added_on: date | None
    last_scored_on: date | None
    tags: tuple[str, ...]
    notes: int
    is_new: bool
    is_updated: bool
    action_type: str
    max_is_derived: bool
    tenant_max: float | None

    @property
    def status(self) -> Status:
        return self.status_shown.status

    @property
    def is_regressed(self) -> bool:
        return self.scored and self.regressed_on is not None

    @property
    def category_name(self) -> str:
        """One of the five, or Graph's own word."""
        return self.category or self.category_raw

    @property
    def recent(self) -> tuple[str, ...]:
        """Values of the filter "Recent"."""
        return tuple(name for name, is_so in (("added", self.is_new), ("updated", self.is_updated)) if is_so)

    @cached_property
    def search_text(self) -> str:
        """Folded for comparison without case."""
        return " ".join(
            (self.title, self.control_id, self.product, self.category_name, *self.threats, *self.tags)
        ).casefold()

    @property
    def is_self_declared(self) -> bool:
        """Whether it has full points for a claim that Microsoft cannot verify."""
        return self.status in SELF_DECLARED

    @property
    def kind_of_work(self) -> Message | str:
        return action_type_name(self.action_type)

    @property
    def is_in_totals(self) -> bool:
        # Retired controls can stay in the catalog: docs/facts/microsoft-graph.md#edge-29
        return self.scored and not self.deprecated and self.status is not Status.NOT_SCORED

    @property
    def opportunity(self) -> float | None:
        """Points still to gain, which the portal calls the opportunity; None when points or maximum are unknown."""
        if self.max_points is None or self.points is None:
            return None
        # An accepted risk keeps its opportunity: it gives no points and can be reverted. Only the achievable score of the
        # overview leaves it out, as in the portal: docs/facts/microsoft-graph.md#3-1-pages-and-tabs
        # Rounding must leave nothing of a completed action, and points above the maximum are no negative opportunity.
        # docs/facts/microsoft-graph.md#edge-17
        return 0.0 if self.is_full or self.status is Status.NOT_SCORED else max(self.max_points - self.points, 0.0)

    @property
    def to_gain(self) -> float:
        """The opportunity for sums, which leave out what is unknown."""
        return self.opportunity or 0.0

    @property
    def is_full(self) -> bool:
        return has_full_points(self.points, self.max_points, self.percent)


ACTION_COLUMNS = (
    Row.control_id, Row.title, Row.service, Row.category, Row.category_raw, Row.points, Row.max_points, Row.percent,
    Row.rank, Row.tier, Row.user_impact, Row.implementation_cost, Row.threats, Row.state, Row.state_at, Row.scored,
    Row.not_scored, Row.action_type,
    Row.has_profile, Row.deprecated, Row.regressed_on, Row.regressed_from, Row.last_synced_at, Row.profile_changed_at,
    Row.added_on, Row.last_scored_on,
)  # fmt: skip
PLAN_COLUMNS = (
    ActionPlan.status.label("decided"), ActionPlan.planned_for, ActionPlan.decided_at, ActionPlan.sent_at,
    ActionPlan.confirmed_at, ActionPlan.status_before, ActionPlan.to_send,
)  # fmt: skip


def newest_maximum(tenant_id: str) -> Any:  # noqa: ANN401 - SQLAlchemy's scalar subquery of a nullable float.
    """The tenant's maximum in its newest snapshot, as a subquery."""
    newest = select(ScoreSnapshot.max_points).where(
        ScoreSnapshot.tenant_id == tenant_id, ScoreSnapshot.max_points.is_not(None), ~ScoreSnapshot.is_gap
    )
    return newest.order_by(ScoreSnapshot.created_at.desc(), ScoreSnapshot.id.desc()).limit(1).scalar_subquery()


def statement(tenant_id: str) -> Select[*tuple[Any, ...]]:
    """Select every action with its plan, tags and number of notes."""
    tags = (
        select(ActionTag.control_id, func.array_agg(aggregate_order_by(ActionTag.tag, ActionTag.tag)).label("tags"))
        .where(ActionTag.tenant_id == tenant_id)
        .group_by(ActionTag.control_id)
        .subquery()
    )
    notes = (
        select(ActionNote.control_id, func.count().label("notes"))
        .where(ActionNote.tenant_id == tenant_id)
        .group_by(ActionNote.control_id)
        .subquery()
    )
    plan = and_(ActionPlan.tenant_id == Row.tenant_id, ActionPlan.control_id == Row.control_id)
    return (
        select(
            *ACTION_COLUMNS, *PLAN_COLUMNS, tags.c.tags, notes.c.notes, newest_maximum(tenant_id).label("tenant_max")
        )
        .outerjoin(ActionPlan, plan)
        .outerjoin(tags, tags.c.control_id == Row.control_id)
        .outerjoin(notes, notes.c.control_id == Row.control_id)
        .where(Row.tenant_id == tenant_id)
    )


async def load_lines(session: Session, tenant_id: str, control_ids: Sequence[str] | None = None) -> list[ActionLine]:
    """All actions of the tenant, or those with these ids, in no order."""
    query = statement(tenant_id)
    if control_ids is not None:
        query = query.where(Row.control_id.in_(list(control_ids)))
    found = await session.execute(query)
    now = clock.now()
    return [line_of(row, now) for row in found]


def line_of(row: Any, now: datetime) -> ActionLine:  # noqa: ANN401 - a row of the statement above.
    percent = percent_of(row.points, row.max_points, row.percent)
    derived = derived_maximum(row.points, row.percent) if row.max_points is None else None
    max_points = row.max_points if derived is None else derived
    status = _resolve(row, now)
    is_worth = status.status is not Status.NOT_SCORED
    return ActionLine(
        control_id=row.control_id,
        # A scored control may have no profile, and then no title: docs/facts/microsoft-graph.md#edge-24
        title=row.title or row.control_id,
        product=product_of(row.service),
        category=Category(row.category) if row.category else None,
        category_raw=row.category_raw,
        points=row.points,
        max_points=max_points,
        percent=percent,
        score_impact=impact_of(row.points, max_points, row.tenant_max) if is_worth else None,
        rank=row.rank,
        tier=row.tier,
        user_impact=row.user_impact,
        implementation_cost=row.implementation_cost,
        threats=tuple(row.threats or ()),
        status_shown=status,
        planned_for=row.planned_for if row.decided == Status.PLANNED else None,
        scored=row.scored,
        has_profile=row.has_profile,
        deprecated=row.deprecated,
        regressed_on=row.regressed_on,
        regressed_from=row.regressed_from,
        last_synced_at=row.last_synced_at,
        updated_at=row.profile_changed_at,
        added_on=row.added_on,
        last_scored_on=row.last_scored_on,
        tags=tuple(row.tags or ()),
        notes=row.notes or 0,
        is_new=row.added_on is not None and row.added_on >= now.date() - RECENT,
        is_updated=row.profile_changed_at is not None and row.profile_changed_at >= now - RECENT,
        action_type=row.action_type,
        max_is_derived=derived is not None,
        tenant_max=row.tenant_max,
    )


def _resolve(row: Any, now: datetime) -> ActionStatus:  # noqa: ANN401 - a row of the statement above.
    decision = None
    if row.decided is not None:
        in_force = not row.to_send or row.sent_at is not None
        # Until Graph accepts it, a decision leaves the status as it was. A status that only Microsoft can give was never
        # ours, and follows from Graph's data again.
        status = Status(row.decided if in_force else row.status_before)
        if status in DECISIONS:
            decision = Decision(status, row.decided_at, row.planned_for, row.sent_at, row.confirmed_at)
    return resolve_status(
        scored=row.scored,
        not_scored=row.not_scored,
        points=row.points,
        max_points=row.max_points,
        percent=row.percent,
        state=row.state,
        state_at=row.state_at,
        decision=decision,
        now=now,
    )


def derived_maximum(points: float | None, percent: float | None) -> float | None:
    """The maximum that points and percentage imply: 4 points at 50 % are half of 8. None when either is unknown or 0."""
    # A score entry has no maximum, and many have no profile: docs/facts/microsoft-graph.md#1-3-controlscores
    return rounded(points / percent * 100) if points and percent else None


def percent_of(points: float | None, max_points: float | None, given: float | None) -> float | None:
    """0 to 100: Graph's own percentage, or computed from the points. None without a maximum."""
    # docs/facts/microsoft-graph.md#edge-14, docs/facts/microsoft-graph.md#edge-15
    if max_points == 0:
        return None
    if given is not None:
        return min(given, 100.0)
    if points is None or max_points is None:
        return None
    return min(points / max_points * 100, 100.0)


def impact_of(points: float | None, max_points: float | None, tenant_max: float | None) -> float | None:
    """What completing it would add to the score, in percent of the tenant's maximum: (max - points) / tenant max * 100.

    Source: docs/facts/microsoft-graph.md#3-1-pages-and-tabs
    """
    if points is None or max_points is None or not tenant_max:
        return None
    return max(max_points - points, 0.0) / tenant_max * 100
