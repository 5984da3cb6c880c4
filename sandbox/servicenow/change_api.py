"""Change Management API: typed values with labels, ignored fields, next states. Tasks, approvals and conflicts are empty."""
# See docs/facts/servicenow.md#3-5-change-management and #sandbox-41
# https://www.servicenow.com/docs/csh?topicname=change-management-api.html

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.servicenow import business_rules, change_models
from sandbox.servicenow.record_acl import RowAcl, may_write, roles_of
from sandbox.servicenow.record_shapes import display_time, labels_of
from sandbox.servicenow.request_context import ApiError, RequestContext, respond
from sandbox.servicenow.store import Record
from sandbox.servicenow.table_api import matching_rows, number_option, sent_fields
from sandbox.servicenow.table_schema import FLAGS, JOURNALS, NUMBERS, REFERENCES, TIMES, fields_of

TABLE = "change_request"
# sn_change_write suffices for the Table API, but not here: docs/facts/servicenow.md#3-5-change-management and #trap-34
READ_ROLES = {"change_manager", "itil", "sn_change_read", "admin"}
WRITE_ROLES = {"change_manager", "itil", "admin"}
TYPES = ("normal", "emergency", "standard")


async def handle(request: Request) -> Response:
    """Handle every call to `/api/sn_chg_rest/[v1/]change…`."""
    return await respond(request, "Change Management API", _change_call)


async def _change_call(context: RequestContext) -> Response:
    parts = [part for part in context.request.path_params["path"].split("/") if part]
    if parts and parts[0] == "v1":
        parts.pop(0)
    if not parts or parts.pop(0) != "change":
        raise ApiError(400, "Requested URI does not represent any resource")
    wanted = READ_ROLES if context.method in ("GET", "HEAD") else WRITE_ROLES
    if not wanted & roles_of(context.instance, context.user):
        raise ApiError(403, "User Not Authorized", "Failed API level ACL Validation")
    if parts == ["model"] and context.method == "GET":
        return _models(context)
    kind = parts.pop(0) if parts and parts[0] in TYPES else ""
    if context.method == "POST" and (not parts or kind == "standard"):
        return await _create(context, kind)
    if context.method == "GET" and not parts:
        return _list(context, kind)
    if not parts:
        raise ApiError(405, "Method not supported")
    record = _one(context, parts[0])
    if len(parts) == 1:
        return await _single(context, record)
    return _about(context, record, parts[1])


async def _create(context: RequestContext, kind: str) -> Response:
    # See docs/facts/servicenow.md#sandbox-41: 200, not 201. A path with a type answers a list, the plain path an object.
    if not may_write(context.instance, context.user, TABLE, "create"):
        raise ApiError(403, "Change Request record could not be created", "Insert failed due to security constraints")
    sent, ignored = await _sent(context)
    if kind:
        sent["type"] = kind
    record = business_rules.insert(context.instance.store, context.instance.switches, TABLE, sent, context.user)
    shaped = _shaped(context, TABLE, record) | {"__meta": {"ignoredFields": ignored}}
    return JSONResponse({"result": [shaped] if kind else shaped})


async def _single(context: RequestContext, record: Record) -> Response:
    if context.method == "GET":
        return JSONResponse({"result": _shaped(context, TABLE, record)})
    action = "delete" if context.method == "DELETE" else "write"
    if not may_write(context.instance, context.user, TABLE, action):
        raise ApiError(403, "Change Request record could not be updated", "Update failed due to security constraints")
    if context.method == "DELETE":
        if not roles_of(context.instance, context.user) & {"change_manager", "admin"}:
            raise ApiError(403, "User Not Authorized", "Failed API level ACL Validation")
        context.instance.store.remove(TABLE, record["sys_id"])
        return Response(status_code=204)
    if context.method != "PATCH":
        raise ApiError(405, "Method not supported")
    sent, ignored = await _sent(context)
    try:
        changed = business_rules.update(
            context.instance.store, context.instance.switches, TABLE, record, sent, context.user
        )
    except business_rules.WriteRefused as refusal:
        raise ApiError(403, f"Change Request record could not be updated. {refusal}", "") from refusal
    return JSONResponse({"result": _shaped(context, TABLE, changed) | {"__meta": {"ignoredFields": ignored}}})


def _list(context: RequestContext, kind: str) -> Response:
    reader = RowAcl(context.instance, context.user, TABLE)
    rows = [
        row for row in matching_rows(context, TABLE) if reader.may_read(row) and row["type"] == (kind or row["type"])
    ]
    start, limit = number_option(context, "sysparm_offset", 0), number_option(context, "sysparm_limit", 500)
    return JSONResponse({"result": [_shaped(context, TABLE, row) for row in rows[start : start + limit]]})


def _models(context: RequestContext) -> Response:
    reader = RowAcl(context.instance, context.user, "chg_model")
    rows = [row for row in context.instance.store.rows("chg_model") if reader.may_read(row)]
    return JSONResponse({"result": [_shaped(context, "chg_model", row) for row in rows]})


def _one(context: RequestContext, sys_id: str) -> Record:
    record = context.instance.store.get(TABLE, sys_id)
    if record is None or not RowAcl(context.instance, context.user, TABLE).may_read(record):
        raise ApiError(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
    return record


async def _sent(context: RequestContext) -> tuple[Record, list[str]]:
    """Return the fields of body and address, and the names of those that are not kept, for `__meta.ignoredFields`."""
    # Fields may come as query parameters: docs/facts/servicenow.md#3-5-change-management
    content: dict[str, Any] = {
        name: value for name, value in context.request.query_params.items() if not name.startswith("sysparm_")
    }
    if await context.request.body():
        content |= await context.content()
    known = fields_of(context.instance.store, TABLE)
    sent = sent_fields(context, TABLE, {name: value for name, value in content.items() if name in known})
    sent.pop("sys_id", None)
    kept = business_rules.kept_values(context.instance.store, context.instance.switches, TABLE, sent)
    return sent, [name for name in content if name not in kept and not (name in JOURNALS and name in sent)]


def _about(context: RequestContext, record: Record, what: str) -> Response:
    if context.method != "GET":
        raise ApiError(405, "Method not supported")
    match what:
        case "nextstates":
            return JSONResponse({"result": _next_states(context, record)})
        case "conflict":
            # The documented example has status Conflict with an empty list: docs/facts/servicenow.md#3-5-change-management
            return JSONResponse({"result": {"status": "Conflict", "conflicts": []}})
        case "task" | "approvals" | "schedule":
            return JSONResponse({"result": []})
        case _:
            raise ApiError(400, "Requested URI does not represent any resource")


def _next_states(context: RequestContext, record: Record) -> dict[str, Any]:
    labels, state = labels_of(context.instance, TABLE, "state"), record["state"]
    there = change_models.next_states(context.instance.store, record)
    transitions = [
        {
            "sys_id": "",
            "display_value": f"{labels.get(state, state)} to {labels.get(to, to)}",
            "from_state": state,
            "to_state": to,
            "transition_available": True,
            "automatic_transition": False,
            "conditions": [],
        }
        for to in there
    ]
    return {
        "available_states": [*there, state],
        "state_transitions": [[transition] for transition in transitions],
        "state_label": {value: labels.get(value, value) for value in (*there, state)},
    }


def _shaped(context: RequestContext, table: str, record: Record) -> dict[str, Any]:
    # See docs/facts/servicenow.md#sandbox-41 and #trap-17: numbers and booleans where the Table API sends strings.
    answer: dict[str, Any] = {}
    hidden = context.instance.switches.listed("unreadable_fields")
    for name in fields_of(context.instance.store, table):
        if name in hidden or name in JOURNALS:
            continue
        value = record.get(name, "")
        shown = labels_of(context.instance, table, name).get(value, value)
        answer[name] = {"display_value": shown, "value": _typed(name, value)}
        if name in TIMES:
            internal = display_time(value, {"time_zone": context.user["time_zone"]})
            answer[name] |= {"display_value": display_time(value, context.user), "display_value_internal": internal}
        elif name in REFERENCES and value != "global":
            linked = context.instance.store.get(REFERENCES[name], value) or {}
            answer[name]["display_value"] = linked.get("name") or linked.get("number", "")
    return answer


def _typed(name: str, value: str) -> str | float | bool:
    if name in FLAGS:
        return value == "true"
    # Numbers are floats: docs/facts/servicenow.md#3-5-change-management
    if name in NUMBERS and value.lstrip("-").isdigit():
        return float(value)
    return value
