"""Metrics and trends: score zones, comparison, changes, regressions, accepted risks over time.

The five charts of the portal: docs/facts/microsoft-graph.md#3-1-pages-and-tabs
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from app.core import clock
from app.core.database import Session
from app.core.errors import InvalidInput
from app.core.messages import T
from app.core.rounding import rounded
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.secure_score.actions.action_status import Status, status_of_state
from app.features.secure_score.models import ScoreZones
from app.features.secure_score.reports.day_scores import PERCENT_DIGITS
from app.features.secure_score.reports.history import Period, delta_of
from app.features.secure_score.reports.overview import BASIS_NAMES, MOST_COMPARISONS, comparison_line
from app.features.secure_score.sync.json_values import label, moment, objects
from app.features.secure_score.sync.parse_graph import UNDATED
from app.features.secure_score.sync.score_changes import Change, ChangeKind, marks_by_day

# Percent. Ours until an organization sets its own: no document gives the portal's.
DEFAULT_OKAY, DEFAULT_GOOD = 40.0, 70.0


@dataclass(frozen=True)
class Zones:
    """The percentages from which the score is okay and good; below it is bad."""

    okay_from: float = DEFAULT_OKAY
    good_from: float = DEFAULT_GOOD
    set_by: str = ""

    def zone_of(self, percent: float | None) -> str:
        """bad, okay or good; empty when the percentage is unknown."""
        if percent is None:
            return ""
        if percent >= self.good_from:
            return "good"
        return "okay" if percent >= self.okay_from else "bad"


@dataclass(frozen=True)
class Series:
    """One line of a plot; None draws a gap."""

    name: object
    values: list[float | None]


@dataclass(frozen=True)
class Trends:
    """Everything the page plots; every series has one value per label. Weeks begin on the day that names them."""

    days: list[str]
    score: list[float | None]
    comparison: list[Series]
    weeks: list[str]
    changes: list[Series]
    regressed: list[int]
    accepted: list[int]

    @property
    def comparison_pairs(self) -> list[tuple[object, list[float | None]]]:
        return [(series.name, series.values) for series in self.comparison]

    @property
    def change_pairs(self) -> list[tuple[object, list[float | None]]]:
        return [(series.name, series.values) for series in self.changes]


async def load_zones(session: Session, tenant_id: str) -> Zones:
    """The organization's zones, or the defaults."""
    found = await session.get(ScoreZones, tenant_id)
    return Zones(found.okay_from, found.good_from, found.set_by) if found else Zones()


async def set_zones(session: Session, tenant_id: str, *, okay_from: float, good_from: float, by: Viewer) -> None:
    """Raises InvalidInput unless 0 < okay_from < good_from < 100."""
    if not 0 < okay_from < 100:
        raise InvalidInput(fields={"okay_from": T("Choose a percentage between 0 and 100.")})
    if not okay_from < good_from < 100:
        raise InvalidInput(fields={"good_from": T("Good begins above okay, and below 100 %%.")})
    values = {"okay_from": okay_from, "good_from": good_from, "set_at": clock.now(), "set_by": by.display_name}
    statement = insert(ScoreZones).values(tenant_id=tenant_id, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_=values))
    await log_action(session, by, T("Zones set"), okay_from=okay_from, good_from=good_from)


# A category without one of the five names is Graph's own word, as in `ActionLine.category_name`.
DAYS = """
SELECT snapshot.day, snapshot.points, snapshot.max_points, snapshot.comparisons,
  CASE WHEN :category <> '' THEN (
    SELECT round(CAST(sum(score.points) AS numeric), 2)::float8 FROM control_score score
    JOIN improvement_action action ON action.tenant_id = :tenant_id AND action.control_id = score.control_id
    WHERE score.snapshot_id = snapshot.id
      AND COALESCE(NULLIF(action.category, ''), action.category_raw) = :category) END AS category_points
FROM score_snapshot snapshot
WHERE snapshot.tenant_id = :tenant_id AND snapshot.day BETWEEN :since AND :until AND NOT snapshot.is_gap
ORDER BY snapshot.created_at, snapshot.graph_id
"""


async def load_trends(session: Session, tenant_id: str, period: Period, category: str) -> Trends:
    """The metrics of this period; with a category, all but the comparison are of that category alone."""
    parameters = {"tenant_id": tenant_id, "since": period.since, "until": period.until, "category": category}
    found = await session.execute(text(DAYS), parameters)
    rows = {row.day: row for row in found}
    days = every_day(list(rows))
    own = {day: _percent(row) for day, row in rows.items()}
    # Graph keeps no maximum per control and day, so a category is plotted in points instead of percent.
    # docs/facts/microsoft-graph.md#1-3-controlscores
    of_category = {day: row.category_points for day, row in rows.items()}
    score = [of_category.get(day) if category else own.get(day) for day in days]
    changes = await _changes(session, tenant_id, category)
    weeks = weeks_of(days)
    return Trends(
        days=[day.isoformat() for day in days],
        score=score,
        comparison=comparison_series(days, rows, [own.get(day) for day in days]),
        weeks=[week.isoformat() for week in weeks],
        changes=change_series(weeks, [change for change in changes if period.since <= change.day <= period.until]),
        regressed=marks_by_day(changes, days),
        accepted=accepted_by_day(await _risk_decisions(session, tenant_id, category), days),
    )


def every_day(known: Sequence[date]) -> list[date]:
    """Every day from the first to the last, so that missing ones are drawn as gaps."""
    if not known:
        return []
    return [known[0] + timedelta(days=offset) for offset in range((known[-1] - known[0]).days + 1)]


def weeks_of(days: Sequence[date]) -> list[date]:
    """The first day of each week, counted from the first of `days`."""
    return list(days[::7])


def comparison_series(days: Sequence[date], rows: dict[date, Any], own: list[float | None]) -> list[Series]:
    """Our own percentage, and each comparison that Microsoft gave on any of these days, MOST_COMPARISONS at most."""
    by_basis: dict[str, tuple[object, dict[date, float | None]]] = {}
    for day, row in rows.items():
        for entry in row.comparisons:
            basis = entry["basis"].lower()
            # The known ones are always drawn; others that Microsoft may add only while there are few.
            if (
                basis not in by_basis
                and basis not in BASIS_NAMES
                and len(by_basis) >= MOST_COMPARISONS - len(BASIS_NAMES)
            ):
                continue
            line = comparison_line(entry)
            by_basis.setdefault(basis, (line.label, {}))[1][day] = line.percent
    found = [Series(T("Your organisation"), own)]
    for shown, values in by_basis.values():
        if any(value is not None for value in values.values()):
            found.append(Series(shown, [values.get(day) for day in days]))
    return found


CHANGE_NAMES = (
    (ChangeKind.GAINED, T("Achieved")),
    (ChangeKind.REGRESSED, T("Regressed")),
    (ChangeKind.CHANGED, T("Changed")),
)


def change_series(weeks: Sequence[date], changes: Iterable[Change]) -> list[Series]:
    """Points per week and kind; added and removed count as changed."""
    sums: dict[ChangeKind, list[float]] = {kind: [0.0] * len(weeks) for kind, _ in CHANGE_NAMES}
    for change in changes:
        delta = delta_of(change.kind, change.before, change.after)
        week = next((at for at in range(len(weeks) - 1, -1, -1) if weeks[at] <= change.day), None)
        if delta is None or week is None:
            continue
        sums[change.kind if change.kind in sums else ChangeKind.CHANGED][week] += delta
    return [Series(name, [rounded(value) for value in sums[kind]]) for kind, name in CHANGE_NAMES]


@dataclass(frozen=True)
class RiskDecision:
    """From this moment on, the risk of an action is accepted, or no longer."""

    at: datetime
    control_id: str
    accepted: bool


def accepted_by_day(decisions: Iterable[RiskDecision], days: Sequence[date]) -> list[int]:
    """How many actions had an accepted risk at the end of each day. `days` are in the order of time."""
    waiting = sorted(decisions, key=lambda decision: decision.at)
    accepted: set[str] = set()
    counts, at = [], 0
    for day in days:
        end = datetime.combine(day, time.max, UTC)
        while at < len(waiting) and waiting[at].at <= end:
            (accepted.add if waiting[at].accepted else accepted.discard)(waiting[at].control_id)
            at += 1
        counts.append(len(accepted))
    return counts


def _percent(row: Any) -> float | None:  # noqa: ANN401 - a row of the statement above.
    if row.points is None or not row.max_points:
        return None
    return rounded(min(float(row.points) / float(row.max_points) * 100, 100.0), PERCENT_DIGITS)


async def _changes(session: Session, tenant_id: str, category: str) -> list[Change]:
    found = await session.execute(
        text(
            "SELECT change.control_id, change.day, change.since, change.kind, change.points_before, "
            "change.points_after, change.max_before, change.max_after FROM score_change change "
            "JOIN improvement_action action ON action.tenant_id = change.tenant_id "
            "AND action.control_id = change.control_id WHERE change.tenant_id = :tenant_id "
            "AND (:category = '' OR COALESCE(NULLIF(action.category, ''), action.category_raw) = :category) "
            "ORDER BY change.day, change.id"
        ),
        {"tenant_id": tenant_id, "category": category},
    )
    return [
        Change(control_id, day, since, ChangeKind(kind), before, after, max_before, max_after)
        for control_id, day, since, kind, before, after, max_before, max_after in found.all()
    ]


async def _risk_decisions(session: Session, tenant_id: str, category: str) -> list[RiskDecision]:
    """Decisions made here and in Microsoft's portal."""
    found = await session.execute(
        text(
            "SELECT action.control_id, action.profile_raw -> 'controlStateUpdates' AS updates, change.decided_at, "
            "change.status_after FROM improvement_action action LEFT JOIN status_change change "
            "ON change.tenant_id = action.tenant_id AND change.control_id = action.control_id "
            "WHERE action.tenant_id = :tenant_id AND (action.state <> '' OR action.state_at IS NOT NULL "
            "OR change.id IS NOT NULL) "
            "AND (:category = '' OR COALESCE(NULLIF(action.category, ''), action.category_raw) = :category)"
        ),
        {"tenant_id": tenant_id, "category": category},
    )
    decisions: set[RiskDecision] = set()
    for control_id, updates, decided_at, status_after in found.all():
        if decided_at is not None:
            decisions.add(RiskDecision(decided_at, control_id, status_after == Status.RISK_ACCEPTED))
        for update in objects(updates):
            # A state without a date counts from the beginning.
            accepted = status_of_state(label(update.get("state"))) is Status.RISK_ACCEPTED
            decisions.add(RiskDecision(moment(update.get("updatedDateTime")) or UNDATED, control_id, accepted))
    return list(decisions)
