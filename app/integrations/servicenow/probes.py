"""Looks at an instance for provisioning and diagnosis. Reads only; what asks for writing names a record that cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from app.core import clock
from app.integrations.http.errors import Forbidden, RecordNotFound
from app.integrations.http.http_types import RemoteResponse, Request
from app.integrations.http.transport import Transport
from app.integrations.servicenow.client import ServiceNowClient
from app.integrations.servicenow.oauth import challenge_of, new_state, new_verifier
from app.integrations.servicenow.parse_response import result_of, rows_of
from app.integrations.servicenow.protocol import SYS_ID, table_url
from app.integrations.servicenow.responder import ConsentPage, clock_ahead, consent_page_of
from app.integrations.servicenow.schemas import Table

JSON = {"Accept": "application/json"}
# A key that no record has: what is asked of it is refused or not found, and nothing is left behind either way.
NOBODY = "0" * 32
# Values that may enter a query; client ids and column names that hold anything else are not asked for.
PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# A group's name is searched for unless it holds what an encoded query is made of: escaping is undocumented.
SEARCHABLE = re.compile(r"[^\^=<>:\x00-\x1f]{1,80}")
HOPS = 3
# The limit is applied before access rules are, so one row would not be enough: it may be the one that is hidden.
ROWS_READ = 100


@dataclass(frozen=True)
class PingResponse:
    """What an unauthorized call met: the answer, and how far the clock there is ahead of ours, in seconds."""

    answer: RemoteResponse
    ahead: float | None


@dataclass(frozen=True)
class TableReading:
    """How many of the newest rows came, and how many the instance says there are (None: it does not say)."""

    visible: int
    total: int | None

    @property
    def hides_all(self) -> bool:
        """Whether there are records, all were asked for, and none came."""
        return self.visible == 0 and 0 < (self.total or 0) <= ROWS_READ

    @property
    def is_doubtful(self) -> bool:
        """Whether none came, and there are more than were asked for: the others may well be visible."""
        return self.visible == 0 and (self.total or 0) > ROWS_READ


@dataclass(frozen=True)
class OAuthClient:
    """The client's record in the Application Registry; lifespans in seconds, 0 when not readable."""

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
    """A column as the dictionary describes it; `length` is 0 when it does not say."""

    name: str
    label: str
    kind: str
    length: int
    read_only: bool


@dataclass(frozen=True)
class AssignmentGroup:
    """A group that tickets may be assigned to."""

    sys_id: str
    name: str


async def ping(transport: Transport, origin: str) -> PingResponse:
    """Call the API without a token: an instance that is awake answers 401 in JSON. Raises RemoteError."""
    sent = clock.now().timestamp()
    request = Request("GET", table_url(origin, "sys_user"), query={"sysparm_limit": "1"}, headers=JSON)
    answer = await transport.send(request)
    return PingResponse(answer, clock_ahead(answer, sent, clock.now().timestamp()))


async def open_consent_page(transport: Transport, origin: str, client_id: str, redirect_uri: str) -> ConsentPage:
    """Open the page that a person would, signed in as nobody, and see how far it lets us. Raises RemoteError."""
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
            return found  # type: ignore[return-value]  # What is no address is one of the names.
        address = found
    return "sign_on"


async def read_table(client: ServiceNowClient, table: str) -> TableReading:
    """Ask for the newest rows and the count; access rules hide rows after counting and cutting (docs: c_TableAPI)."""
    newest = "ORDERBYDESCsys_created_on"
    answer = await client.answer(_list(client, table, newest, "sys_id", limit=ROWS_READ, counted=True))
    rows = rows_of(result_of(answer))
    total = answer.header("x-total-count")
    return TableReading(len(rows), int(total) if total.isdecimal() else None)


async def try_to_change(client: ServiceNowClient, table: Table) -> None:
    """Ask to change a record that does not exist. Raises Refused when the table may surely not be changed.

    "Not found" proves nothing: an instance may look for the record before it looks at the rights.
    """
    request = Request("PATCH", f"{table_url(client.origin, table)}/{NOBODY}", headers=JSON, body={})
    try:
        result_of(await client.answer(request), purpose="write")
    except RecordNotFound:
        return


async def compare_times(client: ServiceNowClient, table: Table) -> None:
    """Ask with a range operator, which has an access rule of its own. Raises Refused where that refuses."""
    result_of(await client.answer(_list(client, table, "sys_updated_on>=2000-01-01 00:00:00", "sys_id", limit=1)))


async def count_unrelated(client: ServiceNowClient, table: Table, fresh_id: str) -> int:
    """How many records carry a correlation id that was made a moment ago: any means that the condition is ignored."""
    rows = rows_of(
        result_of(await client.answer(_list(client, table, f"correlation_id={fresh_id}", "sys_id", limit=2)))
    )
    return len(rows)


async def find_client(client: ServiceNowClient, client_id: str) -> OAuthClient | None:
    """The client's record, or None when it is not among what we may see. Raises Refused across scopes."""
    if not PLAIN.fullmatch(client_id):
        return None
    fields = "name,client_id,active,redirect_url,access_token_lifespan,refresh_token_lifespan"
    answer = await client.answer(_list(client, "oauth_entity", f"client_id={client_id}", fields, limit=2))
    for row in rows_of(result_of(answer)):
        if row.get("client_id") == client_id:
            urls = re.split(r"[,\s]+", str(row.get("redirect_url", "")).strip())
            return OAuthClient(
                name=str(row.get("name", "")),
                active=row.get("active") != "false",
                redirect_urls=tuple(url for url in urls if url),
                access_seconds=_seconds(row, "access_token_lifespan"),
                refresh_seconds=_seconds(row, "refresh_token_lifespan"),
            )
    return None


async def find_account(client: ServiceNowClient, sys_id: str) -> AccountRecord:
    """A user's record. Raises Missing when it is gone or hidden."""
    request = Request(
        "GET",
        f"{table_url(client.origin, 'sys_user')}/{sys_id if SYS_ID.fullmatch(sys_id) else NOBODY}",
        query={"sysparm_fields": "user_name,name,email,active,locked_out,web_service_access_only"},
        headers=JSON,
    )
    row = result_of(await client.answer(request))
    if not isinstance(row, Mapping):
        raise RecordNotFound
    return AccountRecord(
        user_name=str(row.get("user_name", "")),
        name=str(row.get("name", "")),
        email=str(row.get("email", "")),
        active=_flag(row, "active"),
        locked_out=_flag(row, "locked_out"),
        web_service_only=_flag(row, "web_service_access_only"),
    )


async def list_roles(client: ServiceNowClient, user_sys_id: str) -> frozenset[str] | None:
    """The names of a user's roles, those contained in others too; None when they may not be read."""
    if not SYS_ID.fullmatch(user_sys_id):
        return None
    query = f"user={user_sys_id}^ORDERBYsys_id"
    try:
        answer = await client.answer(_list(client, "sys_user_has_role", query, "user,role.name", limit=500))
        rows = rows_of(result_of(answer))
    except Forbidden:
        return None
    names = [row.get("role.name") for row in rows if row.get("user") == user_sys_id]
    return frozenset(name for name in names if isinstance(name, str) and name) or None


async def list_columns(client: ServiceNowClient, table: Table) -> dict[str, TableColumn] | None:
    """The table's columns by name, its parent's among them; None when the dictionary may not be read."""
    fields = "name,element,column_label,internal_type,max_length,read_only"
    query = f"nameINtask,{table}^elementISNOTEMPTY^ORDERBYsys_id"
    try:
        rows = rows_of(result_of(await client.answer(_list(client, "sys_dictionary", query, fields, limit=2000))))
    except Forbidden:
        return None
    columns = [_column(row) for row in rows if row.get("name") in ("task", table)]
    return {column.name: column for column in columns if column.name} or None


async def list_groups(client: ServiceNowClient, typed: str, *, exactly: bool = False) -> Sequence[AssignmentGroup]:
    """Active groups whose names hold this text, or are exactly this, at most 25.

    Raises ValueError for letters that cannot be searched for.
    """
    if typed and not SEARCHABLE.fullmatch(typed):
        raise ValueError("this text may not enter a query")
    name = f"^name{'=' if exactly else 'LIKE'}{typed}" if typed else ""
    query = f"active=true{name}^ORDERBYname"
    rows = rows_of(result_of(await client.answer(_list(client, "sys_user_group", query, "sys_id,name", limit=25))))
    found = [AssignmentGroup(str(row.get("sys_id", "")), str(row.get("name", ""))) for row in rows]
    return [group for group in found if SYS_ID.fullmatch(group.sys_id) and typed.lower() in group.name.lower()]


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
    text = str(row.get(name, ""))
    return int(text) if text.isdecimal() else 0


def _flag(row: Mapping[str, Any], name: str) -> bool | None:
    value = str(row.get(name, "")).lower()
    return {"true": True, "false": False}.get(value)


def _column(row: Mapping[str, Any]) -> TableColumn:
    kind = row.get("internal_type", "")
    return TableColumn(
        name=str(row.get("element", "")),
        label=str(row.get("column_label", "")),
        kind=str(kind.get("value", "") if isinstance(kind, Mapping) else kind),
        length=_seconds(row, "max_length"),
        read_only=str(row.get("read_only", "")).lower() == "true",
    )
