"""Look-ups for an administrator who gives columns fixed values: choices, records that may be referred to, change models.

Reads only. What an instance does not let us read is None or empty, never an error of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.core.bounds import LONGEST_LABEL, LONGEST_NUMBER, exact, first, identifier, line
from app.integrations.http.errors import Forbidden, RecordNotFound
from app.integrations.http.http_types import Request
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.error_envelope import is_query_refused
from app.integrations.servicenow.parse_response import result_of, rows_of, sequence_of
from app.integrations.servicenow.probes import PLAIN, SEARCHABLE
from app.integrations.servicenow.protocol import ODD_SYS_ID, table_url
from app.integrations.servicenow.schemas import FieldChoice, Table

MOST_FOUND = 25
# Lists of choices in several languages have some hundred rows each, and a form asks for those of several columns.
CHOICES_PER_PAGE = 2000
MOST_CHOICE_PAGES = 5
MOST_CHOICES = 1000
LONGEST_NAME = 100
LONGEST_VALUE = 4000
# Columns by which people know a record, whatever its table; a table without one of them leaves it out of the answer.
NAMING_COLUMNS = ("name", "number", "short_description", "user_name", "email")
# Tables in which a person is looked for by more than the name.
PERSONS = "sys_user"
TABLE_NAME = re.compile(r"[a-z0-9_]{1,80}")


@dataclass(frozen=True)
class FoundRecord:
    """A record that a reference may hold; `name` is how people know it."""

    sys_id: str
    name: str


async def list_active_choices(
    client: ServiceNowClient, table: Table, elements: Sequence[str]
) -> dict[str, list[FieldChoice]]:
    """The choices in use of these columns, by column; a column without any, or that may not be read, is missing."""
    wanted = [element for element in elements if PLAIN.fullmatch(element)]
    if not wanted:
        return {}
    query = f"nameINtask,{table}^elementIN{','.join(wanted)}^ORDERBYsequence^ORDERBYsys_id"
    try:
        rows = await _choice_rows(client, query)
    except Forbidden:
        return {}
    found = {element: _choices(rows, table, element) for element in wanted}
    return {element: choices for element, choices in found.items() if choices}


async def _choice_rows(client: ServiceNowClient, query: str) -> list[Mapping[str, Any]]:
    """All rows of the query, by their sequence also where the instance refuses to sort."""
    rows: list[Mapping[str, Any]] = []
    fields = "name,element,value,label,language,inactive,sequence"
    for page in range(MOST_CHOICE_PAGES):
        # docs/facts/servicenow.md#4-4-choices
        request = _list(client, "sys_choice", query, fields, CHOICES_PER_PAGE)
        request = replace(request, query={**request.query, "sysparm_offset": str(page * CHOICES_PER_PAGE)})
        found = rows_of(result_of(await client.sorted_answer(request)))
        rows += found
        if len(found) < CHOICES_PER_PAGE:
            break
    return sorted(rows, key=sequence_of)


def _choices(rows: Sequence[Mapping[str, Any]], table: str, element: str) -> list[FieldChoice]:
    # Checked again: an instance drops a condition that it does not understand (docs/facts/servicenow.md#trap-6).
    mine = [row for row in rows if row.get("element") == element and row.get("name") in (table, "task")]
    # Choices of a child table replace those of its parent: docs/facts/servicenow.md#4-4-choices
    own = [row for row in mine if row.get("name") == table] or mine
    labels: dict[str, str] = {}
    for language in ("en", ""):
        for row in own:
            value = identifier(row.get("value"))
            in_use = value and not _is_true(row.get("inactive"))
            if in_use and (not language or row.get("language", "en") == language):
                labels.setdefault(value, line(row.get("label"), LONGEST_LABEL) or value)
    return [FieldChoice(value, label) for value, label in first(labels.items(), MOST_CHOICES)]


def _is_true(value: object) -> bool:
    return exact(value, LONGEST_NUMBER).lower() == "true"


async def search_records(client: ServiceNowClient, table: str, typed: str) -> list[FoundRecord] | None:
    """At most MOST_FOUND records whose name or number holds this text; None when the table may not be read.

    Raises ValueError for a text or a table name that cannot stand in a request.
    """
    if not TABLE_NAME.fullmatch(table) or (typed and not SEARCHABLE.fullmatch(typed)):
        raise ValueError("this may not enter a request")
    for query, equality in zip(_searches(table, typed, "LIKE"), _searches(table, typed, "="), strict=True):
        try:
            answer = await client.sorted_answer(_list(client, table, query, _fields(), MOST_FOUND))
            if is_query_refused(answer) and typed:
                # The right `query_range` covers LIKE as well, and equality is allowed without it:
                # docs/facts/servicenow.md#2-3-encoded-query
                answer = await client.sorted_answer(_list(client, table, equality, _fields(), MOST_FOUND))
            rows = rows_of(result_of(answer))
        except Forbidden:
            return None
        # An instance that does not know the column answers with any records: docs/facts/servicenow.md#trap-6
        found = [record for row in rows if _matches(row, typed) and (record := _record(row)) is not None]
        if found:
            return sorted(found, key=lambda record: record.name.casefold())
    return []


def _searches(table: str, typed: str, operator: str) -> list[str]:
    active = "active=true^" if table in (PERSONS, "sys_user_group") else ""
    if not typed:
        return [f"{active}ORDERBYname"]
    if table == PERSONS:
        return [f"{active}name{operator}{typed}^ORuser_name{operator}{typed}^ORemail={typed}^ORDERBYname"]
    return [f"{active}name{operator}{typed}^ORDERBYname", f"number{operator}{typed}^ORDERBYnumber"]


async def find_record(client: ServiceNowClient, table: str, sys_id: str) -> FoundRecord | None:
    """The record with this key; None when there is none, or it is hidden. Raises Forbidden for a closed table."""
    if not TABLE_NAME.fullmatch(table) or not ODD_SYS_ID.fullmatch(sys_id):
        return None
    request = Request(
        "GET",
        f"{table_url(client.origin, table)}/{sys_id}",
        query={"sysparm_fields": _fields(), "sysparm_exclude_reference_link": "true"},
        headers={"Accept": "application/json"},
    )
    try:
        row = result_of(await client.answer(request))
    except RecordNotFound:
        return None
    return _record(row) if isinstance(row, Mapping) else None


async def list_change_models(client: ServiceNowClient) -> list[FoundRecord]:
    """The change models in use; empty where there are none, or they may not be read."""
    # Models came with Quebec: docs/facts/servicenow.md#4-2-change-request
    try:
        answer = await client.sorted_answer(
            _list(client, "chg_model", "active=true^ORDERBYname", f"{_fields()},active", 100)
        )
        rows = rows_of(result_of(answer))
    except (Forbidden, RecordNotFound):
        return []
    found = [_record(row) for row in rows if _is_true(row.get("active", "true"))]
    return sorted((record for record in found if record is not None), key=lambda record: record.name.casefold())


def _fields() -> str:
    return ",".join(("sys_id", *NAMING_COLUMNS))


def _matches(row: Mapping[str, Any], typed: str) -> bool:
    return any(typed.casefold() in exact(row.get(column), LONGEST_VALUE).casefold() for column in NAMING_COLUMNS)


def _record(row: Mapping[str, Any]) -> FoundRecord | None:
    sys_id = exact(row.get("sys_id"), LONGEST_LABEL)
    if not ODD_SYS_ID.fullmatch(sys_id):
        return None
    names = [line(row.get(column), LONGEST_NAME) for column in NAMING_COLUMNS]
    name = next((text for text in names[:3] if text), sys_id)
    # Two persons may have one name, and their logins differ.
    login = names[3] or names[4]
    return FoundRecord(sys_id, f"{name} ({login})" if login else name)


def _list(client: ServiceNowClient, table: str, query: str, fields: str, limit: int) -> Request:
    asked = {
        "sysparm_query": query,
        "sysparm_fields": fields,
        "sysparm_limit": str(limit),
        "sysparm_no_count": "true",
        "sysparm_exclude_reference_link": "true",
        "sysparm_suppress_pagination_header": "true",
    }
    return Request("GET", table_url(client.origin, table), query=asked, headers={"Accept": "application/json"})
