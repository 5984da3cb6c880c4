"""Turns Graph's snapshots and control profiles into typed rows. Pure: reads no file, no row and no network.

Both types are open (facts: learn.microsoft.com/graph/api/resources/securescore): unknown members are kept in the raw
JSON and ignored here, and every member may be missing, null, or a string where a number belongs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

from app.core.errors import AppError
from app.core.messages import Message, T
from app.features.secure_score.sync.json_values import (
    as_stored_json,
    flag,
    moment,
    number,
    objects,
    texts,
    whole,
    words,
)
from app.features.secure_score.vocabulary import category_of, level_of, threats_of, tier_of


class OtherTenant(AppError):
    """The data belongs to another tenant than the one we expect; nothing of it is kept."""


@dataclass(frozen=True)
class ScoreRow:
    """One control in one snapshot. Everything but its points is only read from the entry when somebody asks:
    ninety days hold tens of thousands of these, and only the newest day's texts are kept.
    """

    control_id: str
    points: float | None
    percent: float | None
    entry: dict[str, Any] = field(repr=False)

    @property
    def category_raw(self) -> str:
        """The category in Graph's word."""
        return words(self.entry.get("controlCategory")).strip()

    @property
    def description(self) -> str:
        """Graph's HTML."""
        return words(self.entry.get("description"))

    @property
    def implementation_status(self) -> str:
        """Graph's text, sometimes HTML; never to be parsed."""
        return words(self.entry.get("implementationStatus"))

    @property
    def switched_on(self) -> bool | None:
        """Graph's word for whether it is on."""
        return flag(self.entry.get("on"))

    @property
    def counted(self) -> int | None:
        """Graph's count, of what depends on the control."""
        return whole(self.entry.get("count"))

    @property
    def counted_of(self) -> int | None:
        """The total that belongs to the count; may be missing, and 0."""
        return whole(self.entry.get("total"))

    @property
    def last_synced_at(self) -> datetime | None:
        """When Microsoft last looked; weeks old or later than the snapshot."""
        return moment(self.entry.get("lastSynced"))


@dataclass(frozen=True)
class Comparison:
    """How others do: a percentage of 0 to 100, or None where Graph says it has none. Seats are for `TotalSeats`."""

    basis: str
    percent: float | None
    seats_from: int | None = None
    seats_to: int | None = None


@dataclass(frozen=True)
class SnapshotRow:
    """One day of a tenant; `controls` is None when Graph sent no list of them, which is not an empty one."""

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
        """The whole snapshot as the database keeps it."""
        return as_stored_json(self.item)

    @property
    def day(self) -> date:
        """The day in UTC, which is how Graph dates it."""
        return self.created_at.date()

    @property
    def control_points(self) -> float | None:
        """The sum of what is known of the controls."""
        return round(sum(score.points or 0.0 for score in self.controls), 4) if self.controls else None


@dataclass(frozen=True)
class ProfileRow:
    """One control of the catalog. `content_hash` covers what Microsoft wrote, not what the tenant decided."""

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


@dataclass
class ParseReport:
    """What was odd, counted, to be told once per kind."""

    without_id: int = 0
    foreign: int = 0
    undated: int = 0
    doubled: Counter[str] = field(default_factory=Counter)
    without_controls: list[str] = field(default_factory=list)

    def sentences(self) -> list[Message]:
        """One true sentence for each kind of oddity."""
        found = []
        if self.without_id:
            found.append(T("%(count)s entries without an id were left out.", count=self.without_id))
        if self.foreign:
            found.append(T("%(count)s entries of another kind were left out.", count=self.foreign))
        if self.undated:
            found.append(T("%(count)s daily scores without a readable date were left out.", count=self.undated))
        if self.doubled:
            name, _ = self.doubled.most_common(1)[0]
            count = self.doubled.total()
            found.append(
                T("%(count)s entries came twice (%(name)s, for one); the last was kept.", count=count, name=name)
            )
        if self.without_controls:
            days = ", ".join(self.without_controls[:3])
            found.append(
                T("The score of %(days)s came without its actions, so their points stay as they were.", days=days)
            )
        return found


def snapshots_of(items: Iterable[dict[str, Any]], tenant_id: str, findings: ParseReport) -> list[SnapshotRow]:
    """Every usable snapshot, once per id. Raises OtherTenant."""
    found: dict[str, SnapshotRow] = {}
    for item in items:
        _refuse_other_tenant(item, tenant_id)
        if not item.keys() & {"currentScore", "controlScores"}:
            findings.foreign += 1
            continue
        row = _snapshot(item, tenant_id, findings)
        if row is None:
            continue
        if row.graph_id in found:
            findings.doubled[row.graph_id] += 1
        found[row.graph_id] = row
    return list(found.values())


def profiles_of(items: Iterable[dict[str, Any]], tenant_id: str, findings: ParseReport) -> list[ProfileRow]:
    """Every usable profile, once per id. Raises OtherTenant."""
    found: dict[str, ProfileRow] = {}
    for item in items:
        _refuse_other_tenant(item, tenant_id)
        if "controlScores" in item:
            findings.foreign += 1
            continue
        row = _profile(item)
        if not row.control_id:
            findings.without_id += 1
            continue
        if row.control_id in found:
            findings.doubled[row.control_id] += 1
        found[row.control_id] = row
    return list(found.values())


def _refuse_other_tenant(item: dict[str, Any], tenant_id: str) -> None:
    named = words(item.get("azureTenantId")).strip()
    if named and named.lower() != tenant_id.lower():
        raise OtherTenant(
            T(
                "This is the data of tenant %(named)s, but the pages show tenant %(expected)s, so nothing of it was kept. "
                "If it is meant, set SECURE_SCORE_TENANT_ID to %(named)s.",
                named=named,
                expected=tenant_id,
            )
        )


def _snapshot(item: dict[str, Any], tenant_id: str, findings: ParseReport) -> SnapshotRow | None:
    graph_id = words(item.get("id")).strip()
    created_at = moment(item.get("createdDateTime")) or moment(graph_id.rpartition("_")[2])
    if created_at is None:
        findings.undated += 1
        return None
    graph_id = graph_id or f"{tenant_id}_{created_at.date().isoformat()}"
    controls = _controls(item.get("controlScores"), findings)
    if controls is None:
        findings.without_controls.append(created_at.date().isoformat())
    return SnapshotRow(
        graph_id=graph_id,
        created_at=created_at,
        points=number(item.get("currentScore")),
        max_points=number(item.get("maxScore")),
        controls=controls,
        enabled_services=texts(item.get("enabledServices")),
        comparisons=[_comparison(entry) for entry in objects(item.get("averageComparativeScores"))],
        active_users=whole(item.get("activeUserCount")),
        licensed_users=whole(item.get("licensedUserCount")),
        item=item,
    )


def _controls(value: object, findings: ParseReport) -> list[ScoreRow] | None:
    if not isinstance(value, list):
        return None
    found: dict[str, ScoreRow] = {}
    for entry in objects(value):
        row = _score(entry)
        if not row.control_id:
            findings.without_id += 1
            continue
        if row.control_id in found:
            findings.doubled[row.control_id] += 1
        found[row.control_id] = row
    return list(found.values())


def _score(entry: dict[str, Any]) -> ScoreRow:
    percent = number(entry.get("scoreInPercentage"))
    return ScoreRow(
        control_id=words(entry.get("controlName")),
        points=number(entry.get("score")),
        percent=None if percent is None else min(percent, 100.0),
        entry=entry,
    )


def _comparison(entry: dict[str, Any]) -> Comparison:
    """Members are found by name in either spelling: the order and the case of these lists have changed over the years."""
    by_name = {name.lower(): value for name, value in entry.items()}
    percent = number(by_name.get("averagescore"))
    return Comparison(
        basis=words(entry.get("basis")).strip(),
        percent=percent if percent is not None and percent <= 100 else None,
        seats_from=whole(by_name.get("seatsizerangelowervalue")),
        seats_to=whole(by_name.get("seatsizerangeuppervalue")),
    )


def _profile(item: dict[str, Any]) -> ProfileRow:
    raw_category = words(item.get("controlCategory")).strip()
    state, state_at, state_by, comment = effective_state(item.get("controlStateUpdates"))
    # What the tenant decides and how Graph ranks it this week is not an update by Microsoft.
    written = {name: item.get(name) for name in HASHED}
    return ProfileRow(
        control_id=words(item.get("id")),
        title=" ".join(words(item.get("title")).split()),
        service=words(item.get("service")).strip(),
        category=category_of(raw_category) or "",
        category_raw=raw_category,
        max_points=number(item.get("maxScore")),
        rank=whole(item.get("rank")),
        tier=tier_of(words(item.get("tier"))),
        user_impact=level_of(words(item.get("userImpact"))),
        implementation_cost=level_of(words(item.get("implementationCost"))),
        action_type=words(item.get("actionType")).strip(),
        action_url=words(item.get("actionUrl")).strip(),
        threats=threats_of(texts(item.get("threats"))),
        remediation=words(item.get("remediation")),
        remediation_impact=words(item.get("remediationImpact")),
        deprecated=flag(item.get("deprecated")) or False,
        state=state,
        state_at=state_at,
        state_by=state_by,
        state_comment=comment,
        modified_at=moment(item.get("lastModifiedDateTime")),
        content_hash=sha256(as_stored_json(written).encode()).hexdigest(),
        raw=as_stored_json(item),
    )


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
BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


def effective_state(updates: object) -> tuple[str, datetime | None, str, str]:
    """State, time, author and comment of the latest of a control's state updates; an empty state means Default.

    The list is a history in no order; of entries with equal times the last one counts (facts 1.5).
    """
    latest: dict[str, Any] | None = None
    latest_at = BEFORE_ALL
    for update in objects(updates):
        at = moment(update.get("updatedDateTime")) or BEFORE_ALL
        if at >= latest_at:
            latest, latest_at = update, at
    if latest is None:
        return "", None, "", ""
    state = words(latest.get("state")).strip()
    return (
        "" if state.lower() == "default" else state,
        None if latest_at == BEFORE_ALL else latest_at,
        words(latest.get("updatedBy")).strip(),
        words(latest.get("comment")).strip(),
    )
