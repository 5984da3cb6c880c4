"""Says what changed from snapshot to snapshot, and which fall is a regression. Pure: rows come in, events go out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

# Falls smaller than this are noise of proportional actions: one more account among many (points, not per cent).
TOLERANCE_POINTS = 0.1
# Graph rounds; differences below this are none.
NOTHING = 0.005
# After a decision the points follow within a day, sometimes within a week (facts 1.5).
DECISION_DAYS = 7


class ChangeKind(StrEnum):
    """What happened to one action's points from one snapshot to the next."""

    GAINED = "gained"
    REGRESSED = "regressed"
    CHANGED = "changed"  # The maximum changed, somebody decided, or the fall is within the tolerance.
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True)
class Day:
    """One snapshot in the order of time; `key` names it in the scores."""

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
        """What the maximum must have been, as far as points and percentage tell."""
        if self.points and self.percent:
            return round(self.points / self.percent * 100, 2)
        return None


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
    """A regression that has not been made good: since when, and from how many points."""

    on: date
    points: float


def changes_of(
    days: Sequence[Day],
    scores: Mapping[str, Mapping[int, Point]],
    decided: Mapping[str, Sequence[datetime]],
) -> list[Change]:
    """Every change from the first of `days` to the last; `scores` maps control and snapshot key to points.

    `decided` holds when somebody set each control's state: a fall that follows a decision is no regression.
    """
    found: list[Change] = []
    for control_id, by_day in scores.items():
        found += _course(control_id, days, by_day, decided.get(control_id, ()))
    return sorted(found, key=lambda change: (change.day, change.control_id))


def _course(
    control_id: str, days: Sequence[Day], by_day: Mapping[int, Point], decided: Sequence[datetime]
) -> list[Change]:
    found: list[Change] = []
    known: tuple[Day, Point] | None = None  # The last value that was not unknown, within one stretch of presence.
    before: Day | None = None
    present = False
    for day in days:
        point = by_day.get(day.key)
        if before is not None and (point is not None) != present:
            kind = ChangeKind.ADDED if point is not None else ChangeKind.REMOVED
            old, new = (known[1].points if known and present else None), (point.points if point else None)
            found.append(
                Change(control_id, day.day, before.day, kind, old, new, None, point.maximum if point else None)
            )
            known = None
        elif known is not None and point is not None and point.points is not None:
            change = _step(control_id, known, (day, point), decided)
            if change is not None:
                found.append(change)
        present = point is not None
        if point is not None and point.points is not None:
            known = (day, point)
        before = day
    return found


def _step(
    control_id: str, before: tuple[Day, Point], after: tuple[Day, Point], decided: Sequence[datetime]
) -> Change | None:
    (old_day, old), (new_day, new) = before, after
    if old.points is None or new.points is None:
        return None
    rescaled = _differs(old.maximum, new.maximum)
    delta = new.points - old.points
    if abs(delta) < NOTHING and not rescaled:
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
    """Whether two maxima, computed from rounded numbers, are surely different."""
    return old is not None and new is not None and abs(old - new) > max(0.02 * max(old, new), 0.05)


def _is_noise(change: Change) -> bool:
    """Whether it is a fall within the tolerance, of an unchanged maximum."""
    if change.kind is not ChangeKind.CHANGED or change.before is None or change.after is None:
        return False
    return 0 < change.before - change.after <= TOLERANCE_POINTS and not _differs(change.max_before, change.max_after)


def marks_of(changes: Iterable[Change]) -> dict[str, Mark]:
    """The regressions that last, by control; `changes` in the order of time."""
    marks: dict[str, Mark] = {}
    for change in changes:
        advance(marks, change)
    return marks


def marks_by_day(changes: Iterable[Change], days: Sequence[date]) -> list[int]:
    """How many regressions lasted at the end of each of these days, which are in the order of time."""
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
    """One change further: a fall marks, and the mark goes when the points are back where they were, when the action is
    gone or rescaled, or when somebody decided. A fall within the tolerance leaves it. A second fall keeps the first
    one's points and takes the second one's day.
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
