"""Load everything that the page of one action shows. Reads rows, changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, column, select, text

from app.core import clock
from app.core.database import Session
from app.core.errors import NotFound
from app.core.messages import Message
from app.core.nested_rows import nested, number_of
from app.features.secure_score.actions.action_rows import ActionLine, line_of, statement
from app.features.secure_score.actions.action_status import NAMES, Status, is_device_control
from app.features.secure_score.actions.browse_actions import NO_SUCH_ACTION
from app.features.secure_score.actions.coverage import Coverage, coverage_of
from app.features.secure_score.html_text import clean_html
from app.features.secure_score.models import (
    ActionNote,
    ActionPlan,
    ControlScore,
    ImprovementAction,
    ScoreSnapshot,
)

Row = ImprovementAction
UNEDITABLE = frozenset({Status.COMPLETED, Status.NOT_SCORED, Status.NOT_APPLICABLE})
MOST_EVENTS = 200


@dataclass(frozen=True)
class Note:
    id: UUID
    text: str
    author_id: UUID | None
    author_name: str
    created_at: datetime


@dataclass(frozen=True)
class Event:
    """A change of points or of the status. `kind` is a `ChangeKind`, or "decided"."""

    kind: str
    day: date
    at: datetime | None = None
    points_before: float | None = None
    points_after: float | None = None
    max_before: float | None = None
    max_after: float | None = None
    status_before: Message | None = None
    status_after: Message | None = None
    who: str = ""
    reason: str = ""


@dataclass(frozen=True)
class History:
    """The newest events first. `days` and `points` are a plot since it was first scored; days without a score are None.

    Source: docs/facts/microsoft-graph.md#edge-48
    """

    events: Sequence[Event] = ()
    days: Sequence[str] = ()
    points: Sequence[float | None] = ()


@dataclass(frozen=True)
class ActionDetail:
    """One action. Texts ending in `_html` are sanitized, and empty strings when Graph has none.

    `action_url` is Graph's own, which may be old, of another cloud or no address at all (`portal_links`). `wanted_status` is
    a decision that Graph has not accepted yet and that does not count, and `problem` why Graph refused it. `sent_state` is the
    state that Graph accepted last, until an import shows it and another decision follows. `also` are the
    values of the columns that were asked for besides.
    """

    line: ActionLine
    description_html: str
    remediation_html: str
    remediation_impact_html: str
    implementation_html: str
    action_url: str
    switched_on: bool | None
    coverage: Coverage
    state: str
    state_at: datetime | None
    state_by: str
    state_comment: str
    first_scored_on: date | None
    profile_seen_at: datetime | None
    decided_at: datetime | None
    decided_by: str
    sent_state: str
    sent_at: datetime | None
    confirmed_at: datetime | None
    wanted_status: Status | None
    problem: Message | None
    also: tuple[Any, ...] = ()

    @property
    def wanted(self) -> Message | None:
        return NAMES[self.wanted_status] if self.wanted_status else None

    @property
    def is_editable(self) -> bool:
        """Whether people may set its status."""
        # docs/facts/microsoft-graph.md#edge-44
        return self.line.status not in UNEDITABLE and not self.is_device

    @property
    def is_unverified_here(self) -> bool:
        """Whether it is declared as resolved here, while points are missing that only Microsoft could give for it."""
        return self.line.is_self_declared and not self.line.is_full and self.decided_at is not None

    @property
    def is_device(self) -> bool:
        return is_device_control(self.line.control_id)


# What only the page of one action needs, so that the list does not read the long texts.
DETAIL_COLUMNS = (
    Row.description, Row.remediation, Row.remediation_impact, Row.implementation_status, Row.action_url,
    Row.switched_on, Row.counted, Row.counted_of, Row.state_by, Row.state_comment,
    Row.first_scored_on, Row.profile_seen_at, ActionPlan.decided_by,
    ActionPlan.sent_state, ActionPlan.problem,
)  # fmt: skip


async def load_action(session: Session, tenant_id: str, control_id: str) -> ActionDetail:
    """One action by its exact id, in one statement. Raises NotFound."""
    found = await find_detail(session, tenant_id, control_id)
    if found is None:
        raise NotFound(NO_SUCH_ACTION)
    return found


async def find_detail(
    session: Session, tenant_id: str, control_id: str, *also: ColumnElement[Any]
) -> ActionDetail | None:
    """The same, and None where there is no such action."""
    query = statement(tenant_id).add_columns(*DETAIL_COLUMNS, *also).where(Row.control_id == control_id)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    return ActionDetail(
        line=line_of(row, clock.now()),
        description_html=clean_html(row.description),
        remediation_html=clean_html(row.remediation),
        remediation_impact_html=clean_html(row.remediation_impact),
        implementation_html=clean_html(row.implementation_status),
        action_url=row.action_url,
        switched_on=row.switched_on,
        coverage=coverage_of(row.counted, row.counted_of, row.percent),
        state=row.state,
        state_at=row.state_at,
        state_by=row.state_by,
        state_comment=row.state_comment,
        first_scored_on=row.first_scored_on,
        profile_seen_at=row.profile_seen_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by or "",
        sent_state=row.sent_state or "",
        sent_at=row.sent_at,
        confirmed_at=row.confirmed_at,
        wanted_status=Status(row.decided) if row.to_send and row.sent_at is None else None,
        problem=Message.from_json(row.problem) if row.problem else None,
        also=tuple(row[-len(also) :]) if also else (),
    )


async def load_notes(session: Session, tenant_id: str, control_id: str) -> list[Note]:
    """The newest first."""
    found = await session.execute(
        select(ActionNote)
        .where(ActionNote.tenant_id == tenant_id, ActionNote.control_id == control_id)
        .order_by(ActionNote.created_at.desc(), ActionNote.id)
        .limit(MOST_EVENTS)
    )
    return [Note(note.id, note.text, note.author_id, note.author_name, note.created_at) for note in found.scalars()]


# Changes of points have a day only, decisions have a moment. Within a day, decisions come first.
EVENTS = text(
    """
    SELECT kind, day, CAST(NULL AS timestamptz) AS at, points_before, points_after, max_before, max_after,
           NULL AS status_before, NULL AS status_after, '' AS who, '' AS reason, id AS position
    FROM score_change WHERE tenant_id = :tenant_id AND control_id = :control_id
    UNION ALL
    SELECT 'decided', CAST(decided_at AT TIME ZONE 'UTC' AS date), decided_at, NULL, NULL, NULL, NULL,
           status_before, status_after, decided_by, reason, 0
    FROM status_change WHERE tenant_id = :tenant_id AND control_id = :control_id
    """
)
EVENT_NAMES = (
    "kind", "day", "at", "points_before", "points_after", "max_before", "max_after", "status_before", "status_after", "who",
    "reason", "position",
)  # fmt: skip


async def load_history(session: Session, tenant_id: str, control_id: str) -> History:
    """Changes of points, decisions, and the plot, in one statement."""
    events = EVENTS.columns(*(column(name) for name in EVENT_NAMES)).subquery()
    newest = events.c.day.desc(), events.c.at.desc().nulls_last(), events.c.position.desc()
    daily = (
        select(ScoreSnapshot.day, ControlScore.points)
        .join(ControlScore, ControlScore.snapshot_id == ScoreSnapshot.id)
        .where(ScoreSnapshot.tenant_id == tenant_id, ControlScore.control_id == control_id, ~ScoreSnapshot.is_gap)
        .order_by(ScoreSnapshot.created_at, ScoreSnapshot.graph_id)
    )
    query = select(nested(select(*events.c).order_by(*newest).limit(MOST_EVENTS)), nested(daily))
    found, points = (await session.execute(query, {"tenant_id": tenant_id, "control_id": control_id})).one()
    return History([_event(row) for row in found], *_by_day(points))


def _event(row: Mapping[str, Any]) -> Event:
    return Event(
        kind=row["kind"],
        day=date.fromisoformat(row["day"]),
        at=datetime.fromisoformat(row["at"]).astimezone(UTC) if row["at"] else None,
        points_before=number_of(row["points_before"]),
        points_after=number_of(row["points_after"]),
        max_before=number_of(row["max_before"]),
        max_after=number_of(row["max_after"]),
        status_before=NAMES[Status(row["status_before"])] if row["status_before"] else None,
        status_after=NAMES[Status(row["status_after"])] if row["status_after"] else None,
        who=row["who"],
        reason=row["reason"],
    )


def _by_day(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[float | None]]:
    # Two snapshots may be of one day; the later one counts: docs/facts/microsoft-graph.md#edge-19
    by_day = {date.fromisoformat(row["day"]): number_of(row["points"]) for row in rows}
    if not by_day:
        return [], []
    first, last = min(by_day), max(by_day)
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    return [day.isoformat() for day in days], [by_day.get(day) for day in days]
