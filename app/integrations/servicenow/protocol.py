"""Builds requests for ServiceNow's Table API. Does no I/O, and deciphers nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.integrations.http.http_types import Request
from app.integrations.servicenow.schemas import Table

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
# What we look for a single record by: 32 hexadecimal digits that we minted. Escaping is undocumented (facts 2.3).
CORRELATION_ID = re.compile(r"[0-9a-f]{32}")
# A login name that can stand in a query as it is; others are not asked for.
USER_NAME = re.compile(r"[A-Za-z0-9._@-]{1,40}")
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
    """Look for a record by the id we gave it. Raises ValueError for an empty id, which would match strangers.

    Asked with the count of what matches, since rows that access rules hide are counted all the same (facts 2.5).
    """
    if not CORRELATION_ID.fullmatch(correlation_id):
        raise ValueError("a lookup needs a correlation id of our own making")
    query = f"correlation_id={correlation_id}^ORDERBYsys_created_on^ORDERBYsys_id"
    return _list_request(origin, table, query, limit=10, fields=(*TICKET_FIELDS, *also), counted=True)


@dataclass(frozen=True)
class Changed:
    """The question for our records that changed since then, on the instance's clock; one page of them.

    Ours are those with our marker and, where the name is given, those that this account of the instance has made: a
    marker can be emptied or cut, and who made a record cannot be changed. `after` is the last sys_id of the page
    before; `offset` goes over a page on which nothing was shown, for only then is there no such id.
    """

    marker: str
    since: datetime
    created_by: str = ""
    after: str = ""
    offset: int = 0
    limit: int = 1000


def changed_request(origin: str, table: Table, asked: Changed) -> Request:
    """Ask for them in the order of a unique key, and for how many there are: hidden rows shorten a page."""
    query = f"correlation_display={_safe(asked.marker)}"
    if asked.created_by:
        query += f"^ORsys_created_by={_user_name(asked.created_by)}"
    query += f"^sys_updated_on>={format_time(asked.since)}"
    if asked.after:
        query += f"^sys_id>{_sys_id(asked.after)}"
    fields = (*TICKET_FIELDS, "sys_created_by")
    request = _list_request(origin, table, f"{query}^ORDERBYsys_id", limit=asked.limit, fields=fields, counted=True)
    offset = {"sysparm_offset": str(asked.offset)} if asked.offset else {}
    return replace(request, query={**request.query, **offset})


def fetch_many_request(origin: str, table: Table, sys_ids: Iterable[str]) -> Request:
    """These records, at most IDS_PER_CALL of them."""
    wanted = [_sys_id(sys_id) for sys_id in sys_ids]
    if not 0 < len(wanted) <= IDS_PER_CALL:
        raise ValueError(f"between 1 and {IDS_PER_CALL} ids")
    query = f"sys_idIN{','.join(wanted)}^ORDERBYsys_id"
    return _list_request(origin, table, query, limit=len(wanted), counted=True)


def note_request(origin: str, table: Table, sys_id: str, text: str) -> Request:
    """Append a work note. Repeating it appends a second one."""
    url = f"{table_url(origin, table)}/{_sys_id(sys_id)}"
    return Request("PATCH", url, query=_shape(TICKET_FIELDS), headers=_json_headers(), body={"work_notes": text})


def journal_request(origin: str, table: Table, sys_id: str) -> Request:
    """The work notes and comments of a record, which only its display values show (facts 4.3)."""
    fields = ("sys_id", "work_notes", "comments")
    query = f"sys_idIN{_sys_id(sys_id)}^ORDERBYsys_id"
    return _list_request(origin, table, query, limit=1, fields=fields, counted=True)


def sight_request(origin: str, table: Table) -> Request:
    """Ask for any records at all. The limit is applied before access rules are, so one would not be enough."""
    return Request(
        "GET",
        table_url(origin, table),
        query={"sysparm_limit": "100", "sysparm_fields": "sys_id,correlation_id", "sysparm_no_count": "true"},
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
    origin: str,
    table: Table,
    query: str,
    *,
    limit: int,
    fields: Iterable[str] = TICKET_FIELDS,
    counted: bool = False,
) -> Request:
    """A list; counting what fits costs the instance a second query, so it is asked for where it tells us something."""
    return Request(
        "GET",
        table_url(origin, table),
        query={
            **_shape(fields),
            "sysparm_query": query,
            "sysparm_limit": str(limit),
            "sysparm_no_count": "false" if counted else "true",
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


def _user_name(text: str) -> str:
    if not USER_NAME.fullmatch(text):
        raise ValueError("this name may not enter a query")
    return text


def _sys_id(text: str) -> str:
    if not ODD_SYS_ID.fullmatch(text):
        raise ValueError("not a sys_id")
    return text
