"""Operators of an encoded query: their names, what each compares, and which need `query_range`. Reads no record."""
# See docs/facts/servicenow.md#2-3-encoded-query and #sandbox-22

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from sandbox.servicenow.query_scripts import ScriptUser, literal
from sandbox.servicenow.store import TIME_FORMAT
from sandbox.servicenow.table_schema import NUMBERS
from sandbox.servicenow.text_folding import fold

Predicate = Callable[[str], bool]

# Operators that compare two fields of one record, and the comparison each makes.
FIELD_PAIRS = {
    "SAMEAS": "=", "NSAMEAS": "!=", "GT_FIELD": ">", "LT_FIELD": "<", "GT_OR_EQUALS_FIELD": ">=",
    "LT_OR_EQUALS_FIELD": "<=",
}  # fmt: skip
RELATIVE = {"RELATIVEGT": ">", "RELATIVEGE": ">=", "RELATIVELT": "<", "RELATIVELE": "<="}
OPERATORS = (
    "EMPTYSTRING", "ISNOTEMPTY", "STARTSWITH", "ENDSWITH", "ANYTHING", "DOES NOT CONTAIN", "CONTAINS", "NOT LIKE",
    "ISEMPTY", "BETWEEN", "NOT IN", "INSTANCEOF", "DYNAMIC", "NOTON", "LIKE", "IN", "ON", "!=", "<=", ">=", "=", "<",
    ">", *FIELD_PAIRS, *RELATIVE, "RELATIVEEE",
)  # fmt: skip
# An instance has these as well; each is answered as unsupported, and none is read as `IN` or `=` with a strange value.
UNSUPPORTED = (
    "NOT_IN_HIERARCHY", "IN_HIERARCHY", "VALCHANGES", "CHANGESFROM", "CHANGESTO", "CHANGES", "DATEPART", "MORETHAN",
    "LESSTHAN", "SUBQUERY", "NOTSUBQUERY",
)  # fmt: skip
# All of these are checked by `query_range`: docs/facts/servicenow.md#2-3-encoded-query
RANGES = frozenset(
    {
        "<", ">", "<=", ">=", "BETWEEN", "STARTSWITH", "ENDSWITH", "LIKE", "NOT LIKE", "CONTAINS", "DOES NOT CONTAIN",
        "ON", "NOTON", "GT_FIELD", "LT_FIELD", "GT_OR_EQUALS_FIELD", "LT_OR_EQUALS_FIELD", "RELATIVEEE", *RELATIVE,
    }
)  # fmt: skip
# The dynamic filter "Me" has this sys_id in sys_filter_option_dynamic of every instance; others are an instance's own.
DYNAMIC_ME = "90d1921e5f510100a9ad2572f2b477fe"
UNITS = {
    "minute": timedelta(minutes=1), "hour": timedelta(hours=1), "dayofweek": timedelta(days=1),
    "day": timedelta(days=1), "week": timedelta(weeks=1),
}  # fmt: skip
MONTHS = {"month": 1, "quarter": 3, "year": 12}
RELATIVE_VALUE = re.compile(r"@(\w+)@(ago|ahead)@(\d{1,5})")


class UnsupportedOperator(Exception):
    """The sandbox does not know this operator; it says so and never guesses what an instance would answer."""


def plain(operator: str, text: str, caller: ScriptUser) -> tuple[str, str]:
    """Return operator and value with scripts, relative times and dynamic filters replaced. Raises UnsupportedOperator."""
    if operator in ("CONTAINS", "DOES NOT CONTAIN"):
        return ("LIKE" if operator == "CONTAINS" else "NOT LIKE"), literal(text, caller)
    if operator == "DYNAMIC":
        if text != DYNAMIC_ME:
            raise UnsupportedOperator(f"DYNAMIC {text}")
        return "=", caller.user_id
    if operator in RELATIVE:
        return RELATIVE[operator], _shifted(text, caller).strftime(TIME_FORMAT)
    if operator == "RELATIVEEE":
        day = _shifted(text, caller).replace(hour=0, minute=0, second=0)
        return "BETWEEN", f"{day:{TIME_FORMAT}}@{day + timedelta(days=1, seconds=-1):{TIME_FORMAT}}"
    if operator in ("ON", "NOTON"):
        _, _, limits = text.partition("@")
        first, last = (literal(part, caller) for part in [*limits.split("@"), "", ""][:2])
        if not first or not last:
            raise UnsupportedOperator(f"{operator} {text}")
        return ("BETWEEN" if operator == "ON" else "NOT BETWEEN"), f"{first}@{last}"
    if operator == "BETWEEN":
        return operator, "@".join(literal(part, caller) for part in text.split("@"))
    return operator, literal(text, caller)


def _shifted(text: str, caller: ScriptUser) -> datetime:
    found = RELATIVE_VALUE.fullmatch(text)
    if not found or (found[1] not in UNITS and found[1] not in MONTHS):
        raise UnsupportedOperator(f"RELATIVE {text}")
    count = int(found[3]) * (-1 if found[2] == "ago" else 1)
    try:
        if found[1] in UNITS:
            return caller.now + UNITS[found[1]] * count
        month = caller.now.year * 12 + caller.now.month - 1 + MONTHS[found[1]] * count
        # The 28th exists in every month; an instance's own rule for the last days is not documented.
        return caller.now.replace(year=month // 12, month=month % 12 + 1, day=min(caller.now.day, 28))
    except (OverflowError, ValueError):
        raise UnsupportedOperator(f"RELATIVE {text}") from None


def predicate(name: str, operator: str, value: str, *, exact: bool) -> Predicate:
    """Return the test of a plain condition on a field's value; `exact` minds case and accents where values are equal."""
    if operator == "NOT BETWEEN":
        inside = predicate(name, "BETWEEN", value, exact=exact)
        return lambda have: not inside(have)
    if operator in ("<", ">", "<=", ">=", "BETWEEN"):
        return _range(as_number if name in NUMBERS else str, operator, value)
    key = str if exact else fold
    wanted, part, several = key(value), fold(value), frozenset(map(key, value.split(",")))
    tests: dict[str, Predicate] = {
        "=": lambda have: key(have) == wanted,
        "!=": lambda have: key(have) != wanted,
        "LIKE": lambda have: part in fold(have),
        "NOT LIKE": lambda have: part not in fold(have),
        "STARTSWITH": lambda have: fold(have).startswith(part),
        "ENDSWITH": lambda have: fold(have).endswith(part),
        "IN": lambda have: key(have) in several,
        "NOT IN": lambda have: key(have) not in several,
        # `task` is the only parent class here: docs/facts/servicenow.md#4-3-shared-task-fields
        "INSTANCEOF": lambda have: have == value or (value == "task" and have in ("incident", "change_request")),
        "ISEMPTY": lambda have: have == "",
        "EMPTYSTRING": lambda have: have == "",
        "ISNOTEMPTY": lambda have: have != "",
        "ANYTHING": lambda _: True,
    }
    return tests[operator]


def pair_predicate(name: str, operator: str, *, exact: bool) -> Callable[[str, str], bool]:
    """Return the test of an operator of FIELD_PAIRS on the values of its two fields."""
    comparison = FIELD_PAIRS[operator]
    return lambda have, other: predicate(name, comparison, other, exact=exact)(have)


def compare_count(text: str) -> Callable[[int], bool]:
    """Return the test of a related list's row count, such as `>0`. Raises UnsupportedOperator."""
    found = re.fullmatch(r"(<=|>=|!=|=|<|>)\s*(\d+)", text)
    if not found:
        raise UnsupportedOperator(f"RLQUERY {text}")
    test = predicate("sys_mod_count", found[1], found[2], exact=True)
    return lambda count: test(str(count))


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


def as_number(text: str) -> float:
    """Return the value of a number column; what is no number sorts first."""
    try:
        return float(text)
    except ValueError:
        return float("-inf")
