"""Count the odd entries of Graph's answers, and say each kind once. Parses nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from app.core.bounds import line
from app.core.messages import Message, T

LONGEST_SAMPLE = 40


@dataclass
class ParseReport:
    """Counts of odd entries, reported once per kind."""

    without_id: int = 0
    foreign: int = 0
    undated: int = 0
    doubled: Counter[str] = field(default_factory=Counter)
    without_controls: list[date] = field(default_factory=list)
    without_total: list[date] = field(default_factory=list)
    unreadable: dict[str, list[str]] = field(default_factory=dict)  # By member: what stood there.

    def note_unreadable(self, member: str, value: object, parsed: float | None) -> None:
        """Note a value that is there and is no number. A missing one and null say "unknown", which is no fault."""
        # docs/facts/microsoft-graph.md#edge-12
        if parsed is None and value is not None:
            self.unreadable.setdefault(member, []).append(line(value, LONGEST_SAMPLE) or "…")

    def sentences(self) -> list[Message]:
        """The warnings for the import page: one per kind of odd entry that was found, with its count."""
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
        return found + self._about_days() + self._about_values()

    def _about_days(self) -> list[Message]:
        found = []
        if self.without_controls:
            days = _days(self.without_controls)
            found.append(
                T("The score of %(days)s came without its actions, so their points stay as they were.", days=days)
            )
        if self.without_total:
            days = _days(self.without_total)
            found.append(
                T("The score of %(days)s came without a readable total, so pages show an older one.", days=days)
            )
        return found

    def _about_values(self) -> list[Message]:
        return [
            T(
                "%(count)s values of %(member)s are no number that can be points (“%(sample)s”, for one) and count as unknown.",
                count=len(values),
                member=member,
                sample=values[0],
            )
            for member, values in self.unreadable.items()
        ]


def _days(days: Sequence[date]) -> Message:
    """The newest day, and how many there are beside it."""
    newest, others = max(days), len(set(days)) - 1
    if not others:
        return T("%(day)s", day=newest)
    return T("%(day)s and of %(count)s other days", day=newest, count=others)
