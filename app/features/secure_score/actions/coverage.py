"""Say what Microsoft's `count` and `total` of an action mean. Pure; names no unit, because Graph gives none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Coverage:
    """`done` of `total` are as recommended and `affected` are not; all None where the figures do not say it.

    `counted` is Microsoft's bare count where nothing can be said about its meaning.
    """

    done: int | None = None
    affected: int | None = None
    total: int | None = None
    counted: int | None = None
    is_contradictory: bool = False

    @property
    def is_known(self) -> bool:
        return self.done is not None

    @property
    def applies_to_nothing(self) -> bool:
        """Whether Microsoft counts nothing that the action applies to."""
        return self.total == 0


def coverage_of(count: int | None, total: int | None, percent: float | None) -> Coverage:
    """Count / total is the share that is done, and equals Graph's percentage; only then it is said.

    Source: docs/facts/microsoft-graph.md#1-3-controlscores
    """
    if count is None:
        return Coverage()
    # OneAdmin and RoleOverlap count without a total, and what they count is a number of roles or administrators.
    if total is None:
        return Coverage(counted=count)
    if total == 0 and count == 0:
        return Coverage(total=0)
    # An API of 2017 counted what is missing. Figures that do not fit the percentage are therefore shown without a meaning.
    if count > total or (percent is not None and abs(count - total * percent / 100) > 1):
        return Coverage(counted=count, total=total, is_contradictory=True)
    return Coverage(done=count, affected=total - count, total=total)
