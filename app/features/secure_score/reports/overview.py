"""Compute the overview: targets, categories, actions to review, comparison. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from app.core.database import Session
from app.core.messages import Message, T
from app.core.rounding import rounded
from app.features.secure_score.actions.action_list import View, order_lines
from app.features.secure_score.actions.action_rows import ActionLine, load_lines
from app.features.secure_score.actions.action_status import Status
from app.features.secure_score.models import ScoreSnapshot
from app.features.secure_score.reports.listed_categories import listed_categories
from app.features.secure_score.sync.runs import last_sync
from app.features.secure_score.vocabulary import is_set_by_microsoft

TOP_ACTIONS = 6
# Microsoft documents three: https://learn.microsoft.com/graph/api/resources/averagecomparativescore
MOST_COMPARISONS = 10
# Points. Scores of single controls are rounded, so that a smaller difference of the sum means nothing.
SAME_POINTS = 0.05
# By `basis` and never by position, because the order varies: docs/facts/microsoft-graph.md#edge-18
BASIS_NAMES = {
    "alltenants": T("All organisations"),
    "totalseats": T("Organisations of similar size"),
    "industrytypes": T("Organisations of your industry"),
}


@dataclass(frozen=True)
class Target:
    """A score that could be reached; `percent` is None where the tenant's maximum is unknown or 0."""

    name: str
    label: Message
    hint: Message
    points: float
    percent: float | None


@dataclass(frozen=True)
class CategoryScore:
    """One category. Only the `known` actions are summed; `unknown` counts those without a maximum, which have `unknown_points`.

    `reachable` are the percentages of the chosen targets. A category that is none of the five keeps Graph's word. With
    `others`, so many smaller categories are summed in this line, which has no name.
    """

    name: str
    points: float
    max_points: float
    percent: float | None
    known: int
    unknown: int
    unknown_points: float
    reachable: tuple[tuple[Message, float | None], ...] = ()
    others: int = 0


@dataclass(frozen=True)
class Review:
    """A group of actions to review; `query` is the list's query string for them."""

    label: Message
    count: int
    query: str


@dataclass(frozen=True)
class ComparisonLine:
    """The average of other tenants, 0 to 100; None where Microsoft has none. `seats` is a range, or empty."""

    label: Message
    percent: float | None
    seats: str


@dataclass(frozen=True)
class NewestDay:
    """What only the newest snapshot says, and the end of the last import that was not a failure."""

    # Users call Microsoft's counts implausible, and some are 0. They are for display, and never a divisor.
    # docs/facts/microsoft-graph.md#edge-21

    control_points: float | None
    comparisons: tuple[ComparisonLine, ...]
    active_users: int | None
    licensed_users: int | None
    synced_at: datetime | None = None
    day: date | None = None


@dataclass(frozen=True)
class ActionSummary:
    """The improvement actions in short, for the cards of the home page."""

    reviews: list[Review]
    top: list[ActionLine]
    categories: list[CategoryScore]
    unlisted: float


async def summary_of_actions(session: Session, tenant_id: str) -> ActionSummary | None:
    """None while no action has a score."""
    lines = await load_lines(session, tenant_id)
    if not any(line.scored for line in lines):
        return None
    return ActionSummary(reviews(lines), top_actions(lines), categories(lines), unlisted_points(lines))


async def newest_day(session: Session, tenant_id: str) -> NewestDay:
    found = await session.execute(
        select(
            ScoreSnapshot.day,
            ScoreSnapshot.control_points,
            ScoreSnapshot.comparisons,
            ScoreSnapshot.active_users,
            ScoreSnapshot.licensed_users,
            last_sync(tenant_id).label("synced_at"),
        )
        .where(ScoreSnapshot.tenant_id == tenant_id, ~ScoreSnapshot.is_gap)
        .order_by(ScoreSnapshot.created_at.desc(), ScoreSnapshot.id.desc())
        .limit(1)
    )
    row = found.one_or_none()
    if row is None:
        return NewestDay(None, (), None, None)
    lines = tuple(comparison_line(entry) for entry in listed_comparisons(row.comparisons))
    return NewestDay(row.control_points, lines, row.active_users, row.licensed_users, row.synced_at, row.day)


def listed_comparisons(entries: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """All stored comparisons of a day while there are few; else MOST_COMPARISONS, those of a known basis first."""
    if len(entries) <= MOST_COMPARISONS:
        return entries
    return sorted(entries, key=lambda entry: entry["basis"].lower() not in BASIS_NAMES)[:MOST_COMPARISONS]


def comparison_line(entry: dict[str, Any]) -> ComparisonLine:
    """One stored comparison; an unknown basis keeps its name."""
    basis, low, high = entry["basis"], entry["seats_from"], entry["seats_to"]
    label = BASIS_NAMES.get(basis.lower(), T("%(basis)s", basis=basis or "?"))
    return ComparisonLine(label, entry["percent"], f"{low}–{high}" if low is not None and high is not None else "")


@dataclass(frozen=True)
class TargetKind:
    """One of the portal's targets; `counts` says whether what an action could still gain belongs to it.

    Source: docs/facts/microsoft-graph.md#3-1-pages-and-tabs
    """

    name: str
    label: Message
    hint: Message
    counts: Callable[[ActionLine], bool]

    def gain(self, lines: Sequence[ActionLine]) -> float:
        """Points of these lines; what an action of unknown maximum could add is left out."""
        return sum(line.to_gain for line in lines if line.is_in_totals and self.counts(line))


TARGET_KINDS = (
    TargetKind(
        "planned",
        T("Planned score"),
        T("When every planned action is completed."),
        lambda line: line.status is Status.PLANNED,
    ),
    TargetKind(
        "achievable",
        T("Achievable score"),
        T("With your licences, without the risks you accepted."),
        lambda line: line.status is not Status.RISK_ACCEPTED,
    ),
    TargetKind(
        "licence",
        T("Current licence score"),
        T("When everything your licences offer is done."),
        lambda _line: True,
    ),
)


def targets(lines: Sequence[ActionLine], points: float, max_points: float) -> list[Target]:
    """Planned, achievable and current license score."""
    found = []
    for kind in TARGET_KINDS:
        reached = points + kind.gain(lines)
        found.append(Target(kind.name, kind.label, kind.hint, rounded(reached), percent_of_max(reached, max_points)))
    return found


def unlisted_points(lines: Sequence[ActionLine]) -> float:
    """How many of the tenant's possible points belong to no action whose maximum is known; 0 when next to none do."""
    tenant_max = next((line.tenant_max for line in lines), None)
    if tenant_max is None:
        return 0.0
    listed = sum(line.max_points or 0.0 for line in lines if line.scored)
    missing = rounded(tenant_max - listed)
    return missing if missing > SAME_POINTS else 0.0


@dataclass(frozen=True)
class DefaultPoints:
    """The points of the actions that Microsoft marks as set by its own defaults."""

    points: float
    actions: int


def default_points(lines: Sequence[ActionLine]) -> DefaultPoints:
    """What Microsoft's own defaults earn, as far as the catalog marks it."""
    found = [line for line in lines if line.is_in_totals and line.points and is_set_by_microsoft(line.action_type)]
    return DefaultPoints(rounded(sum(line.points or 0.0 for line in found)), len(found))


def percent_of_max(points: float, max_points: float) -> float | None:
    """At most 100; None without a maximum."""
    # docs/facts/microsoft-graph.md#edge-14, docs/facts/microsoft-graph.md#edge-17
    return min(points / max_points * 100, 100.0) if max_points > 0 else None


def categories(lines: Sequence[ActionLine], chosen: Collection[str] = ()) -> list[CategoryScore]:
    """The categories that have a scored action, in alphabetical order; the one without a name comes last.

    Of very many, the smallest are one line after all others. `chosen` are names of targets, as in the plot.
    """
    by_name: dict[str, list[ActionLine]] = {}
    for line in lines:
        if line.is_in_totals:
            by_name.setdefault(line.category_name, []).append(line)
    sizes = {name: sum(line.max_points or 0.0 for line in found) for name, found in by_name.items()}
    listed = listed_categories(sorted(by_name, key=lambda name: (-sizes[name], name)))
    found = [
        _category(name, by_name[name], chosen)
        for name in sorted(listed, key=lambda name: (name == "", name.casefold(), name))
    ]
    rest = by_name.keys() - set(listed)
    if rest:
        found.append(_category("", [line for name in sorted(rest) for line in by_name[name]], chosen, len(rest)))
    return found


def _category(name: str, lines: Sequence[ActionLine], chosen: Collection[str], others: int = 0) -> CategoryScore:
    known = [line for line in lines if line.max_points is not None and line.points is not None]
    unknown = [line for line in lines if line.max_points is None or line.points is None]
    points = sum(line.points or 0.0 for line in known)
    max_points = sum(line.max_points or 0.0 for line in known)
    return CategoryScore(
        name=name,
        points=rounded(points),
        max_points=rounded(max_points),
        percent=percent_of_max(points, max_points),
        known=len(known),
        unknown=len(unknown),
        unknown_points=rounded(sum(line.points or 0.0 for line in unknown)),
        reachable=tuple(
            (kind.label, percent_of_max(points + kind.gain(known), max_points))
            for kind in TARGET_KINDS
            if kind.name in chosen
        ),
        others=others,
    )


def reviews(lines: Sequence[ActionLine]) -> list[Review]:
    """In the order of the page."""
    scored = [line for line in lines if line.scored]

    def counted(status: Status) -> int:
        return sum(line.status is status for line in scored)

    return [
        Review(T("Regressed"), sum(line.is_regressed for line in scored), "regressed=yes"),
        Review(T("To address"), counted(Status.TO_ADDRESS), "status=to_address"),
        Review(T("Planned"), counted(Status.PLANNED), "status=planned"),
        Review(T("Risk accepted"), counted(Status.RISK_ACCEPTED), "status=risk_accepted"),
        Review(T("Recently added"), sum("added" in line.recent for line in scored), "recent=added"),
        Review(T("Recently updated"), sum("updated" in line.recent for line in scored), "recent=updated"),
    ]


def top_actions(lines: Sequence[ActionLine]) -> list[ActionLine]:
    """The first actions to address in the list's own order."""
    to_address = [line for line in lines if line.is_in_totals and line.status is Status.TO_ADDRESS]
    return order_lines(to_address, View())[:TOP_ACTIONS]


def differs(points: float, control_points: float | None) -> bool:
    """Whether the actions' points do not add up to the reported score, which happens in real tenants.

    Source: docs/facts/microsoft-graph.md#edge-16
    """
    return control_points is not None and abs(points - control_points) > SAME_POINTS
