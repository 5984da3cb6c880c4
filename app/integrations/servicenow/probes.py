"""Read-only probes of an instance, for provisioning and diagnosis. The one write names a record that cannot exist."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from app.core.bounds import LONGEST_ADDRESS, LONGEST_CODE, LONGEST_LABEL, LONGEST_TEXT, exact, first, line, whole
from app.integrations.http.errors import Forbidden, RecordNotFound
from app.integrations.http.http_types import Request
from app.integrations.http.transport import Transport
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.error_envelope import is_query_refused
from app.integrations.servicenow.oauth import challenge_of, new_state, new_verifier
from app.integrations.servicenow.parse_response import counted as counted_of
from app.integrations.servicenow.parse_response import result_of, rows_of
from app.integrations.servicenow.protocol import SYS_ID, Changed, table_url
from app.integrations.servicenow.responder import ConsentPage, consent_page_of
from app.integrations.servicenow.schemas import Table

JSON = {"Accept": "application/json"}
# A sys_id that no record has: the call is refused or finds nothing, and leaves nothing behind either way.
NO_RECORD_ID = "0" * 32
# Values that need no escaping in a query; client IDs and column names with other characters are not asked for.
PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# A group name is searched for unless it holds an operator of encoded queries: escaping is not documented.
# docs/facts/servicenow.md#2-3-encoded-query
SEARCHABLE = re.compile(r"[^\^=<>:\x00-\x1f]{1,80}")
# Redirects of the consent page that are followed, on the instance itself only.
HOPS = 3
# Not one row: the limit is applied before access rules, and that row may be a hidden one.
# docs/facts/servicenow.md#sandbox-24
ROWS_READ = 100
MOST_ROLES = 500
MOST_COLUMNS = 2000
MOST_GROUPS = 25
MOST_URLS = 50
# Seconds and lengths of columns: what PostgreSQL's integer holds.
LARGEST_WHOLE = 2**31 - 1


@dataclass(frozen=True)
class TableReading:
    """How many of the newest rows came, and how many the instance counts (None: it does not say)."""

    visible: int
    total: int | None

    @property
    def hides_all(self) -> bool:
        """Records exist, all were asked for, and none came."""
        return self.visible == 0 and 0 < (self.total or 0) <= ROWS_READ

    @property
    def is_doubtful(self) -> bool:
        """None came, and more exist than were asked for: the others may be visible."""
        return self.visible == 0 and (self.total or 0) > ROWS_READ


@dataclass(frozen=True)
class OAuthClient:
    """The OAuth client's record in the Application Registry; lifespans in seconds, 0 when not readable."""

    name: str
    active: bool
    redirect_urls: tuple[str, ...]
    access_seconds: int
    refresh_seconds: int


@dataclass(frozen=True)
class AccountRecord:
    """The integration user's record; a flag that may not be read is None."""

    user_name: str
    name: str
    email: str
    active: bool | None
    locked_out: bool | None
    web_service_only: bool | None


@dataclass(frozen=True)
class TableColumn:
    """A column as the dictionary describes it; `length` is 0 when it does not say.

    `reference` is the table whose records it may hold, empty for any other column.
    """

    name: str
    label: str
    kind: str
    length: int
    read_only: bool
    reference: str = ""


@dataclass(frozen=True)
class AssignmentGroup:
    """A group that tickets may be assigned to."""

    sys_id: str
    name: str


async def open_consent_page(transport: Transport, origin: str, client_id: str, redirect_uri: str) -> ConsentPage:
    """Open the consent page as a browser without a session. Raises RemoteError."""
    # Shows a wrong client ID or redirect URL before a person tries: docs/facts/servicenow.md#1-2-authorization-request
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "state": new_state(),
        "code_challenge": challenge_of(new_verifier()),
        "code_challenge_method": "S256",
    }
    address = f"{origin}/oauth_auth.do?{urlencode(asked)}"
    for _ in range(HOPS):
        answer = await transport.send(Request("GET", address, headers={"Accept": "text/html"}))
        found = consent_page_of(answer, address)
        if "://" not in found:
            return found  # type: ignore[return-value]  # Whatever is not an address is one of the literals.
        address = found
    return "sign_on"


async def read_table(client: ServiceNowClient, table: str) -> TableReading:
    """Read the newest rows and the count."""
    # Access rules hide rows after counting and cutting: docs/facts/servicenow.md#2-5-pagination-headers
    newest = "ORDERBYDESCsys_created_on"
    answer = await client.sorted_answer(_list(client, table, newest, "sys_id", limit=ROWS_READ, counted=True))
    rows = rows_of(result_of(answer))
    return TableReading(len(rows), counted_of(answer))


async def try_to_change(client: ServiceNowClient, table: Table) -> None:
    """Try to change a record that does not exist. Raises Forbidden when the table surely may not be changed."""
    # "Not found" proves nothing: an instance may look for the record before it checks the rights.
    request = Request("PATCH", f"{table_url(client.origin, table)}/{NO_RECORD_ID}", headers=JSON, body={})
    try:
        result_of(await client.answer(request), purpose="write")
    except RecordNotFound:
        return


async def list_changes(client: ServiceNowClient, table: Table, marker: str) -> None:
    """Ask what polling asks, of one row. Raises Forbidden where an access rule refuses range operators or sorting."""
    # query_range is an access rule of its own: docs/facts/servicenow.md#2-3-encoded-query
    await client.fetch_page(table, Changed(marker=marker, since=datetime(2000, 1, 1, tzinfo=UTC), limit=1))


async def count_unrelated(client: ServiceNowClient, table: Table, fresh_id: str) -> int:
    """How many records match a correlation ID that was just made: more than 0 means that the condition is ignored."""
    rows = rows_of(
        result_of(await client.answer(_list(client, table, f"correlation_id={fresh_id}", "sys_id", limit=2)))
    )
    return len(rows)


async def find_client(client: ServiceNowClient, client_id: str) -> OAuthClient | None:
    """The OAuth client's record, or None when it is not visible. Raises Forbidden across application scopes."""
    if not PLAIN.fullmatch(client_id):
        return None
    fields = "name,client_id,active,redirect_url,access_token_lifespan,refresh_token_lifespan"
    answer = await client.answer(_list(client, "oauth_entity", f"client_id={client_id}", fields, limit=2))
    for row in rows_of(result_of(answer)):
        if row.get("client_id") == client_id:
            urls = re.split(r"[,\s]+", exact(row.get("redirect_url"), LONGEST_TEXT).strip())
            return OAuthClient(
                name=line(row.get("name"), LONGEST_LABEL),
                active=row.get("active") != "false",
                redirect_urls=tuple(first((line(url, LONGEST_ADDRESS) for url in urls if url), MOST_URLS)),
                access_seconds=_seconds(row, "access_token_lifespan"),
                refresh_seconds=_seconds(row, "refresh_token_lifespan"),
            )
    return None


async def find_account(client: ServiceNowClient, sys_id: str) -> AccountRecord:
    """A user's record. Raises RecordNotFound when it is gone or hidden."""
    request = Request(
        "GET",
        f"{table_url(client.origin, 'sys_user')}/{sys_id if SYS_ID.fullmatch(sys_id) else NO_RECORD_ID}",
        query={"sysparm_fields": "user_name,name,email,active,locked_out,web_service_access_only"},
        headers=JSON,
    )
    row = result_of(await client.answer(request))
    if not isinstance(row, Mapping):
        raise RecordNotFound
    return AccountRecord(
        user_name=line(row.get("user_name"), LONGEST_LABEL),
        name=line(row.get("name"), LONGEST_LABEL),
        email=line(row.get("email"), LONGEST_LABEL),
        active=_flag(row, "active"),
        locked_out=_flag(row, "locked_out"),
        web_service_only=_flag(row, "web_service_access_only"),
    )


async def list_roles(client: ServiceNowClient, user_sys_id: str) -> frozenset[str] | None:
    """The names of a user's roles, inherited ones included; None when they may not be read."""
    # docs/facts/servicenow.md#3-6-roles-for-the-integration-user
    if not SYS_ID.fullmatch(user_sys_id):
        return None
    query = f"user={user_sys_id}^ORDERBYsys_id"
    try:
        answer = await client.sorted_answer(
            _list(client, "sys_user_has_role", query, "user,role.name", limit=MOST_ROLES)
        )
        rows = rows_of(result_of(answer))
    except Forbidden:
        return None
    names = [row.get("role.name") for row in rows if row.get("user") == user_sys_id]
    return frozenset(first((role for name in names if (role := line(name, LONGEST_LABEL))), MOST_ROLES)) or None


async def list_columns(client: ServiceNowClient, table: Table) -> dict[str, TableColumn] | None:
    """The columns of the table and of its parent `task`, by name; None when the dictionary may not be read."""
    fields = "name,element,column_label,internal_type,max_length,read_only,reference"
    query = f"nameINtask,{table}^elementISNOTEMPTY^ORDERBYsys_id"
    try:
        rows = rows_of(
            result_of(await client.sorted_answer(_list(client, "sys_dictionary", query, fields, limit=MOST_COLUMNS)))
        )
    except Forbidden:
        return None
    columns = [_column(row) for row in first(rows, MOST_COLUMNS) if row.get("name") in ("task", table)]
    return {column.name: column for column in columns if column.name} or None


async def list_groups(client: ServiceNowClient, typed: str, *, exactly: bool = False) -> Sequence[AssignmentGroup]:
    """At most 25 active groups whose name contains this text, or equals it.

    Raises ValueError for a text that cannot stand in a query.
    """
    if typed and not SEARCHABLE.fullmatch(typed):
        raise ValueError("this text may not enter a query")
    name = f"^name{'=' if exactly else 'LIKE'}{typed}" if typed else ""
    query = f"active=true{name}^ORDERBYname"
    answer = await client.sorted_answer(_list(client, "sys_user_group", query, "sys_id,name", limit=MOST_GROUPS))
    if is_query_refused(answer) and typed and not exactly:
        # The right `query_range` covers LIKE as well: docs/facts/servicenow.md#2-3-encoded-query
        return await list_groups(client, typed, exactly=True)
    rows = rows_of(result_of(answer))
    found = [
        AssignmentGroup(exact(row.get("sys_id"), LONGEST_CODE), line(row.get("name"), LONGEST_LABEL))
        for row in first(rows, MOST_GROUPS)
    ]
    wanted = [group for group in found if SYS_ID.fullmatch(group.sys_id) and typed.lower() in group.name.lower()]
    return sorted(wanted, key=lambda group: group.name.lower())


def _list(
    client: ServiceNowClient, table: str, query: str, fields: str, *, limit: int, counted: bool = False
) -> Request:
    asked = {
        "sysparm_query": query,
        "sysparm_fields": fields,
        "sysparm_limit": str(limit),
        "sysparm_no_count": "" if counted else "true",
        "sysparm_exclude_reference_link": "true",
        "sysparm_suppress_pagination_header": "true",
    }
    return Request("GET", table_url(client.origin, table), query={k: v for k, v in asked.items() if v}, headers=JSON)


def _seconds(row: Mapping[str, Any], name: str) -> int:
    return whole(row.get(name), 0, LARGEST_WHOLE) or 0


def _flag(row: Mapping[str, Any], name: str) -> bool | None:
    value = exact(row.get(name), LONGEST_CODE).lower()
    return {"true": True, "false": False}.get(value)


def _column(row: Mapping[str, Any]) -> TableColumn:
    return TableColumn(
        name=line(row.get("element"), LONGEST_CODE),
        label=line(row.get("column_label"), LONGEST_LABEL),
        kind=_referred(row, "internal_type"),
        length=_seconds(row, "max_length"),
        read_only=_flag(row, "read_only") is True,
        reference=_referred(row, "reference"),
    )


def _referred(row: Mapping[str, Any], name: str) -> str:
    found = row.get(name, "")
    return line(found.get("value", "") if isinstance(found, Mapping) else found, LONGEST_CODE)
