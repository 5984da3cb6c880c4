"""OData query options of the Graph sandbox: `$filter`, `$orderby`, `$select`. An option it cannot apply is an error.

What the two lists support: docs/facts/microsoft-graph.md#1-1-endpoints
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]
Condition = Callable[[Row], bool]

TEXT, NUMBER, TIME, FLAG, OBJECT = "text", "number", "time", "flag", "object"
VENDOR = {f"vendorInformation/{name}": TEXT for name in ("provider", "providerVersion", "subProvider", "vendor")}
# Properties of the two types: https://learn.microsoft.com/graph/api/resources/securescore and …/securescorecontrolprofile
PROPERTIES: dict[str, dict[str, str]] = {
    "secureScores": {
        "id": TEXT, "azureTenantId": TEXT, "activeUserCount": NUMBER, "averageComparativeScores": OBJECT,
        "controlScores": OBJECT, "createdDateTime": TIME, "currentScore": NUMBER, "enabledServices": OBJECT,
        "licensedUserCount": NUMBER, "maxScore": NUMBER, "vendorInformation": OBJECT, **VENDOR,
    },
    "secureScoreControlProfiles": {
        "id": TEXT, "actionType": TEXT, "actionUrl": TEXT, "azureTenantId": TEXT, "complianceInformation": OBJECT,
        "controlCategory": TEXT, "controlStateUpdates": OBJECT, "deprecated": FLAG, "implementationCost": TEXT,
        "lastModifiedDateTime": TIME, "maxScore": NUMBER, "rank": NUMBER, "remediation": TEXT,
        "remediationImpact": TEXT, "service": TEXT, "threats": OBJECT, "tier": TEXT, "title": TEXT, "userImpact": TEXT,
        "vendorInformation": OBJECT, **VENDOR,
    },
}  # fmt: skip
OPTIONS = frozenset({"$filter", "$orderby", "$select", "$top", "$skip", "$skiptoken", "$count"})
TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z][\w/]*)|(?P<sign>[(),]))"
)
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b), "ne": lambda a, b: bool(a != b), "gt": lambda a, b: bool(a > b),
    "ge": lambda a, b: bool(a >= b), "lt": lambda a, b: bool(a < b), "le": lambda a, b: bool(a <= b),
}  # fmt: skip
FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith, "endswith": str.endswith, "contains": lambda whole, part: part in whole,
}  # fmt: skip


class InvalidOption(ValueError):
    """A query option that is not understood; answered 400 with this text."""


@dataclass(frozen=True)
class Options:
    """The query options of one request, understood and checked."""

    matches: Condition
    order: tuple[tuple[str, bool], ...]
    selected: frozenset[str]

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that match, sorted; equal ones keep their order."""
        found = [row for row in rows if self.matches(row)]
        for name, falls in reversed(self.order):
            found.sort(key=lambda row: _sort_key(_value(row, name)), reverse=falls)
        return found

    def shaped(self, row: Row) -> Row:
        """Return the selected properties of a row."""
        if not self.selected:
            return row
        return {name: value for name, value in row.items() if name in self.selected or name.startswith("@odata.")}


def read_options(what: str, params: dict[str, str]) -> Options:
    """Return the options of a request to this list. Raises InvalidOption."""
    types = PROPERTIES[what]
    for name in params:
        if name.startswith("$") and name not in OPTIONS:
            raise InvalidOption(f"The query option '{name}' is not supported.")
    if params.get("$count", "false") not in ("true", "false"):
        raise InvalidOption("Invalid value for $count query option.")
    text = params.get("$filter")
    matches = (lambda _row: True) if text is None else _Filter(text, types).whole()
    order = tuple(_ordering(part, types) for part in _parts(params, "$orderby"))
    selected = frozenset(_parts(params, "$select"))
    for name in selected - {"*"}:
        _known(name, types)
    return Options(matches, order, frozenset() if "*" in selected else selected)


class _Filter:
    """A parser of `$filter`: comparisons and text functions, joined by `and`, `or`, `not` and parentheses."""

    def __init__(self, text: str, types: dict[str, str]) -> None:
        self._types, self._at = types, 0
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            if found is None:
                raise InvalidOption(f"Invalid filter clause: Syntax error at position {at} in '{text}'.")
            self._tokens.append((str(found.lastgroup), str(found[found.lastgroup or 0])))
            at = found.end()

    def whole(self) -> Condition:
        condition = self._either()
        if self._at != len(self._tokens):
            raise InvalidOption("Invalid filter clause: Syntax error after a complete expression.")
        return condition

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return lambda row: any(part(row) for part in parts)

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self) -> Condition:
        if self._take("not"):
            inner = self._one()
            return lambda row: not inner(row)
        if self._take("("):
            inner = self._either()
            self._need(")")
            return inner
        _, name = self._next("word")
        return self._function(name) if name in FUNCTIONS else self._comparison(name)

    def _function(self, name: str) -> Condition:
        self._need("(")
        _, field = self._next("word")
        if _known(field, self._types) != TEXT:
            raise InvalidOption(f"Invalid filter clause: no function '{name}' with a property of this type.")
        self._need(",")
        wanted = _literal(*self._next("text"))
        self._need(")")
        return lambda row: FUNCTIONS[name](str(_value(row, field) or ""), wanted)

    def _comparison(self, name: str) -> Condition:
        kind = _known(name, self._types)
        _, operator = self._next("word")
        literal_kind, literal = self._next("text", "number", "time", "word")
        wanted = _literal(literal_kind, literal)
        fits = wanted is None or literal_kind == kind or (kind == FLAG and isinstance(wanted, bool))
        if operator not in COMPARISONS or not fits or (wanted is None and operator not in ("eq", "ne")):
            raise InvalidOption(f"Invalid filter clause: '{name} {operator} {literal}' cannot be compared.")
        compare = COMPARISONS[operator]

        def holds(row: Row) -> bool:
            value = _value(row, name)
            value = _moment(str(value)) if kind == TIME and value else value
            if wanted is None or value is None or isinstance(value, str) != isinstance(wanted, str):
                return (value == wanted) if operator == "eq" else operator == "ne" and value != wanted
            return compare(value, wanted)

        return holds

    def _next(self, *kinds: str) -> tuple[str, str]:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] not in kinds:
            raise InvalidOption("Invalid filter clause: Expression expected.")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, text: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][1] == text:
            self._at += 1
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise InvalidOption(f"Invalid filter clause: '{text}' expected.")


def _literal(kind: str, text: str) -> Any:  # noqa: ANN401 - whatever the literal is.
    if kind == "text":
        return text[1:-1].replace("''", "'")
    if kind == "number":
        return float(text)
    if kind == "time":
        return _moment(text)
    if text not in ("true", "false", "null"):
        raise InvalidOption(f"Invalid filter clause: '{text}' is no value.")
    return {"true": True, "false": False, "null": None}[text]


def _moment(text: str) -> datetime | None:
    # The edge cases hold times that are none (docs/facts/microsoft-graph.md#edge-20); they match no comparison.
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ordering(part: str, types: dict[str, str]) -> tuple[str, bool]:
    name, _, direction = part.partition(" ")
    if _known(name, types) == OBJECT or direction.strip() not in ("", "asc", "desc"):
        raise InvalidOption(f"Invalid $orderby clause: '{part}'.")
    return name, direction.strip() == "desc"


def _parts(params: dict[str, str], name: str) -> list[str]:
    if name not in params:
        return []
    parts = [part.strip() for part in params[name].split(",")]
    if not all(parts):
        raise InvalidOption(f"Invalid {name} clause: empty.")
    return parts


def _known(name: str, types: dict[str, str]) -> str:
    if name not in types:
        raise InvalidOption(f"Could not find a property named '{name}'.")
    return types[name]


def _value(row: Row, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds.
    head, _, rest = name.partition("/")
    value = row.get(head)
    return value.get(rest) if rest and isinstance(value, dict) else value


def _sort_key(value: Any) -> tuple[int, float, str]:  # noqa: ANN401
    # Null comes first: https://docs.oasis-open.org/odata/odata/v4.01/odata-v4.01-part2-url-conventions.html ($orderby)
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, (int, float)):
        return 1, float(value), ""
    return 2, 0.0, str(value)
