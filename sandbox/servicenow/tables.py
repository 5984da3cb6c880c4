"""The Table API, as facts 2 describes it: queries, shapes, headers and errors. Numbers are the fact sheet's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.servicenow import rules
from sandbox.servicenow.instance import Instance, roles_of
from sandbox.servicenow.oauth import instance_of
from sandbox.servicenow.query import Caller, Query, parse_query
from sandbox.servicenow.schema import FIELDS
from sandbox.servicenow.shapes import from_display, shaped
from sandbox.servicenow.store import Record

WRITABLE = ("incident", "change_request")
LARGEST_BODY = 10 * 1024 * 1024


class Problem(Exception):
    """An error answer in the instance's envelope."""

    def __init__(self, status: int, message: str, detail: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.detail = status, message, detail

    def response(self) -> Response:
        """The envelope; a 401 names the scheme as real instances do (17)."""
        headers = {"WWW-Authenticate": 'BASIC realm="Service-now"'} if self.status == 401 else {}
        body = {"error": {"message": self.message, "detail": self.detail}, "status": "failure"}
        return JSONResponse(body, self.status, headers)


@dataclass(frozen=True)
class Call:
    """One call with everything its handler needs."""

    request: Request
    instance: Instance
    user: Record
    version: str
    table: str
    sys_id: str

    def option(self, name: str, default: str = "") -> str:
        """A sysparm."""
        return self.request.query_params.get(name, default)

    def caller(self) -> Caller:
        """For the date helpers."""
        return Caller(self.user["sys_id"], self.user["time_zone"] or "UTC", self.instance.store.now())


async def handle(request: Request) -> Response:
    """Any call to /api/now/…: known paths go to the table, everything else is 400 (27)."""
    instance = instance_of(request)
    try:
        user = authenticate(request, instance)
        parts = [part for part in request.path_params["path"].split("/") if part]
        version = "v2"
        if parts and parts[0] in ("v1", "v2"):
            version = parts.pop(0)
        if not 2 <= len(parts) <= 3 or parts[0] != "table":
            raise Problem(400, "Requested URI does not represent any resource")
        table, sys_id = parts[1], parts[2] if len(parts) == 3 else ""
        if table not in FIELDS:
            raise Problem(400, f"Invalid table {table}", f"Table {table} does not exist")
        return await _dispatch(Call(request, instance, user, version, table, sys_id))
    except Problem as problem:
        return problem.response()
    except rules.Refusal as refusal:
        return Problem(403, "Operation Failed", str(refusal)).response()


def authenticate(request: Request, instance: Instance) -> Record:
    """The token's user. Raises the 401 of 17, in either wording."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    user = instance.user_of(value.strip()) if scheme.lower() == "bearer" else None
    if user is None:
        wording = "User Not Authenticated" if instance.switches.old_401_wording else "User is not authenticated"
        raise Problem(401, wording, "Required to provide Auth information")
    request.state.user = user["user_name"]
    return user


async def _dispatch(call: Call) -> Response:
    method = call.request.method
    accept = call.request.headers.get("accept", "")
    if not accept or not any(kind in accept for kind in ("json", "*/*")):  # 29
        raise Problem(406, "Not Acceptable", "Accept header must allow application/json")
    _check_table(call)
    if method in ("GET", "HEAD"):
        return _read(call) if call.sys_id else _list(call)
    if call.table not in WRITABLE or "itil" not in roles_of(call.user):
        verb = {"POST": "Insert", "DELETE": "Delete"}.get(method, "Update")
        raise Problem(403, "Operation Failed", f"ACL Exception {verb} Failed due to security constraints")
    if method == "DELETE":
        _one(call)
        call.instance.store.remove(call.table, call.sys_id)
        return Response(status_code=204)
    sent = await _body(call)
    if method == "POST" and not call.sys_id:
        record = rules.insert(call.instance.store, call.instance.switches, call.table, sent, call.user)
        location = f"{_origin(call)}/api/now/{call.version}/table/{call.table}/{record['sys_id']}"
        return JSONResponse({"result": _shape(call, record)}, 201, {"Location": location})
    if method in ("PATCH", "PUT") and call.sys_id:  # 19: PUT changes only what is sent
        record = rules.update(call.instance.store, call.instance.switches, call.table, _one(call), sent, call.user)
        return JSONResponse({"result": _shape(call, record)})
    raise Problem(405, "Method not supported")


def _check_table(call: Call) -> None:
    """Who may read what: choices need a role (36), properties may be closed (37)."""
    roles, switches = roles_of(call.user), call.instance.switches
    if call.table == "sys_properties" and not switches.properties_readable and "admin" not in roles:
        raise Problem(403, "User Not Authorized", "ACL restricts the record retrieval")


async def _body(call: Call) -> Record:
    """29: 415 for anything but JSON, 400 for what is no JSON object. Of several records only the first is taken."""
    if "json" not in call.request.headers.get("content-type", ""):
        raise Problem(415, "Unsupported Media Type", "Content-Type must be application/json")
    raw = await call.request.body()
    if len(raw) > LARGEST_BODY:
        detail = (
            f"Rejected large REST payload with content-length = {len(raw)} bytes. Max allowed: {LARGEST_BODY} bytes."
        )
        raise Problem(400, "Exception while reading request", detail)
    try:
        content = json.loads(raw)
    except ValueError:
        raise Problem(400, "Exception while reading request", "The payload is not valid JSON") from None
    if isinstance(content, list):
        content = content[0] if content else {}
    if not isinstance(content, dict):
        raise Problem(400, "Exception while reading request", "The payload is not an object")
    sent = {str(name): _text(value) for name, value in content.items()}
    if call.option("sysparm_input_display_value") == "true":  # 23
        sent = {name: from_display(call.table, name, value, call.user["time_zone"]) for name, value in sent.items()}
    return sent


def _text(value: Any) -> str:  # noqa: ANN401 - whatever JSON holds.
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _list(call: Call) -> Response:
    query = _query(call)
    store = call.instance.store
    matching = query.sort(row for row in store.rows(call.table) if query.matches(row))
    limit, offset = _number(call, "sysparm_limit", 10_000), _number(call, "sysparm_offset", 0)
    cut = matching[offset : offset + limit]
    visible = [row for row in cut if may_read(call, row)]  # 24: cut first, then hidden rows fall out
    headers = _paging_headers(call, len(matching), len(visible), limit, offset)
    if not visible and call.version == "v1":  # 26
        detail = "Records matching query not found. Check query parameter or offset parameter"
        raise Problem(404, "No Record found", detail)
    return JSONResponse({"result": [_shape(call, row) for row in visible]}, headers=headers)


def _query(call: Call) -> Query:
    """21: unknown fields are ignored and everything matches, or 403 where query ACLs are strict."""
    text = call.option("sysparm_query")
    if not text:
        pairs = [(k, v) for k, v in call.request.query_params.items() if not k.startswith("sysparm_")]
        text = "^".join(f"{name}={value}" for name, value in pairs)
    query = parse_query(text, FIELDS[call.table], call.caller())
    if query.unknown and call.instance.switches.strict_queries:
        raise Problem(403, "Insufficient rights to query records", None)
    return query


def may_read(call: Call, row: Record) -> bool:
    """Row access: staff read all; others only incidents they opened or are the caller of, and no changes."""
    if row.get("_hidden") == "true":  # 50
        return False
    roles = roles_of(call.user)
    if call.table == "sys_choice":
        return not call.instance.switches.choices_need_role or bool(roles & {"personalize_choices", "admin"})
    if call.table in WRITABLE and not roles & {"itil", "admin"}:
        return call.table == "incident" and call.user["sys_id"] in (row.get("opened_by"), row.get("caller_id"))
    return True


def _read(call: Call) -> Response:
    return JSONResponse({"result": _shape(call, _one(call))})


def _one(call: Call) -> Record:
    """27: a missing record and a hidden one look the same."""
    record = call.instance.store.get(call.table, call.sys_id)
    if record is None or not may_read(call, record):
        raise Problem(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
    return record


def _number(call: Call, name: str, default: int) -> int:
    text = call.option(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit():
        raise Problem(400, "Invalid pagination parameter", f"{name} must not be negative")
    return int(text)


def _paging_headers(call: Call, total: int, returned: int, limit: int, offset: int) -> dict[str, str]:
    """25: `prev` is there on page one too, with offset -1 for a page of one (offset minus limit)."""
    counted = call.option("sysparm_no_count") != "true"
    headers = {"X-Total-Count": str(total if counted else returned)}
    if call.option("sysparm_suppress_pagination_header") == "true" or not counted:
        return headers
    last = max(total - 1, 0) // limit * limit if limit else 0
    base = f"{_origin(call)}{call.request.url.path}"
    kept = [(k, v) for k, v in call.request.query_params.multi_items() if k not in ("sysparm_offset", "sysparm_limit")]

    def link(rel: str, to: int) -> str:
        pairs = [*kept, ("sysparm_limit", str(limit)), ("sysparm_offset", str(to))]
        return f'<{base}?{urlencode(pairs)}>;rel="{rel}"'

    links = [link("first", 0), link("prev", offset - limit)]
    if offset + limit < total:
        links.append(link("next", offset + limit))
    headers["Link"] = ",".join([*links, link("last", last)])
    return headers


def _shape(call: Call, record: Record) -> dict[str, Any]:
    wanted = call.option("sysparm_fields")
    return shaped(
        call.instance,
        call.table,
        record,
        origin=_origin(call),
        mode=call.option("sysparm_display_value", "false"),
        links=call.option("sysparm_exclude_reference_link") != "true",
        fields=[name.strip() for name in wanted.split(",")] if wanted else None,
        time_zone=call.user["time_zone"],
    )


def _origin(call: Call) -> str:
    return f"{call.request.url.scheme}://{call.request.url.netloc}"
