"""Reads encoded queries and says which records match. Evaluates no script beyond a short list of date helpers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sandbox.servicenow.store import TIME_FORMAT, Record

# Longest first, so that `<=` is not read as `<`, and `NOT IN` not as `IN`.
OPERATORS = (
    "ISNOTEMPTY", "ISEMPTY", "STARTSWITH", "ENDSWITH", "NOT LIKE", "NOT IN", "LIKE", "IN", "!=", "<=", ">=", "=", "<", ">",
)  # fmt: skip
CONDITION = re.compile(
    r"([a-z_][a-z0-9_.]*?)(" + "|".join(re.escape(operator) for operator in OPERATORS) + r")(.*)", re.S
)
SCRIPT = re.compile(r"javascript:\s*gs\.(\w+)\((.*)\)\s*;?$", re.S)


@dataclass(frozen=True)
class Caller:
    """Who asks: helpers depend on the user and on the user's time zone."""

    user_id: str
    time_zone: str
    now: datetime


@dataclass(frozen=True)
class Condition:
    """One comparison."""

    name: str
    operator: str
    value: str

    def matches(self, record: Record) -> bool:
        """Whether the record fits; all comparisons are of text, except between numbers."""
        have = record.get(self.name, "")
        simple: dict[str, Callable[[], bool]] = {
            "=": lambda: have == self.value,
            "!=": lambda: have != self.value,
            "LIKE": lambda: self.value.lower() in have.lower(),
            "NOT LIKE": lambda: self.value.lower() not in have.lower(),
            "STARTSWITH": lambda: have.lower().startswith(self.value.lower()),
            "ENDSWITH": lambda: have.lower().endswith(self.value.lower()),
            "IN": lambda: have in self.value.split(","),
            "NOT IN": lambda: have not in self.value.split(","),
            "ISEMPTY": lambda: have == "",
            "ISNOTEMPTY": lambda: have != "",
            "<": lambda: _less(have, self.value),
            ">": lambda: _less(self.value, have),
            "<=": lambda: not _less(self.value, have),
            ">=": lambda: not _less(have, self.value),
        }
        return simple[self.operator]()


@dataclass
class Query:
    """Groups joined by NQ; in each, all of; in each of those, any of. `order` is (field, descending)."""

    groups: list[list[list[Condition]]] = field(default_factory=lambda: [[]])
    order: list[tuple[str, bool]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def matches(self, record: Record) -> bool:
        """Whether any group fits; a group without conditions fits everything."""
        return any(all(any(c.matches(record) for c in either) for either in group) for group in self.groups)

    def sort(self, records: Iterable[Record]) -> list[Record]:
        """In the order asked for."""
        found = list(records)
        for name, descending in reversed(self.order):
            found.sort(key=lambda record: _sort_key(record.get(name, "")), reverse=descending)
        return found


def parse_query(text: str, known_fields: Iterable[str], caller: Caller) -> Query:
    """The query; conditions on fields the table does not have are dropped and named in `unknown`."""
    known = set(known_fields)
    query = Query()
    for part in text.split("^"):
        if part.startswith("ORDERBYDESC"):
            query.order.append((part.removeprefix("ORDERBYDESC"), True))
        elif part.startswith("ORDERBY"):
            query.order.append((part.removeprefix("ORDERBY"), False))
        elif part.startswith("NQ"):
            query.groups.append([])
            _add(query, part.removeprefix("NQ"), known, caller, either=False)
        elif part.startswith("OR"):
            _add(query, part.removeprefix("OR"), known, caller, either=True)
        elif part and part != "EQ":
            _add(query, part, known, caller, either=False)
    query.order = [(name, descending) for name, descending in query.order if name in known]
    return query


def _add(query: Query, text: str, known: set[str], caller: Caller, *, either: bool) -> None:
    found = CONDITION.fullmatch(text)
    if not found or found[1] not in known:
        query.unknown.append(found[1] if found else text)
        return
    condition = Condition(found[1], found[2], _value(found[3], caller))
    group = query.groups[-1]
    if either and group:
        group[-1].append(condition)
    else:
        group.append([condition])


def _value(text: str, caller: Caller) -> str:
    if not text.startswith("javascript:"):
        return text
    found = SCRIPT.match(text)
    if not found:
        return ""
    arguments = [part.strip().strip("'\"") for part in found[2].split(",")] if found[2].strip() else []
    helper = HELPERS.get(found[1])
    try:
        return helper(caller, arguments) if helper else ""
    except (ValueError, IndexError):
        return ""


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


def _midnight(caller: Caller) -> datetime:
    return caller.now.astimezone(ZoneInfo(caller.time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)


def _generate(caller: Caller, arguments: list[str]) -> str:
    """`gs.dateGenerate` reads its time in the calling user's zone (facts 2.3)."""
    local = datetime.strptime(f"{arguments[0]} {arguments[1]}", TIME_FORMAT).replace(tzinfo=ZoneInfo(caller.time_zone))
    return _utc(local)


HELPERS: dict[str, Callable[[Caller, list[str]], str]] = {
    "getUserID": lambda caller, _: caller.user_id,
    "dateGenerate": _generate,
    "beginningOfToday": lambda caller, _: _utc(_midnight(caller)),
    "endOfToday": lambda caller, _: _utc(_midnight(caller) + timedelta(days=1, seconds=-1)),
    "daysAgo": lambda caller, a: _utc(caller.now - timedelta(days=int(a[0]))),
    "daysAgoStart": lambda caller, a: _utc(_midnight(caller) - timedelta(days=int(a[0]))),
    "hoursAgo": lambda caller, a: _utc(caller.now - timedelta(hours=int(a[0]))),
    "minutesAgo": lambda caller, a: _utc(caller.now - timedelta(minutes=int(a[0]))),
    "nowDateTime": lambda caller, _: _utc(caller.now),
}


def _sort_key(text: str) -> tuple[int, float, str]:
    try:
        return (0, float(text), "")
    except ValueError:
        return (1, 0.0, text)


def _less(left: str, right: str) -> bool:
    return _sort_key(left) < _sort_key(right)
