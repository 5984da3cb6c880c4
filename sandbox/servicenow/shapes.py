"""How a record looks in an answer (18): values, labels, references with and without links, times in two zones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.servicenow.instance import Instance
from sandbox.servicenow.schema import CHOICES, FIELDS, REFERENCES, TIMES
from sandbox.servicenow.store import TIME_FORMAT, Record


def shaped(
    instance: Instance,
    table: str,
    record: Record,
    *,
    origin: str,
    mode: str,
    links: bool,
    fields: Iterable[str] | None,
    time_zone: str,
) -> dict[str, Any]:
    """The record in one of the display-value modes `false`, `true` and `all`; unknown field names are left out (20)."""
    unreadable = set(filter(None, instance.switches.unreadable_fields.split(",")))
    names = FIELDS[table] if fields is None else [name for name in fields if _is_known(table, name)]
    answer: dict[str, Any] = {}
    for name in names:
        if name in unreadable:  # 28
            continue
        head, _, rest = name.partition(".")
        value = record.get(head, "")
        target = REFERENCES.get(head)
        if rest and target:
            linked = instance.store.get(target, value) or {}
            answer[name] = _scalar(linked.get(rest, ""), linked.get(rest, ""), mode)
        elif target:
            answer[name] = _reference(instance, target, value, origin=origin, mode=mode, links=links)
        else:
            answer[name] = _scalar(value, label(instance, table, name, value, time_zone), mode)
    return answer


def label(instance: Instance, table: str, name: str, value: str, time_zone: str) -> str:
    """What people see for a value: the choice's label (the table's own before its parent's), or the user's own time."""
    if name in TIMES and value:
        moment = datetime.strptime(value, TIME_FORMAT).replace(tzinfo=UTC)
        return moment.astimezone(ZoneInfo(time_zone or "UTC")).strftime(TIME_FORMAT)
    for owner in (table, "task"):
        if (owner, name) in CHOICES or name == "state":
            choice = instance.store.find("sys_choice", name=owner, element=name, value=value, language="en")
            if choice:
                return choice["label"]
    return value


def from_display(table: str, name: str, value: str, time_zone: str) -> str:
    """A display value as it is stored: labels to values, times of the user's zone to UTC."""
    if name in TIMES and value:
        try:
            local = datetime.strptime(value, TIME_FORMAT).replace(tzinfo=ZoneInfo(time_zone or "UTC"))
        except ValueError:
            return value
        return local.astimezone(UTC).strftime(TIME_FORMAT)
    for owner in (table, "task"):
        for stored, shown in CHOICES.get((owner, name), ()):
            if shown == value:
                return stored
    return value


def _is_known(table: str, name: str) -> bool:
    head, _, rest = name.partition(".")
    if not rest:
        return head in FIELDS[table]
    return head in REFERENCES and rest in FIELDS.get(REFERENCES[head], ())


def _scalar(value: str, shown: str, mode: str) -> Any:  # noqa: ANN401 - a string or an object.
    if mode == "all":
        return {"display_value": shown, "value": value}
    return shown if mode == "true" else value


def _reference(instance: Instance, target: str, value: str, *, origin: str, mode: str, links: bool) -> Any:  # noqa: ANN401
    if not value:
        return {"display_value": "", "value": ""} if mode == "all" else ""
    linked = instance.store.get(target, value) or {}
    shown = linked.get("name", "")
    link = {"link": f"{origin}/api/now/table/{target}/{value}"} if links else {}
    if mode == "all":
        return {"display_value": shown, "value": value, **link}
    if mode == "true":
        return {"display_value": shown, **link} if links else shown
    return {**link, "value": value} if links else value
