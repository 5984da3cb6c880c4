"""Table API: queries, paging, writes and errors of `/api/now/table`. Business rules and record shapes are elsewhere."""
# See docs/facts/servicenow.md#2-table-api
# https://www.servicenow.com/docs/csh?topicname=c_TableAPI.html

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.servicenow import business_rules
from sandbox.servicenow.encoded_query import EncodedQuery
from sandbox.servicenow.field_types import is_scalar
from sandbox.servicenow.other_tables import CHILDREN
from sandbox.servicenow.query_operators import UnsupportedOperator
from sandbox.servicenow.query_parser import QueryContext, parse_query
from sandbox.servicenow.record_acl import RowAcl, may_write, roles_of, table_is_closed
from sandbox.servicenow.record_shapes import RecordShaper, from_display, labels_of
from sandbox.servicenow.request_context import TABLE_API, ApiError, RequestContext, as_text, respond
from sandbox.servicenow.seeds import after_admin_write, keep_retired_choices
from sandbox.servicenow.store import Record
from sandbox.servicenow.table_schema import FIELDS, JOURNALS, REFERENCES
from sandbox.servicenow.text_folding import fold

VERBS = {"POST": ("create", "Insert"), "DELETE": ("delete", "Delete")}
# Content types of `created_without_body`.
EMPTY_ANSWERS = {"json": "application/json;charset=UTF-8", "html": "text/html;charset=UTF-8"}
# Where Link headers point with `foreign_links`: port 9 (discard) is closed, so following one fails at once.
FOREIGN_ORIGIN = "http://127.0.0.1:9"
QUERY_REFUSED = "Field(s) present in the query do not have permission to be read"


@dataclass(frozen=True)
class TableTarget:
    """What a URL names: table, record ("" for none), API version."""

    table: str
    sys_id: str
    version: str = "v2"


async def handle(request: Request) -> Response:
    """Handle every call to `/api/now/[v1|v2/]table/…`."""
    return await respond(request, TABLE_API, _table_call)


async def _table_call(context: RequestContext) -> Response:
    parts = [part for part in context.request.path_params["path"].split("/") if part]
    version = context.request.path_params.get("version", "v2")
    if not 1 <= len(parts) <= 2:
        raise ApiError(400, "Requested URI does not represent any resource")
    target = TableTarget(parts[0], parts[1] if len(parts) == 2 else "", version)
    check_table(context, target.table)
    if context.method in ("GET", "HEAD"):
        return _read(context, target) if target.sys_id else _list(context, target)
    return await _write(context, target)


def check_table(context: RequestContext, table: str) -> None:
    """Raise ApiError: 400 for an unknown table, 403 for one that is closed as a whole."""
    # See docs/facts/servicenow.md#sandbox-27 and #sandbox-37
    if table not in FIELDS:
        raise ApiError(400, f"Invalid table {table}", f"Table {table} does not exist")
    if table == "sys_choice":
        keep_retired_choices(context.instance.store, wanted=context.instance.switches.retired_choices)
    closed = table_is_closed(context.instance, context.user, table)
    if closed:
        raise ApiError(403, "User Not Authorized", closed)


async def _write(context: RequestContext, target: TableTarget) -> Response:
    store, switches, table = context.instance.store, context.instance.switches, target.table
    action, verb = VERBS.get(context.method, ("write", "Update"))
    if not may_write(context.instance, context.user, table, action):
        raise ApiError(403, "Operation Failed", f"ACL Exception {verb} Failed due to security constraints")
    if context.method == "DELETE" and target.sys_id:
        gone = _one(context, target)
        store.remove(table, target.sys_id)
        after_admin_write(store, table, gone)
        return Response(status_code=204)
    sent = await _sent(context, table)
    if context.method == "POST" and not target.sys_id:
        return _created(context, target, business_rules.insert(store, switches, table, sent, context.user))
    # PUT changes only the fields sent: docs/facts/servicenow.md#sandbox-19
    if context.method in ("PATCH", "PUT") and target.sys_id:
        record = business_rules.update(store, switches, table, _one(context, target), sent, context.user)
        after_admin_write(store, table, record)
        return JSONResponse({"result": _shaper(context, table)(record)})
    raise ApiError(405, "Method not supported")


def _created(context: RequestContext, target: TableTarget, record: Record) -> Response:
    after_admin_write(context.instance.store, target.table, record)
    empty = context.instance.switches.created_without_body
    if empty:
        response = Response(status_code=201)
        if empty in EMPTY_ANSWERS:
            response.headers["content-type"] = EMPTY_ANSWERS[empty]
        return response
    location = f"{context.origin}/api/now/{target.version}/table/{target.table}/{record['sys_id']}"
    return JSONResponse({"result": _shaper(context, target.table)(record)}, 201, {"Location": location})


async def _sent(context: RequestContext, table: str) -> Record:
    """Return the fields of the body as the business rules take them."""
    sent = sent_fields(context, table, await context.content())
    refused = context.instance.switches.listed("acl_refuses")
    if any(sent.get(name) and f"{table}.{name}" in refused for name in JOURNALS):
        raise ApiError(403, "Operation Failed", "ACL Exception Update Failed due to security constraints")
    if context.option("sysparm_input_display_value") == "true":  # docs/facts/servicenow.md#sandbox-23
        sent = {name: from_display(context.instance, table, name, value, context.user) for name, value in sent.items()}
    return sent


def sent_fields(context: RequestContext, table: str, content: dict[str, Any]) -> Record:
    """Return the fields of a body as texts, without those that this caller's writes do not reach."""
    # A write rule of a field drops its value silently: docs/facts/servicenow.md#2-6-error-envelope
    switches = context.instance.switches
    dropped = set(switches.listed("dropped_fields"))
    if switches.notes_need_itil and "itil" not in roles_of(context.instance, context.user):
        dropped.add("work_notes")
    if switches.invalid_values == "refused":
        wrong = [name for name, value in content.items() if not is_scalar(value)]
        if wrong:
            raise business_rules.WriteRefused(f"Invalid value for the field {wrong[0]}")
    return {
        str(name): as_text(value)
        for name, value in content.items()
        if is_scalar(value) and name not in dropped and f"{table}.{name}" not in dropped
    }


def _list(context: RequestContext, target: TableTarget) -> Response:
    # Defaults: docs/facts/servicenow.md#2-2-query-parameters
    limit, offset = number_option(context, "sysparm_limit", 10_000), number_option(context, "sysparm_offset", 0)
    if context.instance.switches.offset_ignored:
        offset = 0
    is_counted = context.option("sysparm_no_count") != "true"
    matching = matching_rows(context, target.table, None if is_counted else offset + limit)
    cut = matching[offset : offset + limit]
    reader = RowAcl(context.instance, context.user, target.table)
    visible = [row for row in cut if reader.may_read(row)]  # After the limit: docs/facts/servicenow.md#sandbox-24
    headers = paging_headers(context, len(matching), len(visible), limit, offset)
    if not visible and target.version == "v1":  # docs/facts/servicenow.md#sandbox-26
        detail = "Records matching query not found. Check query parameter or offset parameter"
        raise ApiError(404, "No Record found", detail)
    shaper = _shaper(context, target.table)
    return JSONResponse({"result": [shaper(row) for row in visible]}, headers=headers)


def matching_rows(context: RequestContext, table: str, enough: int | None = None) -> list[Record]:
    """Return the rows that match the query, before row ACLs. Raises ApiError for a refused query."""
    # See docs/facts/servicenow.md#sandbox-21 and #2-3-encoded-query
    query = _query(context, table)
    found = query.run(enough)
    if not query.order and context.instance.switches.shuffle_unordered:
        random.shuffle(found)
    return found


def _query(context: RequestContext, table: str) -> EncodedQuery:
    switches = context.instance.switches
    text = context.option("sysparm_query") or _pairs(context, table)
    suppressed = context.option("sysparm_suppress_pagination_header") == "true"
    # The Link header repeats the query: docs/facts/servicenow.md#2-5-pagination-headers
    if 0 < switches.long_query_limit < len(text) and not suppressed:
        detail = "The query is too long to build the response pagination header URLs"
        raise ApiError(400, "Pagination not supported", detail)
    means = QueryContext(
        context.instance.store, context.caller(), switches.listed("closed_fields"), exact=switches.exact_text_comparison
    )
    try:
        query = parse_query(text, means, table)
    except UnsupportedOperator as unknown:
        # Not an answer of an instance: what it would say is unknown here, and a guess would be taken for a fact.
        context.note(f"the sandbox does not reproduce this part of the query: {unknown}")
        raise ApiError(501, "The sandbox does not reproduce this query", str(unknown)) from unknown
    _check_query(context, query)
    return query


def _check_query(context: RequestContext, query: EncodedQuery) -> None:
    """Raise ApiError (403) for what a query ACL refuses; empty the query where invalid ones find nothing."""
    switches = context.instance.switches
    detail = None if switches.query_refusal_without_detail else QUERY_REFUSED
    # The same 403 for an unknown and for a closed field: docs/facts/servicenow.md#sandbox-21
    if query.unknown and switches.strict_queries:
        raise ApiError(403, "Insufficient rights to query records", detail)
    # `query_range` covers sorting too: docs/facts/servicenow.md#2-3-encoded-query
    is_sorted = bool(query.order) and not switches.range_refused_without_sorting
    if switches.range_refused and (query.has_ranges or is_sorted):
        raise ApiError(403, "Insufficient rights to query records", detail)
    if query.unknown and switches.invalid_query_returns_no_rows:
        query.groups = []


def _pairs(context: RequestContext, table: str) -> str:
    """Return the query that `name=value` pairs mean; each value may be a display value."""
    # See docs/facts/servicenow.md#2-2-query-parameters
    parts = []
    for name, value in context.request.query_params.items():
        if name.startswith("sysparm_"):
            continue
        meant = [f"{name}={value}"]
        if name in REFERENCES:
            meant.append(f"OR{name}.name={value}")
        labels = labels_of(context.instance, table, name)
        meant += [f"OR{name}={stored}" for stored, label in labels.items() if fold(label) == fold(value) != stored]
        parts.append("^".join(meant))
    return "^".join(parts)


def _read(context: RequestContext, target: TableTarget) -> Response:
    return JSONResponse({"result": _shaper(context, target.table)(_one(context, target))})


def _one(context: RequestContext, target: TableTarget) -> Record:
    # See docs/facts/servicenow.md#sandbox-27: a missing and an unreadable record get the same 404.
    tables = (target.table, *CHILDREN.get(target.table, ()))
    found = (context.instance.store.get(table, target.sys_id) for table in tables)
    record = next((row for row in found if row is not None), None)
    if record is None or not RowAcl(context.instance, context.user, target.table).may_read(record):
        raise ApiError(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
    return record


def number_option(context: RequestContext, name: str, default: int) -> int:
    """Return a paging parameter. Raises ApiError (400) for what is no number."""
    text = context.option(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit():
        raise ApiError(400, "Invalid pagination parameter", f"{name} must not be negative")
    return int(text)


def paging_headers(context: RequestContext, total: int, returned: int, limit: int, offset: int) -> dict[str, str]:
    """Return the total and the links to the other pages."""
    # See docs/facts/servicenow.md#sandbox-25: `prev` is present on the first page too, with a negative offset.
    counted = context.option("sysparm_no_count") != "true"
    headers = {"X-Total-Count": str(total if counted else returned)}
    if context.option("sysparm_suppress_pagination_header") == "true" or not counted:
        return headers
    last = max(total - 1, 0) // limit * limit if limit else 0
    origin = FOREIGN_ORIGIN if context.instance.switches.foreign_links else context.origin
    base = f"{origin}{context.request.url.path}"
    kept = [
        (k, v) for k, v in context.request.query_params.multi_items() if k not in ("sysparm_offset", "sysparm_limit")
    ]

    def link(rel: str, to: int) -> str:
        pairs = [*kept, ("sysparm_limit", str(limit)), ("sysparm_offset", str(to))]
        return f'<{base}?{urlencode(pairs)}>;rel="{rel}"'

    links = [link("first", 0), link("prev", offset - limit)]
    if offset + limit < total:
        links.append(link("next", offset + limit))
    headers["Link"] = ",".join([*links, link("last", last)])
    return headers


def _shaper(context: RequestContext, table: str) -> RecordShaper:
    wanted = context.option("sysparm_fields")
    mode = context.option("sysparm_display_value", "false")
    return RecordShaper(
        context.instance,
        table,
        origin=context.origin,
        mode=mode if mode in ("true", "all") else "false",
        links=context.option("sysparm_exclude_reference_link") != "true",
        fields=[name.strip() for name in wanted.split(",")] if wanted else None,
        user=context.user,
    )
