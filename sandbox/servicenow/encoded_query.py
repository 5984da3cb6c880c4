"""Run a parsed query against the store, by an index where possible. Parses nothing, checks no ACL."""
# See docs/facts/servicenow.md#2-3-encoded-query

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from sandbox.servicenow.other_tables import CHILDREN
from sandbox.servicenow.query_operators import as_number
from sandbox.servicenow.store import INDEXED, ORDERED, Record, Store
from sandbox.servicenow.table_schema import NUMBERS, REFERENCES

# (number of candidate records in an index, function that returns their IDs).
IndexPlan = tuple[int, Callable[[], list[str]]]
# Up to this many candidates, sorting them is faster than walking an ordered index.
WORTH_SORTING = 1_000


@dataclass(frozen=True)
class Condition:
    """One comparison; name, operator and value let an index narrow the candidates, `matches` decides."""

    name: str
    operator: str
    value: str
    matches: Callable[[Record], bool] = field(compare=False)


@dataclass
class EncodedQuery:
    """Groups joined by ^NQ (or), each a list of clauses (and), each a list of conditions (^OR). `order`: (field, descending)."""

    store: Store
    table: str
    groups: list[list[list[Condition]]] = field(default_factory=lambda: [[]])
    order: list[tuple[str, bool]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    has_ranges: bool = False

    def run(self, enough: int | None = None) -> list[Record]:
        """Return the matching records in order; with `enough`, possibly only the first that many."""
        if self.table in CHILDREN:
            children = [replace(self, table=child).run() for child in CHILDREN[self.table]]
            return self._sorted([*self._of_one_table(), *(row for rows in children for row in rows)])
        return self._of_one_table(enough)

    def _of_one_table(self, enough: int | None = None) -> list[Record]:
        if len(self.groups) == 1:
            group = self.groups[0]
            if enough is not None and len(self.order) == 1 and self.order[0][0] in ORDERED and not self.order[0][1]:
                return self._first(group, self.order[0][0], enough)
            return self._sorted(self._matching(group, self._candidates(group)))
        found: dict[str, Record] = {}
        for group in self.groups:
            found.update((record["sys_id"], record) for record in self._matching(group, self._candidates(group)))
        return self._sorted(found.values())

    def matches(self, record: Record) -> bool:
        """Return whether the query finds this record, stored or not."""
        return any(True for group in self.groups for _ in self._matching(group, [record]))

    def value_of(self, record: Record, name: str) -> str:
        """Return a field's value; a dot-walked name is followed through references."""
        if "." not in name:
            return record.get(name, "")
        head, _, rest = name.partition(".")
        return self.value_of(self.store.get(REFERENCES[head], record.get(head, "")) or {}, rest)

    def _first(self, group: list[list[Condition]], name: str, enough: int) -> list[Record]:
        """Return the first `enough` matches by walking the index of the sort field, or by sorting few candidates."""
        best = self._best_plan(group)
        if best is not None and best[0] <= WORTH_SORTING:
            return self._sorted(self._matching(group, self.store.get_many(self.table, best[1]())))
        ordered = self.store.ordered_index(self.table, name)
        start, end = 0, len(self.store.tables.get(self.table, ()))
        for either in group:
            if len(either) == 1 and either[0].name == name and either[0].operator in ("<", ">", "<=", ">="):
                low, high = ordered.bounds(either[0].operator, either[0].value)
                start, end = max(start, low), min(end, high)
        known = self.store.tables.get(self.table, {})
        walk = (known[sys_id] for sys_id in ordered.walk(start, end) if sys_id in known)
        return list(islice(self._matching(group, walk), enough))

    def _matching(self, group: list[list[Condition]], candidates: Iterable[Record]) -> Iterator[Record]:
        singles = [either[0].matches for either in group if len(either) == 1]
        several = [[condition.matches for condition in either] for either in group if len(either) > 1]
        for record in candidates:
            for matches in singles:
                if not matches(record):
                    break
            else:
                if all(any(matches(record) for matches in either) for either in several):
                    yield record

    def _candidates(self, group: list[list[Condition]]) -> list[Record]:
        """Return the shortest candidate list of any index, or every record of the table."""
        best = self._best_plan(group)
        return list(self.store.rows(self.table)) if best is None else self.store.get_many(self.table, best[1]())

    def _best_plan(self, group: list[list[Condition]]) -> IndexPlan | None:
        plans = [self._plan(either[0]) for either in group if len(either) == 1]
        return min((plan for plan in plans if plan is not None), key=lambda plan: plan[0], default=None)

    def _plan(self, condition: Condition) -> IndexPlan | None:
        name, operator, value = condition.name, condition.operator, condition.value
        if operator in ("=", "IN") and name in INDEXED:
            equal = self.store.value_index(self.table, name)
            wanted = value.split(",") if operator == "IN" else [value]
            return sum(map(equal.count, wanted)), lambda: equal.ids_of_any(wanted)
        if operator in ("<", ">", "<=", ">=") and name in ORDERED:
            ordered = self.store.ordered_index(self.table, name)
            start, end = ordered.bounds(operator, value)
            return end - start, lambda: ordered.ids(start, end)
        return None

    def _sorted(self, records: Iterable[Record]) -> list[Record]:
        found = list(records)
        for name, descending in reversed(self.order):
            found.sort(key=self._sort_key(name), reverse=descending)
        return found

    def _sort_key(self, name: str) -> Callable[[Record], float | str]:
        if name in NUMBERS:
            return lambda record: as_number(self.value_of(record, name))
        return lambda record: self.value_of(record, name)
