"""Parse Graph's secureScore and secureScoreControlProfile into typed rows. Pure: reads no file, no row and no network.

Both types are open: unknown members stay in the raw JSON and are ignored here, and every member may be missing, null, or a
string in place of a number. docs/facts/microsoft-graph.md#edge-11

- https://learn.microsoft.com/graph/api/resources/securescore
- https://learn.microsoft.com/graph/api/resources/securescorecontrolprofile
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

from app.core.bounds import LONGEST_TITLE, MOST_ITEMS
from app.core.errors import AppError
from app.core.messages import T
from app.features.secure_score.html_text import LONGEST_HTML
from app.features.secure_score.sync.json_values import (
    LARGEST_POINTS,
    address,
    as_stored_json,
    flag,
    key,
    label,
    moment,
    number,
    objects,
    points_of,
    texts,
    whole,
    words,
)
from app.features.secure_score.sync.parse_report import ParseReport
from app.features.secure_score.vocabulary import category_of, level_of, threats_of, tier_of

LONGEST_COMMENT = 4_000


class OtherTenant(AppError):
    """The data belongs to another tenant than the pages show. Nothing of it is stored."""


@dataclass(frozen=True)
class ScoreRow:
    """One control in one snapshot."""

    # The properties parse on access, because 90 days hold tens of thousands of these and only the newest day's are stored.

    control_id: str
    points: float | None
    percent: float | None
    entry: dict[str, Any] = field(repr=False)

    @property
    def category_raw(self) -> str:
        return label(self.entry.get("controlCategory"))

    @property
    def description(self) -> str:
        return words(self.entry.get("description"), LONGEST_HTML)

    @property
    def implementation_status(self) -> str:
        # Free text, at times HTML, that contradicts itself; shown and never parsed: docs/facts/microsoft-graph.md#edge-35
        return words(self.entry.get("implementationStatus"), LONGEST_HTML)

    @property
    def switched_on(self) -> bool | None:
        return flag(self.entry.get("on"))

    @property
    def not_scored(self) -> bool:
        return flag(self.entry.get("NotScored", self.entry.get("notScored"))) or False

    @property
    def counted(self) -> int | None:
        # count / total is the share that is done already: docs/facts/microsoft-graph.md#1-3-controlscores
        return whole(self.entry.get("count"))

    @property
    def counted_of(self) -> int | None:
        # Can be missing where count is present, and 0: docs/facts/microsoft-graph.md#edge-13
        return whole(self.entry.get("total"))

    @property
    def last_synced_at(self) -> datetime | None:
        # Weeks old, or after the snapshot itself: docs/facts/microsoft-graph.md#edge-20
        return moment(self.entry.get("lastSynced"))


@dataclass(frozen=True)
class Comparison:
    """The average of other tenants: a percentage of 0 to 100, None where it is not available. Seats are for `TotalSeats`."""

    basis: str
    percent: float | None
    seats_from: int | None = None
    seats_to: int | None = None


@dataclass(frozen=True)
class SnapshotRow:
    """One day of a tenant; `controls` is None when Graph sent no list of them, which differs from an empty list."""

    graph_id: str
    created_at: datetime
    points: float | None
    max_points: float | None
    controls: list[ScoreRow] | None
    enabled_services: list[str]
    comparisons: list[Comparison]
    active_users: int | None
    licensed_users: int | None
    item: dict[str, Any] = field(repr=False)

    @property
    def raw(self) -> str:
        """The whole snapshot as JSON."""
        return as_stored_json(self.item)

    @property
    def day(self) -> date:
        # Snapshots are of midnight UTC: docs/facts/microsoft-graph.md#1-2-securescore
        return self.created_at.date()

    @property
    def control_points(self) -> float | None:
        """The sum of the known points of the controls, which can differ from `points`."""
        return round(sum(score.points or 0.0 for score in self.controls), 4) if self.controls else None


@dataclass(frozen=True)
class ProfileRow:
    """One control of the catalog. `content_hash` covers what Microsoft wrote, and not what the tenant decided."""

    control_id: str
    title: str
    service: str
    category: str
    category_raw: str
    max_points: float | None
    rank: int | None
    tier: str
    user_impact: str
    implementation_cost: str
    action_type: str
    action_url: str
    threats: list[str]
    remediation: str
    remediation_impact: str
    deprecated: bool
    state: str
    state_at: datetime | None
    state_by: str
    state_comment: str
    modified_at: datetime | None
    content_hash: str
    raw: str = field(repr=False)


def snapshots_of(items: Iterable[dict[str, Any]], tenant_id: str, report: ParseReport) -> list[SnapshotRow]:
    """Every usable snapshot, once per id; the last one wins. Raises OtherTenant."""
    found: dict[str, SnapshotRow] = {}
    for item in items:
        _refuse_other_tenant(item, tenant_id)
        if not item.keys() & {"currentScore", "controlScores"}:
            report.foreign += 1
            continue
        row = _snapshot(item, tenant_id, report)
        if row is None:
            continue
        if row.graph_id in found:
            report.doubled[row.graph_id] += 1
        found[row.graph_id] = row
    return list(found.values())


def profiles_of(items: Iterable[dict[str, Any]], tenant_id: str, report: ParseReport) -> list[ProfileRow]:
    """Every usable profile, once per id; the last one wins. Raises OtherTenant."""
    found: dict[str, ProfileRow] = {}
    for item in items:
        _refuse_other_tenant(item, tenant_id)
        if "controlScores" in item:
            report.foreign += 1
            continue
        row = _profile(item, report)
        if not row.control_id:
            report.without_id += 1
            continue
        if row.control_id in found:
            report.doubled[row.control_id] += 1
        found[row.control_id] = row
    return list(found.values())


def _refuse_other_tenant(item: dict[str, Any], tenant_id: str) -> None:
    # docs/facts/microsoft-graph.md#edge-22
    named = label(item.get("azureTenantId"))
    if named and named.lower() != tenant_id.lower():
        raise OtherTenant(
            T(
                "This is the data of tenant %(named)s, but the pages show tenant %(expected)s, so nothing of it was kept. "
                "If it is meant, set SECURE_SCORE_TENANT_ID to %(named)s.",
                named=named,
                expected=tenant_id,
            )
        )


def _snapshot(item: dict[str, Any], tenant_id: str, report: ParseReport) -> SnapshotRow | None:
    graph_id = key(item.get("id")).strip()
    # The id is `{tenantGuid}_{yyyy-MM-dd}`, so its date can stand in: docs/facts/microsoft-graph.md#1-2-securescore
    created_at = moment(_created(item)) or moment(graph_id.rpartition("_")[2])
    if created_at is None:
        report.undated += 1
        return None
    graph_id = graph_id or f"{tenant_id}_{created_at.date().isoformat()}"
    controls = _controls(item.get("controlScores"), report)
    if controls is None:
        report.without_controls.append(created_at.date())
    points, max_points = (_points(item, member, report) for member in ("currentScore", "maxScore"))
    if points is None or max_points is None:
        report.without_total.append(created_at.date())
    return SnapshotRow(
        graph_id=graph_id,
        created_at=created_at,
        points=points,
        max_points=max_points,
        controls=controls,
        enabled_services=texts(item.get("enabledServices")),
        comparisons=[_comparison(entry, report) for entry in objects(item.get("averageComparativeScores"), MOST_ITEMS)],
        active_users=whole(item.get("activeUserCount")),
        licensed_users=whole(item.get("licensedUserCount")),
        item=item,
    )


def _created(item: dict[str, Any]) -> object:
    # The documentation of the beta version names the member `createdDateTime.value`.
    # https://learn.microsoft.com/graph/api/resources/securescore?view=graph-rest-beta
    value = item.get("createdDateTime", item.get("createdDateTime.value"))
    return value.get("value") if isinstance(value, dict) else value


def _points(item: dict[str, Any], member: str, report: ParseReport) -> float | None:
    """The points of a member; one that is there and cannot be read is reported."""
    value = item.get(member)
    found = points_of(value)
    report.note_unreadable(member, value, found)
    return found


def _controls(value: object, report: ParseReport) -> list[ScoreRow] | None:
    # A list without a single object is no list of controls: PowerShell writes the names of types into it when told to go
    # no deeper, and taking it for "no controls" would archive them all.
    if not isinstance(value, list) or (value and not objects(value)):
        return None
    found: dict[str, ScoreRow] = {}
    for entry in objects(value):
        row = _score(entry, report)
        if not row.control_id:
            report.without_id += 1
            continue
        if row.control_id in found:
            report.doubled[row.control_id] += 1
        found[row.control_id] = row
    return list(found.values())


def _score(entry: dict[str, Any], report: ParseReport) -> ScoreRow:
    percent = _points(entry, "scoreInPercentage", report)
    return ScoreRow(
        control_id=key(entry.get("controlName")),
        points=_points(entry, "score", report),
        # docs/facts/microsoft-graph.md#edge-17
        percent=None if percent is None else min(percent, 100.0),
        entry=entry,
    )


def _comparison(entry: dict[str, Any], report: ParseReport) -> Comparison:
    # Members were camelCase in 2019 and are PascalCase today: docs/facts/microsoft-graph.md#edge-18
    by_name = {name.lower(): value for name, value in entry.items()}
    percent = number(by_name.get("averagescore"))
    if percent is not None and percent > LARGEST_POINTS:
        report.note_unreadable("averageScore", by_name.get("averagescore"), None)
    return Comparison(
        basis=label(entry.get("basis")),
        percent=percent if percent is not None and percent <= 100 and not _is_in_points(by_name) else None,
        seats_from=whole(by_name.get("seatsizerangelowervalue")),
        seats_to=whole(by_name.get("seatsizerangeuppervalue")),
    )


def _is_in_points(by_name: dict[str, Any]) -> bool:
    """Whether an average is of 2019, when it was points: its categories have scores and no maxima.

    Points of others, whose maximum is unknown, cannot be shown as a percentage: docs/facts/microsoft-graph.md#1-2-securescore
    """
    categories = [name for name in by_name if name.endswith("score") and name != "averagescore"]
    return bool(categories) and not any(name.endswith("scoremax") for name in by_name)


def _profile(item: dict[str, Any], report: ParseReport) -> ProfileRow:
    raw_category = label(item.get("controlCategory"))
    state, state_at, state_by, comment = effective_state(item.get("controlStateUpdates"))
    written = {name: item.get(name) for name in HASHED}
    return ProfileRow(
        control_id=key(item.get("id")),
        # Some titles end with spaces: docs/facts/microsoft-graph.md#edge-40
        title=label(item.get("title"), LONGEST_TITLE),
        service=label(item.get("service")),
        category=category_of(raw_category) or "",
        category_raw=raw_category,
        max_points=_points(item, "maxScore", report),
        rank=whole(item.get("rank")),
        tier=tier_of(label(item.get("tier"))),
        user_impact=level_of(label(item.get("userImpact"))),
        implementation_cost=level_of(label(item.get("implementationCost"))),
        action_type=label(item.get("actionType")),
        action_url=address(item.get("actionUrl")),
        threats=threats_of(texts(item.get("threats"))),
        remediation=words(item.get("remediation"), LONGEST_HTML),
        remediation_impact=words(item.get("remediationImpact"), LONGEST_HTML),
        deprecated=flag(item.get("deprecated")) or False,
        state=state,
        state_at=state_at,
        state_by=state_by,
        state_comment=comment,
        # Always null in real data; `content_hash` finds out what changed: docs/facts/microsoft-graph.md#edge-20
        modified_at=moment(item.get("lastModifiedDateTime")),
        content_hash=sha256(as_stored_json(written).encode()).hexdigest(),
        raw=as_stored_json(item),
    )


# What Microsoft writes about a control. Its rank and the tenant's state move without an update of the text.
HASHED = (
    "title",
    "remediation",
    "remediationImpact",
    "maxScore",
    "actionUrl",
    "threats",
    "tier",
    "service",
    "controlCategory",
    "userImpact",
    "implementationCost",
    "deprecated",
)
# Stands for the missing date of a state update, and sorts before every real one.
UNDATED = datetime(1, 1, 1, tzinfo=UTC)


def effective_state(updates: object) -> tuple[str, datetime | None, str, str]:
    """State, time, author and comment of the newest of a control's `controlStateUpdates`; an empty state means Default."""
    # The list is a history in no order; of equal times the last entry counts: docs/facts/microsoft-graph.md#edge-42
    latest: dict[str, Any] | None = None
    latest_at = UNDATED
    for update in objects(updates):
        at = moment(update.get("updatedDateTime")) or UNDATED
        if at >= latest_at:
            latest, latest_at = update, at
    if latest is None:
        return "", None, "", ""
    state = label(latest.get("state"))
    return (
        "" if state.lower() == "default" else state,
        None if latest_at == UNDATED else latest_at,
        label(latest.get("updatedBy")),
        words(latest.get("comment"), LONGEST_COMMENT).strip(),
    )
