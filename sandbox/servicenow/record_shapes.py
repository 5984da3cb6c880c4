"""JSON shapes of a record in Table API responses: values, labels, references, times. Checks no row ACL."""
# See docs/facts/servicenow.md#2-4-json-shapes and #sandbox-18

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.servicenow.field_types import display_record, refers
from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.other_tables import CHILDREN
from sandbox.servicenow.store import TIME_FORMAT, Record
from sandbox.servicenow.table_schema import JOURNALS, REFERENCES, SECRET, TIMES, fields_of

# Date formats of a user record, in the instance's notation: docs/facts/servicenow.md#2-4-json-shapes
DATE_FORMATS = {"dd/MM/yyyy": "%d/%m/%Y", "MM-dd-yyyy": "%m-%d-%Y", "dd.MM.yyyy": "%d.%m.%Y", "yyyy-MM-dd": "%Y-%m-%d"}
TIME_FORMATS = {"hh:mm:ss a": "%I:%M:%S %p", "HH:mm:ss": "%H:%M:%S"}

SECRET_SHOWN = "********"

Shape = Callable[[Record], Any]


class RecordShaper:
    """Shapes all records of one response; what is common to them is computed once."""

    def __init__(
        self,
        instance: SandboxInstance,
        table: str,
        *,
        origin: str,
        mode: str,
        links: bool,
        fields: Iterable[str] | None,
        user: Record,
    ) -> None:
        self._instance, self._origin = instance, origin
        self._mode, self._links, self._user = mode, links, user
        unreadable = instance.switches.listed("unreadable_fields")
        wanted = fields_of(instance.store, table) if fields is None else fields
        self._parts: list[tuple[str, Shape]] = []
        for name in wanted:
            # Unknown and unreadable fields are left out silently: docs/facts/servicenow.md#sandbox-20 and #sandbox-28
            if name not in unreadable and is_known(instance, table, name):
                self._parts.append((name, self._shape(table, name)))

    def __call__(self, record: Record) -> dict[str, Any]:
        """Return the record as JSON members."""
        return {name: shape(record) for name, shape in self._parts}

    def _shape(self, table: str, name: str) -> Shape:
        head, _, rest = name.partition(".")
        if rest:
            target, inner = REFERENCES[head], self._shape(REFERENCES[head], rest)
            return lambda record: inner(self._instance.store.get(target, record.get(head, "")) or {})
        if name in REFERENCES:
            return self._reference(name)
        if name in JOURNALS:
            return self._scalar(name, lambda record: self._journal(table, name, record))
        if name in SECRET:
            return self._secret(name)
        if name in TIMES:
            return self._scalar(name, lambda record: display_time(record.get(name, ""), self._user))
        if table in CHILDREN:
            return self._scalar(name, lambda record: self._label_of_child(table, name, record))
        labels = labels_of(self._instance, table, name)
        if not labels:
            return self._scalar(name, lambda record: record.get(name, ""))
        return self._scalar(name, lambda record: labels.get(record.get(name, ""), record.get(name, "")))

    def _scalar(self, name: str, shown: Callable[[Record], str]) -> Shape:
        value: Callable[[Record], str] = lambda record: record.get(name, "")  # noqa: E731
        if self._mode == "all":
            return lambda record: {"display_value": shown(record), "value": value(record)}
        return shown if self._mode == "true" else value

    def _secret(self, name: str) -> Shape:
        # Shown as stars, and its value is ciphertext: docs/facts/servicenow.md#2-4-json-shapes and #trap-35
        if self._mode == "false":
            return lambda record: _ciphertext(record.get(name, ""))

        def shape(record: Record) -> Any:  # noqa: ANN401 - a string or an object.
            stars = SECRET_SHOWN if record.get(name) else ""
            return (
                {"display_value": stars, "value": _ciphertext(record.get(name, ""))} if self._mode == "all" else stars
            )

        return shape

    def _label_of_child(self, table: str, name: str, record: Record) -> str:
        """Return the label that a row of a parent table has in its own table."""
        value = record.get(name, "")
        return labels_of(self._instance, record.get("sys_class_name") or table, name).get(value, value)

    def _reference(self, name: str) -> Shape:
        target = REFERENCES[name]

        def shape(record: Record) -> Any:  # noqa: ANN401 - a string or an object.
            value = record.get(name, "")
            if not value:
                return {"display_value": "", "value": ""} if self._mode == "all" else ""
            link = {"link": f"{self._origin}/api/now/table/{target}/{value}"} if self._links else {}
            if self._mode == "false":
                return {**link, "value": value} if self._links else value
            linked = self._instance.store.get(target, value) or {}
            shown = linked.get("name") or linked.get("number") or (value if value == "global" else "")
            if self._mode == "all":
                return {"display_value": shown, "value": value, **link}
            return {"display_value": shown, **link} if self._links else shown

        return shape

    def _journal(self, table: str, name: str, record: Record) -> str:
        # See docs/facts/servicenow.md#4-3-shared-task-fields: the display value is one text of all entries, newest first.
        store = self._instance.store
        entries = [
            entry
            for entry in store.find_all("sys_journal_field", element_id=record.get("sys_id", ""))
            if entry["element"] == name and entry["name"] == (record.get("sys_class_name") or table)
        ]
        blocks = []
        for entry in reversed(entries):
            author = store.find("sys_user", user_name=entry["sys_created_by"]) or {}
            who, when = author.get("name", entry["sys_created_by"]), display_time(entry["sys_created_on"], self._user)
            blocks.append(f"{when} - {who} ({JOURNALS[name]})\n{entry['value']}\n\n")
        return "".join(blocks)


def is_known(instance: SandboxInstance, table: str, name: str) -> bool:
    """Return whether the table has this field; a dot-walked name is followed through references."""
    head, _, rest = name.partition(".")
    if head not in fields_of(instance.store, table):
        return False
    return not rest or (head in REFERENCES and is_known(instance, REFERENCES[head], rest))


def labels_of(instance: SandboxInstance, table: str, name: str) -> dict[str, str]:
    """Return labels by value: the table's own choices override those of `task`, in the instance's language."""
    # See docs/facts/servicenow.md#4-4-choices
    store, language = instance.store, instance.switches.language
    if instance.labels_version != store.versions["sys_choice"]:
        instance.labels.clear()
        instance.labels_version = store.versions["sys_choice"]
    found = instance.labels.get((table, name, language))
    if found is not None:
        return found
    found = instance.labels[table, name, language] = {}
    # Later entries override earlier ones: English labels fill the gaps of a partly translated choice list.
    # A retired row counts only where no row in use has its value.
    for owner, spoken in (("task", "en"), (table, "en"), (table, language)):
        rows = instance.store.find_all("sys_choice", name=owner, element=name, language=spoken)
        for row in sorted(rows, key=lambda row: row["inactive"] != "true"):
            if row["inactive"] != "true" or row["value"] not in found:
                found[row["value"]] = row["label"]
    return found


def display_time(value: str, user: Record) -> str:
    """Return a stored UTC time in the user's zone and format."""
    # See docs/facts/servicenow.md#trap-12
    if not value:
        return ""
    try:
        moment = datetime.strptime(value, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return value
    days = DATE_FORMATS.get(user.get("date_format", ""), "%Y-%m-%d")
    hours = TIME_FORMATS.get(user.get("time_format", ""), "%H:%M:%S")
    return moment.astimezone(ZoneInfo(user.get("time_zone") or "UTC")).strftime(f"{days} {hours}")


def from_display(instance: SandboxInstance, table: str, name: str, value: str, user: Record) -> str:
    """Convert a display value to the stored one: label to value, name to sys_id, time in the user's zone to UTC."""
    # See docs/facts/servicenow.md#sandbox-23 (sysparm_input_display_value)
    if name in TIMES and value:
        try:
            local = datetime.strptime(value, TIME_FORMAT).replace(tzinfo=ZoneInfo(user.get("time_zone") or "UTC"))
        except ValueError:
            return value
        return local.astimezone(UTC).strftime(TIME_FORMAT)
    if name in REFERENCES and not refers(instance.store, name, value):
        found = display_record(instance.store, REFERENCES[name], value)
        return found["sys_id"] if found else value
    labels = labels_of(instance, table, name)
    return next((stored for stored, shown in labels.items() if shown == value), value)


def _ciphertext(value: str) -> str:
    # A password2 field reads as ciphertext, never blank: docs/facts/servicenow.md#trap-35
    return hashlib.sha256(value.encode()).hexdigest()[:48] + "==" if value else ""
