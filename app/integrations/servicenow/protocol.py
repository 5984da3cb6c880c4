"""Build requests for ServiceNow's Table API. Does no I/O and parses nothing.

Reference: https://www.servicenow.com/docs/csh?topicname=c_TableAPI.html, facts in docs/facts/servicenow.md#2-table-api
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.integrations.http.http_types import Request
from app.integrations.servicenow.schemas import Table

# Fields are always named: all of them would be slow, and password fields would come as ciphertext.
# docs/facts/servicenow.md#trap-35
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
# What tells whether a record is one of ours that has lost its correlation ID.
SIGHT_FIELDS = (*TICKET_FIELDS, "short_description", "sys_created_by")
# A sys_id as ServiceNow makes it. Imported and masked records may have other ones, which a query can still hold:
# docs/facts/other-connectors.md#bug-26
SYS_ID = re.compile(r"[0-9a-f]{32}")
ODD_SYS_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Our own IDs, 32 hexadecimal digits. Nothing else enters a lookup: how to escape `^` in a value is not documented, and an
# empty value would match other people's records. docs/facts/servicenow.md#2-3-encoded-query
CORRELATION_ID = re.compile(r"[0-9a-f]{32}")
# A login name that needs no escaping in a query; others are not asked for.
USER_NAME = re.compile(r"[A-Za-z0-9._@-]{1,40}")
# UTC without a suffix, whatever the zone of the account: docs/facts/servicenow.md#sandbox-23
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
# No limit of the URL is documented (docs/facts/servicenow.md#2-9-sizes); 50 IDs of 32 characters stay far below any known one.
IDS_PER_CALL = 50
MOST_JOURNAL_ROWS = 200


def format_time(moment: datetime) -> str:
    """A time as the Table API reads it: UTC, to the second, no suffix."""
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


def create_request(origin: str, table: Table, fields: Mapping[str, str], own_sys_id: str = "") -> Request:
    """Insert a record. The answer holds the fields that we follow and those that we set, for comparison.

    `own_sys_id` asks ServiceNow to give the record this sys_id (docs/decisions/0009-own-sys-id.md).
    """
    shape = _shape((*TICKET_FIELDS, *fields))
    body = {**fields, "sys_id": own_sys_id} if own_sys_id else dict(fields)
    return Request("POST", table_url(origin, table), query=shape, headers=_json_headers(), body=body)


def find_by_correlation_request(origin: str, table: Table, correlation_id: str, also: Iterable[str] = ()) -> Request:
    """Find records by our correlation ID, oldest first. Raises ValueError for an ID that we did not make."""
    if not CORRELATION_ID.fullmatch(correlation_id):
        raise ValueError("a lookup needs a correlation id of our own making")
    query = f"correlation_id={correlation_id}^ORDERBYsys_created_on^ORDERBYsys_id"
    # Counted, because rows that access rules hide are in the count: docs/facts/servicenow.md#2-5-pagination-headers
    return _list_request(origin, table, query, limit=10, fields=(*TICKET_FIELDS, *also), counted=True)


def find_by_sys_ids_request(origin: str, table: Table, sys_ids: Sequence[str], also: Iterable[str] = ()) -> Request:
    """Find records by their sys_ids, 1 to IDS_PER_CALL of them, in any order. Raises ValueError for what is none."""
    return _by_ids(origin, table, ByIds(sys_ids), also)


def unsorted(request: Request) -> Request:
    """The same request without an order: where `query_range` is missing, sorting is refused and equality is not."""
    # docs/facts/servicenow.md#2-3-encoded-query
    query = re.sub(r"\^?ORDERBY(DESC)?[a-z_.]+", "", request.query["sysparm_query"])
    return replace(request, query={**request.query, "sysparm_query": query})


@dataclass(frozen=True)
class Changed:
    """Which of our records changed after `since` (on the instance's clock); one page, in the order of its sys_ids.

    Ours carry our marker: what others do with the same account is none of our business. `also` are up to IDS_PER_CALL
    sys_ids, listed whether or not they changed. Keyset paging: `after` is the last sys_id of the previous page. `offset`
    skips a page on which nothing was shown, because there is no sys_id to continue from.
    """

    marker: str
    since: datetime
    also: Sequence[str] = ()
    after: str = ""
    offset: int = 0
    limit: int = 1000


@dataclass(frozen=True)
class ByIds:
    """These records, 1 to IDS_PER_CALL of them."""

    sys_ids: Sequence[str]


def records_request(origin: str, table: Table, asked: Changed | ByIds) -> Request:
    """One page of the records asked for. Raises ValueError for what may not enter a query.

    Counted, because hidden rows shorten a page (docs/facts/servicenow.md#sandbox-24).
    """
    return _changed_request(origin, table, asked) if isinstance(asked, Changed) else _by_ids(origin, table, asked)


def _changed_request(origin: str, table: Table, asked: Changed) -> Request:
    query = f"correlation_display={_safe(asked.marker)}^sys_updated_on>={format_time(asked.since)}"
    after = f"^sys_id>{_sys_id(asked.after)}" if asked.after else ""
    query += after
    if asked.also:
        # A second group and no ^OR: where a condition is dropped for want of a right, the whole group lists too much and
        # is noticed. docs/facts/servicenow.md#2-3-encoded-query
        query += f"^NQ{_ids_condition(asked.also)}{after}"
    request = _list_request(origin, table, f"{query}^ORDERBYsys_id", limit=asked.limit, counted=True)
    offset = {"sysparm_offset": str(asked.offset)} if asked.offset else {}
    return replace(request, query={**request.query, **offset})


def _by_ids(origin: str, table: Table, asked: ByIds, also: Iterable[str] = ()) -> Request:
    # Not sorted: one page holds them all, and sorting is refused where range operators are
    # (docs/facts/servicenow.md#2-3-encoded-query).
    query, limit = _ids_condition(asked.sys_ids), len(asked.sys_ids)
    return _list_request(origin, table, query, limit=limit, fields=(*TICKET_FIELDS, *also), counted=True)


def _ids_condition(sys_ids: Sequence[str]) -> str:
    wanted = [_sys_id(sys_id) for sys_id in sys_ids]
    if not 0 < len(wanted) <= IDS_PER_CALL:
        raise ValueError(f"between 1 and {IDS_PER_CALL} ids")
    return f"sys_idIN{','.join(wanted)}"


def note_request(origin: str, table: Table, sys_id: str, text: str) -> Request:
    """Append a work note. Not idempotent: a repeated request appends a second note."""
    url = f"{table_url(origin, table)}/{_sys_id(sys_id)}"
    return Request("PATCH", url, query=_shape(TICKET_FIELDS), headers=_json_headers(), body={"work_notes": text})


def journal_request(origin: str, table: Table, sys_id: str) -> Request:
    """The work notes and comments of a record."""
    # Journal fields hold nothing; only their display value does: docs/facts/servicenow.md#4-3-shared-task-fields
    fields = ("sys_id", "work_notes", "comments")
    return _list_request(origin, table, f"sys_idIN{_sys_id(sys_id)}", limit=1, fields=fields, counted=True)


def journal_rows_request(origin: str, sys_id: str) -> Request:
    """The newest entries of a record's journals as rows, which carry author and time (raw values)."""
    return Request(
        "GET",
        table_url(origin, "sys_journal_field"),
        query={
            "sysparm_query": f"element_id={_sys_id(sys_id)}^elementINwork_notes,comments^ORDERBYDESCsys_created_on",
            "sysparm_fields": "element,element_id,value,sys_created_by,sys_created_on",
            "sysparm_limit": str(MOST_JOURNAL_ROWS),
            "sysparm_no_count": "true",
        },
        headers={"Accept": "application/json"},
    )


def emptied_request(origin: str, table: Table, marker: str, created_by: str) -> Request:
    """Records that carry our marker or were made by our account, and have an empty correlation ID."""
    query = f"correlation_display={_safe(marker)}"
    if USER_NAME.fullmatch(created_by):
        query += f"^ORsys_created_by={created_by}"
    query += "^correlation_idISEMPTY"
    return _list_request(origin, table, query, limit=100, fields=SIGHT_FIELDS, counted=True)


def newest_request(origin: str, table: Table) -> Request:
    """The newest 100 records of the table, of any account."""
    return _list_request(origin, table, "ORDERBYDESCsys_created_on", limit=100, fields=SIGHT_FIELDS)


def sight_request(origin: str, table: Table) -> Request:
    """Any records of the table, to learn whether the account sees any and may ask for their correlation IDs."""
    return Request(
        "GET",
        table_url(origin, table),
        query={
            # True of every record. Where the field may not be queried, some instances answer without an error and without
            # rows, and then a lookup by it would never find anything: docs/facts/servicenow.md#2-3-encoded-query
            "sysparm_query": "correlation_idISEMPTY^ORcorrelation_idISNOTEMPTY",
            "sysparm_fields": "sys_id,correlation_id",
            # Not one: the limit is applied before access rules, and the first row may be a hidden one.
            "sysparm_limit": "100",
            "sysparm_no_count": "true",
        },
        headers={"Accept": "application/json"},
    )


def choices_request(origin: str, table: Table, element: str) -> Request:
    """The choices of a field, of the table and of its parent `task`."""
    # docs/facts/servicenow.md#4-4-choices
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
    """The properties that name the release."""
    # Often refused to accounts that are not administrators: docs/facts/servicenow.md#sandbox-37
    return Request(
        "GET",
        table_url(origin, "sys_properties"),
        query={
            "sysparm_query": "nameINglide.buildname,glide.buildtag",
            "sysparm_fields": "name,value",
            "sysparm_limit": "10",
            "sysparm_no_count": "true",
        },
        headers={"Accept": "application/json"},
    )


def ping_request(origin: str) -> Request:
    """Sent without a token: the answer 401 shows that the API is there (docs/facts/servicenow.md#2-6-error-envelope)."""
    return Request(
        "GET", table_url(origin, "sys_user"), query={"sysparm_limit": "1"}, headers={"Accept": "application/json"}
    )


def whoami_request(origin: str) -> Request:
    """The user of the token."""
    # Two rows, because an instance that ignores the condition returns more than one.
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
    # sysparm_no_count: counting costs the instance a second query, so it is asked for only where it tells something.
    return Request(
        "GET",
        table_url(origin, table),
        query={
            **_shape(fields),
            "sysparm_query": query,
            "sysparm_limit": str(limit),
            "sysparm_no_count": "false" if counted else "true",
            # The Link header repeats the query; a long list of IDs in it ends in 400: docs/facts/other-connectors.md#bug-55
            "sysparm_suppress_pagination_header": "true",
        },
        headers={"Accept": "application/json"},
    )


def table_url(origin: str, table: str) -> str:
    # Version 2 answers an empty list with 200 and [], version 1 with 404: docs/facts/servicenow.md#sandbox-26
    return f"{origin}/api/now/v2/table/{table}"


def _shape(fields: Iterable[str]) -> dict[str, str]:
    # "all" gives raw values for logic and labels for people: docs/facts/servicenow.md#2-4-json-shapes
    return {
        "sysparm_display_value": "all",
        "sysparm_exclude_reference_link": "true",
        "sysparm_fields": ",".join(dict.fromkeys(fields)),
    }


def _json_headers() -> dict[str, str]:
    return {"Accept": "application/json", "Content-Type": "application/json"}


def _safe(text: str) -> str:
    # Our own markers hold no operator; a caret would end the condition and widen the query: docs/facts/other-connectors.md#bug-23
    if "^" in text or not text:
        raise ValueError("this text may not enter a query")
    return text


def _sys_id(text: str) -> str:
    if not ODD_SYS_ID.fullmatch(text):
        raise ValueError("not a sys_id")
    return text
