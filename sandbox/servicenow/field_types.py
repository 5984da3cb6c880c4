"""Types of columns, and which values each type takes. Stores nothing and checks no right."""
# See docs/facts/servicenow.md#2-4-json-shapes and #4-4-choices

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import available_timezones

from sandbox.servicenow.store import TIME_FORMAT, Record, Store
from sandbox.servicenow.switches import Switches
from sandbox.servicenow.table_schema import FIELDS, MAX_LENGTHS, REFERENCES, TICKETS, type_of

SYS_ID = re.compile(r"[0-9a-f]{32}")
# Day and time with a space, or in ISO form with an optional zone, or a day alone.
DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?)?")
NUMBER = re.compile(r"(-?\d+)(?:\.\d+)?")
# REST sends JSON booleans as texts, and forms send digits.
BOOLEANS = {"true": "true", "1": "true", "false": "false", "0": "false"}
ChoiceLists = dict[tuple[str, str], frozenset[str]]
# Values of the choice lists by table and column, with the version of sys_choice they were read from.
_CHOICES: WeakKeyDictionary[Store, tuple[int, ChoiceLists]] = WeakKeyDictionary()


def field_type(store: Store, table: str, name: str) -> str:
    """Return a column's internal type; that of a custom column is in its row of sys_dictionary."""
    custom = _custom_column(store, table, name)
    return custom["internal_type"] if custom else type_of(name, table)


def _custom_column(store: Store, table: str, name: str) -> Record | None:
    if name in FIELDS.get(table, ()):
        return None
    return next(store.find_all("sys_dictionary", name=table, element=name), None)


def _max_length(store: Store, table: str, name: str) -> int:
    """Return the length of a text column, 0 where none is known."""
    custom = _custom_column(store, table, name)
    if custom is None:
        return MAX_LENGTHS.get(name, 0)
    return int(custom["max_length"]) if custom["max_length"].isdecimal() else 0


def choice_values(store: Store, table: str, name: str) -> frozenset[str]:
    """Return the values of a column's choice list, retired ones included; of `task` where the table has no list of its own."""
    version, lists = _CHOICES.get(store, (-1, {}))
    if version != store.versions["sys_choice"]:
        lists = _read_choices(store)
        _CHOICES[store] = (store.versions["sys_choice"], lists)
    own = lists.get((table, name))
    return own or (lists.get(("task", name)) if table in TICKETS else None) or frozenset()


def _read_choices(store: Store) -> ChoiceLists:
    lists: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for row in store.rows("sys_choice"):
        lists[row["name"], row["element"]].add(row["value"])
    return {column: frozenset(values) for column, values in lists.items()}


def stored_form(store: Store, switches: Switches, table: str, name: str, value: str) -> str | None:
    """Return the value as the column keeps it, or None when the column's type does not take it."""
    kind = field_type(store, table, name)
    if kind == "journal_input":
        return value
    typed = _of_type(store, kind, name, value) if value else value
    if typed is None or kind in ("glide_date_time", "reference", "boolean"):
        return typed
    if typed and not is_listed(store, switches, table, name, typed):
        return None
    # Overlong text is cut at the column's length or stored whole: docs/facts/servicenow.md#sandbox-35
    limit = _max_length(store, table, name)
    return typed[:limit] if limit and switches.truncate_long_text else typed


def is_listed(store: Store, switches: Switches, table: str, name: str, value: str) -> bool:
    """Return whether a column without a choice list, or its list, has this value."""
    if switches.unlisted_choices == "kept":
        return True
    listed = choice_values(store, table, name)
    return not listed or value in listed


def can_be_empty(store: Store, table: str, name: str) -> bool:
    """Return whether sending `""` clears the column: docs/facts/servicenow.md#4-3-shared-task-fields."""
    return field_type(store, table, name) != "boolean" and not choice_values(store, table, name)


def date_time(value: str) -> str | None:
    """Return a date in the instance's form, in UTC; ISO dates are read, impossible ones are None."""
    # See docs/facts/servicenow.md#2-4-json-shapes: a date written in ISO form reads back in ServiceNow's own.
    found = DATE_TIME.fullmatch(value.strip())
    if found is None:
        return None
    day, hour, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{hour or '00:00:00'}{(zone or 'Z').replace('Z', '+00:00')}")
        return moment.astimezone(UTC).strftime(TIME_FORMAT)
    except (ValueError, OverflowError):
        return None


def display_record(store: Store, target: str, shown: str) -> Record | None:
    """Return the record of a table whose display value this is."""
    for name in ("name", "user_name", "number"):
        if name in FIELDS.get(target, ()):
            found = store.find(target, **{name: shown})
            if found is not None:
                return found
    return None


def is_scalar(value: Any) -> bool:  # noqa: ANN401 - whatever JSON holds.
    """Return whether a JSON value can be a column's value at all: no type takes an object or a list."""
    return not isinstance(value, dict | list)


def _of_type(store: Store, kind: str, name: str, value: str) -> str | None:
    match kind:
        case "glide_date_time":
            return date_time(value)
        case "reference":
            return value if refers(store, name, value) else None
        case "integer":
            number = NUMBER.fullmatch(value.strip())
            return str(int(number[1])) if number else None
        case "boolean":
            return BOOLEANS.get(value.strip().lower())
        case "GUID":
            return value if SYS_ID.fullmatch(value) else None
        case _:
            return value if name != "time_zone" or value in available_timezones() else None


def refers(store: Store, name: str, value: str) -> bool:
    """Return whether a reference column can hold this value: the sys_id of a record of the table it refers to."""
    # See docs/facts/servicenow.md#2-2-query-parameters: display values need sysparm_input_display_value.
    target = REFERENCES.get(name, "")
    return any(store.get(table, value) is not None for table in (TICKETS if target == "task" else (target,)))
