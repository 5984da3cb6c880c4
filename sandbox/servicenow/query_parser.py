"""Parse encoded queries: conditions, groups, order, joins and related lists. Runs no query but those of joined tables."""
# See docs/facts/servicenow.md#2-3-encoded-query and #sandbox-22

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sandbox.servicenow.encoded_query import Condition, EncodedQuery
from sandbox.servicenow.query_operators import (
    FIELD_PAIRS,
    OPERATORS,
    RANGES,
    UNSUPPORTED,
    UnsupportedOperator,
    compare_count,
    pair_predicate,
    plain,
    predicate,
)
from sandbox.servicenow.query_scripts import ScriptUser
from sandbox.servicenow.store import Record, Store
from sandbox.servicenow.table_schema import FIELDS, JOURNALS, REFERENCES, SECRET, fields_of
from sandbox.servicenow.text_folding import fold

FIELD = r"[a-z_][a-z0-9_.]*?"
# Longest first: the regular expression must not match `<` in `<=`, nor `IN` in `INSTANCEOF`.
LONGEST_FIRST = sorted((*OPERATORS, *UNSUPPORTED), key=len, reverse=True)
CONDITION = re.compile(rf"({FIELD})({'|'.join(re.escape(operator) for operator in LONGEST_FIRST)})(.*)", re.S)
# What looks like an operator: capitals or comparison signs, alone or behind a field's name.
LIKE_AN_OPERATOR = re.compile(r"[a-z0-9_.]*([A-Z][A-Z_]{2,}|[<>=!~]+)")
# A name in capitals before a sign is a field that no table has.
CAPITAL_FIELD = re.compile(r"[A-Z][A-Z0-9_]*[=<>!]")
TEXT_SEARCH = re.compile(r"123TEXTQUERY321\s*=(.*)", re.S)
JOIN = re.compile(r"JOIN(?:(\w+)\.)?(\w+)=(\w+)\.(\w+)(?:!(.*))?", re.S)
RELATED_LIST = re.compile(r"RLQUERY(\w+)\.(\w+),([^,^]+)(?:,m2m)?(?:\^(.*))?", re.S)


@dataclass(frozen=True)
class QueryContext:
    """What a query means depends on: data, caller, closed fields, and how text is compared."""

    store: Store
    caller: ScriptUser
    closed: frozenset[str] = frozenset()
    # Minds case and accents in `=`, `!=`, `IN`, `NOT IN`; the default minds neither.
    exact: bool = False


def parse_query(text: str, context: QueryContext, table: str) -> EncodedQuery:
    """Parse a query. Conditions on unknown or closed fields are dropped and listed in `unknown`.

    Raises UnsupportedOperator for an operator that is not reproduced.
    """
    # See docs/facts/servicenow.md#sandbox-21
    query = EncodedQuery(context.store, table)
    parser = _Parser(query, context)
    for part in _parts(text):
        parser.read(part)
    query.order = [(name, descending) for name, descending in query.order if parser.knows(name)]
    return query


def _parts(text: str) -> Iterator[str]:
    """Split at `^`, except inside a related list or a join, whose own conditions contain it."""
    waiting = text.split("^")
    while waiting:
        part = waiting.pop(0)
        kind = part.removeprefix("NQ")
        if kind.startswith("RLQUERY"):
            if "ENDRLQUERY" not in waiting:
                raise UnsupportedOperator("RLQUERY without ENDRLQUERY")
            end = waiting.index("ENDRLQUERY")
            part, waiting = "^".join([part, *waiting[:end]]), waiting[end + 1 :]
        elif kind.startswith("JOIN"):
            # PySNC writes a join's own conditions behind `!` and the order behind them.
            while waiting and not waiting[0].startswith(("JOIN", "RLQUERY", "NQ", "ORDERBY")):
                part += f"^{waiting.pop(0)}"
        yield part


class _Parser:
    def __init__(self, query: EncodedQuery, context: QueryContext) -> None:
        self._query, self._context, self._store = query, context, context.store
        self._table = query.table

    def read(self, part: str) -> None:
        """Add one part of the query: an order, a group, a join, or a condition."""
        for word, descending in (("ORDERBYDESC", True), ("ORDERBY", False)):
            if part.startswith(word):
                self._query.order.append((part.removeprefix(word), descending))
                return
        if part.startswith("NQ"):
            self._query.groups.append([])
            self.read(part.removeprefix("NQ"))
        elif part.startswith("OR"):
            self._condition(part.removeprefix("OR"), either=True)
        elif part.startswith("JOIN"):
            self._join(part)
        elif part.startswith("RLQUERY"):
            self._related_list(part)
        elif part and part != "EQ":
            # GOTO is how a list's search box marks its condition.
            self._condition(part.removeprefix("GOTO"), either=False)

    def knows(self, name: str) -> bool:
        """Return whether the table has this field and it may be queried; a dot-walked name is followed."""
        return name not in self._context.closed and _has_field(self._store, self._table, name)

    def _condition(self, text: str, *, either: bool) -> None:
        search = TEXT_SEARCH.fullmatch(text)
        if search:
            self._add(Condition("", "TEXTQUERY", search[1], _text_search(search[1])), either=either)
            return
        found = CONDITION.fullmatch(text)
        if not found:
            strange = LIKE_AN_OPERATOR.match(text)
            if strange and not CAPITAL_FIELD.match(text):
                raise UnsupportedOperator(strange[1])
            self._query.unknown.append(text)
            return
        name, operator, value = found[1], found[2], found[3]
        if operator in UNSUPPORTED:
            raise UnsupportedOperator(operator)
        if not self.knows(name) or (operator in FIELD_PAIRS and not self.knows(value)):
            self._query.unknown.append(name)
            return
        self._query.has_ranges |= operator in RANGES
        if operator in FIELD_PAIRS:
            self._add(Condition(name, operator, value, self._pair(name, operator, value)), either=either)
            return
        operator, value = plain(operator, value, self._context.caller)
        test = predicate(name, operator, value, exact=self._context.exact)
        self._add(Condition(name, operator, value, self._on_value(name, test)), either=either)

    def _add(self, condition: Condition, *, either: bool) -> None:
        group = self._query.groups[-1]
        if either and group:
            group[-1].append(condition)
        else:
            group.append([condition])

    def _on_value(self, name: str, test: Callable[[str], bool]) -> Callable[[Record], bool]:
        if "." in name:
            return lambda record: test(self._query.value_of(record, name))
        return lambda record: test(record.get(name, ""))

    def _pair(self, name: str, operator: str, other: str) -> Callable[[Record], bool]:
        test, value_of = pair_predicate(name, operator, exact=self._context.exact), self._query.value_of
        return lambda record: test(value_of(record, name), value_of(record, other))

    def _join(self, text: str) -> None:
        """Keep the records whose field equals that of a matching row of another table."""
        found = JOIN.fullmatch(text)
        if not found or found[1] not in (None, self._table):
            raise UnsupportedOperator(text)
        name, table, field = found[2], found[3], found[4]
        if not self.knows(name) or not self._joins(table, field):
            return
        values = {row.get(field, "") for row in self._rows_of(table, found[5] or "")} - {""}
        self._add(Condition(name, "JOIN", text, lambda record: record.get(name, "") in values), either=False)

    def _related_list(self, text: str) -> None:
        """Keep the records that so many rows of another table refer to."""
        found = RELATED_LIST.fullmatch(text)
        if not found:
            raise UnsupportedOperator(text)
        table, field, fits = found[1], found[2], compare_count(found[3])
        if not self._joins(table, field):
            return
        counts = Counter(row.get(field, "") for row in self._rows_of(table, found[4] or ""))
        self._add(Condition("sys_id", "RLQUERY", text, lambda record: fits(counts[record["sys_id"]])), either=False)

    def _joins(self, table: str, field: str) -> bool:
        if table not in FIELDS:
            raise UnsupportedOperator(f"a join with the table {table}")
        if _has_field(self._store, table, field):
            return True
        self._query.unknown.append(f"{table}.{field}")
        return False

    def _rows_of(self, table: str, text: str) -> list[Record]:
        inner = parse_query(text, replace(self._context, closed=frozenset()), table)
        self._query.unknown += inner.unknown
        self._query.has_ranges |= inner.has_ranges
        return inner.run()


def _has_field(store: Store, table: str, name: str) -> bool:
    head, _, rest = name.partition(".")
    if head not in fields_of(store, table):
        return False
    return not rest or (head in REFERENCES and _has_field(store, REFERENCES[head], rest))


def _text_search(text: str) -> Callable[[Record], bool]:
    """Match records that contain every word of the text in any of their columns."""
    wanted = frozenset(re.findall(r"\w+", fold(text)))
    hidden = SECRET | frozenset(JOURNALS)

    def matches(record: Record) -> bool:
        values = " ".join(value for name, value in record.items() if name not in hidden)
        return wanted <= frozenset(re.findall(r"\w+", fold(values)))

    return matches
