"""Derive changes from consecutive snapshots, and which fall of the points is a regression. Pure.

A regression is a fall beyond a tolerance, at equal state and maximum: docs/facts/microsoft-graph.md#edge-47
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from app.features.secure_score.actions.action_rows import derived_maximum

# Points. Proportional actions lose a little with each new account, which is noise.
# docs/facts/microsoft-graph.md#3-2-scoring-rules
TOLERANCE_POINTS = 0.1
# Points. Graph sends rounded numbers, so that a smaller difference is none.
ROUNDING = 0.005
# The points follow a change of state within a day, and in some cases only after a week.
# docs/facts/microsoft-graph.md#1-5-state-updates-reading-and-writing
DECISION_DAYS = 7


class ChangeKind(StrEnum):
    """What happened to one action's points from one snapshot to the next."""

    GAINED = "gained"
    REGRESSED = "regressed"
    CHANGED = "changed"  # The maximum or the state changed, or the fall is within the tolerance.
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True)
class Day:
    """One snapshot; `key` identifies it in the scores."""

    key: int
    day: date
    created_at: datetime


@dataclass(frozen=True)
class Point:
    """One control's value in one snapshot."""

    points: float | None
    percent: float | None

    @property
    def maximum(self) -> float | None:
        """The maximum on that day, computed from points and percentage; None when either is unknown or 0."""
        # The profile only has today's: docs/facts/microsoft-graph.md#1-3-controlscores
        return derived_maximum(self.points, self.percent)


@dataclass(frozen=True)
class Change:
    """An event of the history; `since` is the day of the snapshot before."""

    control_id: str
    day: date
    since: date
    kind: ChangeKind
    before: float | None
    after: float | None
    max_before: float | None
    max_after: float | None


@dataclass(frozen=True)
class Mark:
    """A regression that lasts: since when, and from how many points."""

    on: date
    points: float


def changes_of(
    days: Sequence[Day],
    scores: Mapping[str, Mapping[int, Point]],
    decided: Mapping[str, Sequence[datetime]],
) -> list[Change]:
    """Every change from the first of `days` to the last, in the order of time.

    `scores` maps control id and snapshot key to points, `decided` control id to the times at which its state changed.
    """
    found: list[Change] = []
    for control_id, by_day in scores.items():
        found += _changes_of_control(control_id, days, by_day, decided.get(control_id, ()))
    return sorted(found, key=lambda change: (change.day, change.control_id))


def _changes_of_control(
    control_id: str, days: Sequence[Day], by_day: Mapping[int, Point], decided: Sequence[datetime]
) -> list[Change]:
    found: list[Change] = []
    # The last known value since the control was added; unknown days are skipped, because unknown is no fall.
    known: tuple[Day, Point] | None = None
    before: Day | None = None
    present = False
    for day in days:
        point = by_day.get(day.key)
        if before is not None and (point is not None) != present:
            # Points come and go with the control; neither is a regression: docs/facts/microsoft-graph.md#edge-28
            kind = ChangeKind.ADDED if point is not None else ChangeKind.REMOVED
            old, new = (known[1].points if known and present else None), (point.points if point else None)
            found.append(
                Change(control_id, day.day, before.day, kind, old, new, None, point.maximum if point else None)
            )
            known = None
        elif known is not None and point is not None and point.points is not None:
            change = _change_between(control_id, known, (day, point), decided)
            if change is not None:
                found.append(change)
        present = point is not None
        if point is not None and point.points is not None:
            known = (day, point)
        before = day
    return found


def _change_between(
    control_id: str, before: tuple[Day, Point], after: tuple[Day, Point], decided: Sequence[datetime]
) -> Change | None:
    (old_day, old), (new_day, new) = before, after
    if old.points is None or new.points is None:
        return None
    rescaled = _differs(old.maximum, new.maximum)
    delta = new.points - old.points
    if abs(delta) < ROUNDING and not rescaled:
        return None
    earliest = old_day.created_at - timedelta(days=DECISION_DAYS)
    was_decided = any(earliest < moment <= new_day.created_at for moment in decided)
    kind = ChangeKind.CHANGED
    if not rescaled and delta > 0:
        kind = ChangeKind.GAINED
    elif not rescaled and not was_decided and -delta > TOLERANCE_POINTS:
        kind = ChangeKind.REGRESSED
    return Change(
        control_id, new_day.day, old_day.day, kind, old.points, new.points, old.maximum, new.maximum
    )  # fmt: skip


def _differs(old: float | None, new: float | None) -> bool:
    """Whether two maxima differ by more than the error of computing them from rounded numbers."""
    return old is not None and new is not None and abs(old - new) > max(0.02 * max(old, new), 0.05)


def _is_noise(change: Change) -> bool:
    """Whether it is a fall within the tolerance, of an unchanged maximum."""
    if change.kind is not ChangeKind.CHANGED or change.before is None or change.after is None:
        return False
    return 0 < change.before - change.after <= TOLERANCE_POINTS and not _differs(change.max_before, change.max_after)


def marks_of(changes: Iterable[Change]) -> dict[str, Mark]:
    """The regressions that last after all changes, by control id. `changes` are in the order of time."""
    marks: dict[str, Mark] = {}
    for change in changes:
        advance(marks, change)
    return marks


def marks_by_day(changes: Iterable[Change], days: Sequence[date]) -> list[int]:
    """How many regressions lasted at the end of each day. `days` are in the order of time."""
    waiting = sorted(changes, key=lambda change: change.day)
    marks: dict[str, Mark] = {}
    counts, at = [], 0
    for day in days:
        while at < len(waiting) and waiting[at].day <= day:
            advance(marks, waiting[at])
            at += 1
        counts.append(len(marks))
    return counts


def advance(marks: dict[str, Mark], change: Change) -> None:
    """Apply one change to the marks.

    A fall sets the mark. It goes when the points are back, when the action is gone or rescaled, or when its state changed;
    a fall within the tolerance leaves it. A second fall keeps the higher level and takes the later day.
    """
    mark = marks.get(change.control_id)
    if change.kind is ChangeKind.REGRESSED:
        level = change.before or 0.0
        marks[change.control_id] = Mark(change.day, max(level, mark.points) if mark else level)
    elif (
        mark is not None
        and not _is_noise(change)
        and (
            change.kind in (ChangeKind.CHANGED, ChangeKind.REMOVED, ChangeKind.ADDED)
            or (change.after is not None and change.after >= mark.points - TOLERANCE_POINTS)
        )
    ):
        del marks[change.control_id]
