"""Builds requests for ServiceNow's Table API. Does no I/O, and deciphers nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from app.remote.messages import Request
from app.remote.servicenow.shapes import Table

# What we follow of a record. Naming them is a duty: all fields are slow, and password fields come as ciphertext.
TICKET_FIELDS = (
    "sys_id",
    "number",
    "sys_class_name",
    "state",
    "priority",
    "assigned_to",
    "assignment_group",
    "correlation_id",
    "correlation_display",
    "sys_created_on",
    "sys_updated_on",
)
# A key as ServiceNow makes it. Imported and masked records may have stranger ones, which a query can still hold.
SYS_ID = re.compile(r"[0-9a-f]{32}")
ODD_SYS_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# The only texts that ever enter a query: 32 hexadecimal digits that we minted. Escaping is undocumented (facts 2.3).
CORRELATION_ID = re.compile(r"[0-9a-f]{32}")
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
# No limit for an address is documented; 50 ids of 32 characters stay far below any known one.
IDS_PER_CALL = 50


def format_time(moment: datetime) -> str:
    """A moment as the Table API reads it: UTC, seconds, no suffix."""
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


def create_request(origin: str, table: Table, fields: Mapping[str, str]) -> Request:
    """Insert a record and have sent back what we follow and what we set, to see what ServiceNow made of it."""
    shape = _shape((*TICKET_FIELDS, *fields))
    return Request("POST", table_url(origin, table), query=shape, headers=_json_headers(), body=dict(fields))


def find_by_correlation_request(origin: str, table: Table, correlation_id: str, also: Iterable[str] = ()) -> Request:
    """Look for a record by the id we gave it. Raises ValueError for an empty id, which would match strangers."""
    if not CORRELATION_ID.fullmatch(correlation_id):
        raise ValueError("a lookup needs a correlation id of our own making")
    query = f"correlation_id={correlation_id}^ORDERBYsys_created_on^ORDERBYsys_id"
    return _list_request(origin, table, query, limit=10, fields=(*TICKET_FIELDS, *also))


def changed_request(
    origin: str, table: Table, *, marker: str, since: datetime, after: str | None, limit: int
) -> Request:
    """Our records changed since then, ordered by a unique key; `after` is the last sys_id of the page before."""
    query = f"correlation_display={_safe(marker)}^sys_updated_on>={format_time(since)}"
    if after:
        query += f"^sys_id>{_sys_id(after)}"
    return _list_request(origin, table, f"{query}^ORDERBYsys_id", limit=limit)


def fetch_many_request(origin: str, table: Table, sys_ids: Iterable[str]) -> Request:
    """These records, at most IDS_PER_CALL of them."""
    wanted = [_sys_id(sys_id) for sys_id in sys_ids]
    if not 0 < len(wanted) <= IDS_PER_CALL:
        raise ValueError(f"between 1 and {IDS_PER_CALL} ids")
    return _list_request(origin, table, f"sys_idIN{','.join(wanted)}^ORDERBYsys_id", limit=len(wanted))


def note_request(origin: str, table: Table, sys_id: str, text: str) -> Request:
    """Append a work note. Repeating it appends a second one."""
    url = f"{table_url(origin, table)}/{_sys_id(sys_id)}"
    return Request("PATCH", url, query=_shape(TICKET_FIELDS), headers=_json_headers(), body={"work_notes": text})


def journal_request(origin: str, table: Table, sys_id: str) -> Request:
    """The work notes and comments of a record, which only its display values show (facts 4.3)."""
    fields = ("sys_id", "work_notes", "comments")
    return _list_request(origin, table, f"sys_idIN{_sys_id(sys_id)}^ORDERBYsys_id", limit=1, fields=fields)


def readable_request(origin: str, table: str) -> Request:
    """Ask for one record only, to learn whether the table may be read at all."""
    return Request(
        "GET",
        table_url(origin, table),
        query={"sysparm_limit": "1", "sysparm_fields": "sys_id", "sysparm_no_count": "true"},
        headers={"Accept": "application/json"},
    )


def choices_request(origin: str, table: Table, element: str) -> Request:
    """The choices of a field, of the table itself and of its parent `task`."""
    names = f"name={table}^ORname=task^element={_safe(element)}^ORDERBYsequence"
    return Request(
        "GET",
        table_url(origin, "sys_choice"),
        query={
            "sysparm_query": names,
            "sysparm_fields": "name,element,value,label,language,inactive,dependent_value,sequence",
            "sysparm_limit": "1000",
            "sysparm_no_count": "true",
        },
        headers={"Accept": "application/json"},
    )


def release_request(origin: str) -> Request:
    """The properties that name the release; often refused to accounts that are no administrators."""
    return Request(
        "GET",
        table_url(origin, "sys_properties"),
        query={
            "sysparm_query": "nameINglide.buildname,glide.buildtag^ORDERBYname",
            "sysparm_fields": "name,value",
            "sysparm_limit": "10",
            "sysparm_no_count": "true",
        },
        headers={"Accept": "application/json"},
    )


def whoami_request(origin: str) -> Request:
    """The token's user; two rows are asked for, because an instance that ignores the condition returns more."""
    return Request(
        "GET",
        table_url(origin, "sys_user"),
        query={
            "sysparm_query": "sys_id=javascript:gs.getUserID()",
            "sysparm_fields": "sys_id,user_name,name,email",
            "sysparm_limit": "2",
            "sysparm_no_count": "true",
        },
        headers={"Accept": "application/json"},
    )


def _list_request(
    origin: str, table: Table, query: str, *, limit: int, fields: Iterable[str] = TICKET_FIELDS
) -> Request:
    return Request(
        "GET",
        table_url(origin, table),
        query={
            **_shape(fields),
            "sysparm_query": query,
            "sysparm_limit": str(limit),
            "sysparm_no_count": "true",
            # Long lists of ids are refused with 400 where the header would repeat them (peers 55).
            "sysparm_suppress_pagination_header": "true",
        },
        headers={"Accept": "application/json"},
    )


def table_url(origin: str, table: str) -> str:
    """Where a table is read and written."""
    # Version 2 answers an empty list with 200 and [], where version 1 answers 404.
    return f"{origin}/api/now/v2/table/{table}"


def _shape(fields: Iterable[str]) -> dict[str, str]:
    """Values for logic, labels for people, no links, and only the fields named."""
    return {
        "sysparm_display_value": "all",
        "sysparm_exclude_reference_link": "true",
        "sysparm_fields": ",".join(dict.fromkeys(fields)),
    }


def _json_headers() -> dict[str, str]:
    return {"Accept": "application/json", "Content-Type": "application/json"}


def _safe(text: str) -> str:
    # Our own markers hold no operator; a caret would end the condition.
    if "^" in text or not text:
        raise ValueError("this text may not enter a query")
    return text


def _sys_id(text: str) -> str:
    if not ODD_SYS_ID.fullmatch(text):
        raise ValueError("not a sys_id")
    return text
