"""The Table API, as facts 2 describes it: queries, shapes, headers and errors. Numbers are the fact sheet's."""

from __future__ import annotations

import random
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.servicenow import rules
from sandbox.servicenow.access import Reader, may_write, table_is_closed
from sandbox.servicenow.call import TABLE_API, Call, Problem, answered, as_text
from sandbox.servicenow.query import Query, parse_query
from sandbox.servicenow.schema import FIELDS, JOURNALS
from sandbox.servicenow.shapes import Shaper, from_display
from sandbox.servicenow.store import Record

VERBS = {"POST": ("create", "Insert"), "DELETE": ("delete", "Delete")}
ELSEWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Target:
    """The table, the record if one is named, and the version of the API."""

    table: str
    sys_id: str
    version: str = "v2"


async def handle(request: Request) -> Response:
    """Any call to /api/now/[v1|v2/]table/…"""
    return await answered(request, TABLE_API, _table_call)


async def _table_call(call: Call) -> Response:
    parts = [part for part in call.request.path_params["path"].split("/") if part]
    version = call.request.path_params.get("version", "v2")
    if not 1 <= len(parts) <= 2:
        raise Problem(400, "Requested URI does not represent any resource")
    target = Target(parts[0], parts[1] if len(parts) == 2 else "", version)
    check_table(call, target.table)
    if call.method in ("GET", "HEAD"):
        return _read(call, target) if target.sys_id else _list(call, target)
    return await _write(call, target)


def check_table(call: Call, table: str) -> None:
    """Raises 400 for a table there is not (27), 403 for one that is closed as a whole (37)."""
    if table not in FIELDS:
        raise Problem(400, f"Invalid table {table}", f"Table {table} does not exist")
    closed = table_is_closed(call.instance, call.user, table)
    if closed:
        raise Problem(403, "User Not Authorized", closed)


async def _write(call: Call, target: Target) -> Response:
    store, switches, table = call.instance.store, call.instance.switches, target.table
    action, verb = VERBS.get(call.method, ("write", "Update"))
    if not may_write(call.instance, call.user, table, action):
        raise Problem(403, "Operation Failed", f"ACL Exception {verb} Failed due to security constraints")
    if call.method == "DELETE" and target.sys_id:
        _one(call, target)
        store.remove(table, target.sys_id)
        return Response(status_code=204)
    sent = await _sent(call, table)
    if call.method == "POST" and not target.sys_id:
        record = rules.insert(store, switches, table, sent, call.user)
        location = f"{call.origin}/api/now/{target.version}/table/{table}/{record['sys_id']}"
        return JSONResponse({"result": _shaper(call, table)(record)}, 201, {"Location": location})
    if call.method in ("PATCH", "PUT") and target.sys_id:  # 19: PUT changes only what is sent
        record = rules.update(store, switches, table, _one(call, target), sent, call.user)
        return JSONResponse({"result": _shaper(call, table)(record)})
    raise Problem(405, "Method not supported")


async def _sent(call: Call, table: str) -> Record:
    """The fields sent, as they are stored."""
    sent = {str(name): as_text(value) for name, value in (await call.content()).items()}
    refused = call.instance.switches.lists("acl_refuses")
    if any(sent.get(name) and f"{table}.{name}" in refused for name in JOURNALS):
        raise Problem(403, "Operation Failed", "ACL Exception Update Failed due to security constraints")
    if call.option("sysparm_input_display_value") == "true":  # 23
        sent = {name: from_display(table, name, value, call.user) for name, value in sent.items()}
    return sent


def _list(call: Call, target: Target) -> Response:
    limit, offset = _number(call, "sysparm_limit", 10_000), _number(call, "sysparm_offset", 0)
    if call.instance.switches.offset_ignored:
        offset = 0
    is_counted = call.option("sysparm_no_count") != "true"
    matching = matching_rows(call, target.table, None if is_counted else offset + limit)
    cut = matching[offset : offset + limit]
    reader = Reader(call.instance, call.user, target.table)
    visible = [row for row in cut if reader.may_read(row)]  # 24: cut first, then hidden rows fall out
    headers = _paging_headers(call, len(matching), len(visible), limit, offset)
    if not visible and target.version == "v1":  # 26
        detail = "Records matching query not found. Check query parameter or offset parameter"
        raise Problem(404, "No Record found", detail)
    shaper = _shaper(call, target.table)
    return JSONResponse({"result": [shaper(row) for row in visible]}, headers=headers)


def matching_rows(call: Call, table: str, enough: int | None = None) -> list[Record]:
    """Every row that the query fits, whoever may read it. Raises what query rules refuse (21 and facts 2.3)."""
    query = _query(call, table)
    found = query.run(enough)
    if not query.order and call.instance.switches.shuffle_unordered:
        random.shuffle(found)
    return found


def _query(call: Call, table: str) -> Query:
    """21: unknown fields are ignored and everything matches, or 403 where query ACLs are strict."""
    switches = call.instance.switches
    text = call.option("sysparm_query")
    if not text:
        pairs = [(k, v) for k, v in call.request.query_params.items() if not k.startswith("sysparm_")]
        text = "^".join(f"{name}={value}" for name, value in pairs)
    suppressed = call.option("sysparm_suppress_pagination_header") == "true"
    if 0 < switches.long_query_limit < len(text) and not suppressed:
        detail = "The query is too long to build the response pagination header URLs"
        raise Problem(400, "Pagination not supported", detail)
    query = parse_query(text, call.instance.store, table, call.caller(), switches.lists("closed_fields"))
    if query.unknown and switches.strict_queries:
        raise Problem(403, "Insufficient rights to query records", None)
    if query.has_ranges and switches.range_refused:
        detail = "Field(s) present in the query do not have permission to be read"
        raise Problem(403, "Insufficient rights to query records", detail)
    return query


def _read(call: Call, target: Target) -> Response:
    return JSONResponse({"result": _shaper(call, target.table)(_one(call, target))})


def _one(call: Call, target: Target) -> Record:
    """27: a missing record and a hidden one look the same."""
    record = call.instance.store.get(target.table, target.sys_id)
    if record is None or not Reader(call.instance, call.user, target.table).may_read(record):
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
    origin = ELSEWHERE if call.instance.switches.foreign_links else call.origin
    base = f"{origin}{call.request.url.path}"
    kept = [(k, v) for k, v in call.request.query_params.multi_items() if k not in ("sysparm_offset", "sysparm_limit")]

    def link(rel: str, to: int) -> str:
        pairs = [*kept, ("sysparm_limit", str(limit)), ("sysparm_offset", str(to))]
        return f'<{base}?{urlencode(pairs)}>;rel="{rel}"'

    links = [link("first", 0), link("prev", offset - limit)]
    if offset + limit < total:
        links.append(link("next", offset + limit))
    headers["Link"] = ",".join([*links, link("last", last)])
    return headers


def _shaper(call: Call, table: str) -> Shaper:
    wanted = call.option("sysparm_fields")
    mode = call.option("sysparm_display_value", "false")
    return Shaper(
        call.instance,
        table,
        origin=call.origin,
        mode=mode if mode in ("true", "all") else "false",
        links=call.option("sysparm_exclude_reference_link") != "true",
        fields=[name.strip() for name in wanted.split(",")] if wanted else None,
        user=call.user,
    )
