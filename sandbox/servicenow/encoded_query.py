"""Parse encoded queries and run them against the store, by an index where possible. Checks no ACL, evaluates no script."""
# See docs/facts/servicenow.md#2-3-encoded-query and #sandbox-22

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from sandbox.servicenow.query_scripts import ScriptUser, literal
from sandbox.servicenow.store import INDEXED, ORDERED, Record, Store
from sandbox.servicenow.table_schema import NUMBERS, REFERENCES, fields_of

# Longest first: the regular expression must not match `<` in `<=`, nor `IN` in `NOT IN`.
OPERATORS = (
    "EMPTYSTRING", "ISNOTEMPTY", "STARTSWITH", "ENDSWITH", "ANYTHING", "NOT LIKE", "ISEMPTY", "BETWEEN", "NOT IN",
    "LIKE", "IN", "!=", "<=", ">=", "=", "<", ">",
)  # fmt: skip
RANGES = frozenset({"<", ">", "<=", ">=", "BETWEEN"})
CONDITION = re.compile(
    r"([a-z_][a-z0-9_.]*?)(" + "|".join(re.escape(operator) for operator in OPERATORS) + r")(.*)", re.S
)

Predicate = Callable[[str], bool]
# (number of candidate records in an index, function that returns their IDs).
IndexPlan = tuple[int, Callable[[], list[str]]]
# Up to this many candidates, sorting them is faster than walking an ordered index.
WORTH_SORTING = 1_000


@dataclass(frozen=True)
class Condition:
    """One comparison; `test` takes the record's stored value."""

    name: str
    operator: str
    value: str
    test: Predicate = field(compare=False)


@dataclass
class EncodedQuery:
    """Groups joined by ^NQ (or), each a list of clauses (and), each a list of conditions (^OR). `order`: (field, descending)."""

    store: Store
    table: str
    groups: list[list[list[Condition]]] = field(default_factory=lambda: [[]])
    order: list[tuple[str, bool]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    closed: frozenset[str] = frozenset()

    @property
    def has_ranges(self) -> bool:
        """Return whether a range operator occurs; its ACL differs from that of equality."""
        # See docs/facts/servicenow.md#2-3-encoded-query (query_range)
        return any(c.operator in RANGES for group in self.groups for either in group for c in either)

    def run(self, enough: int | None = None) -> list[Record]:
        """Return the matching records in order; with `enough`, possibly only the first that many."""
        if len(self.groups) == 1:
            group = self.groups[0]
            if enough is not None and len(self.order) == 1 and self.order[0][0] in ORDERED and not self.order[0][1]:
                return self._first(group, self.order[0][0], enough)
            return self._sorted(self._matching(group, self._candidates(group)))
        found: dict[str, Record] = {}
        for group in self.groups:
            found.update((record["sys_id"], record) for record in self._matching(group, self._candidates(group)))
        return self._sorted(found.values())

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
        if all(len(either) == 1 and "." not in either[0].name for either in group):
            tests = [(either[0].name, either[0].test) for either in group]
            for record in candidates:
                for name, test in tests:
                    if not test(record.get(name, "")):
                        break
                else:
                    yield record
            return
        value = self._value
        for record in candidates:
            if all(any(c.test(value(record, c.name)) for c in either) for either in group):
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
            wanted = list(dict.fromkeys(value.split(","))) if operator == "IN" else [value]
            return sum(map(equal.count, wanted)), lambda: [i for one in wanted for i in equal.ids(one)]
        if operator in ("<", ">", "<=", ">=") and name in ORDERED:
            ordered = self.store.ordered_index(self.table, name)
            start, end = ordered.bounds(operator, value)
            return end - start, lambda: ordered.ids(start, end)
        return None

    def _value(self, record: Record, name: str) -> str:
        """Return a field's value; a dot-walked name is followed through references."""
        if "." not in name:
            return record.get(name, "")
        head, _, rest = name.partition(".")
        linked = self.store.get(REFERENCES[head], record.get(head, "")) or {}
        return self._value(linked, rest)

    def _sorted(self, records: Iterable[Record]) -> list[Record]:
        found = list(records)
        for name, descending in reversed(self.order):
            found.sort(key=self._sort_key(name), reverse=descending)
        return found

    def _sort_key(self, name: str) -> Callable[[Record], float | str]:
        if name in NUMBERS:
            return lambda record: _number(self._value(record, name))
        return lambda record: self._value(record, name)


def parse_query(
    text: str, store: Store, table: str, caller: ScriptUser, closed: frozenset[str] = frozenset()
) -> EncodedQuery:
    """Parse a query. Conditions on unknown or closed fields are dropped and listed in `unknown`."""
    # See docs/facts/servicenow.md#sandbox-21
    query = EncodedQuery(store, table, closed=closed)
    for part in text.split("^"):
        if part.startswith("ORDERBYDESC"):
            query.order.append((part.removeprefix("ORDERBYDESC"), True))
        elif part.startswith("ORDERBY"):
            query.order.append((part.removeprefix("ORDERBY"), False))
        elif part.startswith("NQ"):
            query.groups.append([])
            _add(query, part.removeprefix("NQ"), caller, either=False)
        elif part.startswith("OR"):
            _add(query, part.removeprefix("OR"), caller, either=True)
        elif part and part != "EQ":
            _add(query, part, caller, either=False)
    query.order = [(name, descending) for name, descending in query.order if _is_known(query, name)]
    return query


def _is_known(query: EncodedQuery, name: str) -> bool:
    table, rest = query.table, name
    while "." in rest:
        head, _, rest = rest.partition(".")
        if head not in fields_of(query.store, table) or head not in REFERENCES:
            return False
        table = REFERENCES[head]
    return rest in fields_of(query.store, table)


def _add(query: EncodedQuery, text: str, caller: ScriptUser, *, either: bool) -> None:
    found = CONDITION.fullmatch(text)
    if not found or not _is_known(query, found[1]) or found[1] in query.closed:
        query.unknown.append(found[1] if found else text)
        return
    name, operator = found[1], found[2]
    value = "@".join(literal(part, caller) for part in found[3].split("@")) if operator == "BETWEEN" else ""
    value = value or literal(found[3], caller)
    condition = Condition(name, operator, value, _test(name, operator, value))
    group = query.groups[-1]
    if either and group:
        group[-1].append(condition)
    else:
        group.append([condition])


def _test(name: str, operator: str, value: str) -> Predicate:
    """Return the predicate of a condition; it is built once per query, not per record."""
    if operator in RANGES:
        return _range(_number if name in NUMBERS else _text, operator, value)
    low, several = value.lower(), frozenset(value.split(","))
    tests: dict[str, Predicate] = {
        "=": lambda have: have == value,
        "!=": lambda have: have != value,
        "LIKE": lambda have: low in have.lower(),
        "NOT LIKE": lambda have: low not in have.lower(),
        "STARTSWITH": lambda have: have.lower().startswith(low),
        "ENDSWITH": lambda have: have.lower().endswith(low),
        "IN": lambda have: have in several,
        "NOT IN": lambda have: have not in several,
        "ISEMPTY": lambda have: have == "",
        "EMPTYSTRING": lambda have: have == "",
        "ISNOTEMPTY": lambda have: have != "",
        "ANYTHING": lambda _: True,
    }
    return tests[operator]


def _range(key: Callable[[str], float | str], operator: str, value: str) -> Predicate:
    if operator == "BETWEEN":
        low, _, high = value.partition("@")
        at_least, at_most = _range(key, ">=", low), _range(key, "<=", high)
        return lambda have: at_least(have) and at_most(have)
    # `key` returns either only numbers or only strings, so both sides are comparable; mypy cannot know it.
    edge: float | str = key(value)
    tests: dict[str, Predicate] = {
        "<": lambda have: key(have) < edge,  # type: ignore[operator]
        ">": lambda have: key(have) > edge,  # type: ignore[operator]
        "<=": lambda have: key(have) <= edge,  # type: ignore[operator]
        ">=": lambda have: key(have) >= edge,  # type: ignore[operator]
    }
    return tests[operator]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("-inf")


def _text(text: str) -> str:
    return text
