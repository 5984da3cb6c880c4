"""The Change Management API (facts 3.5): typed values, labels beside them, ignored fields named, and next states."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.servicenow import rules
from sandbox.servicenow.access import Reader, may_write, roles_of
from sandbox.servicenow.call import Call, Problem, answered, as_text
from sandbox.servicenow.schema import FLAGS, JOURNALS, NUMBERS, REFERENCES, TIMES, fields_of
from sandbox.servicenow.shapes import labels_of, local_time
from sandbox.servicenow.store import Record
from sandbox.servicenow.tables import matching_rows

TABLE = "change_request"
# facts 3.5: the granular write role is not enough here, although it is for the Table API.
READ_ROLES = {"change_manager", "itil", "sn_change_read", "admin"}
WRITE_ROLES = {"change_manager", "itil", "admin"}
TYPES = ("normal", "emergency", "standard")


async def handle(request: Request) -> Response:
    """Any call to /api/sn_chg_rest/[v1/]change…"""
    return await answered(request, "Change Management API", _change_call)


async def _change_call(call: Call) -> Response:
    parts = [part for part in call.request.path_params["path"].split("/") if part]
    if parts and parts[0] == "v1":
        parts.pop(0)
    if not parts or parts.pop(0) != "change":
        raise Problem(400, "Requested URI does not represent any resource")
    wanted = READ_ROLES if call.method in ("GET", "HEAD") else WRITE_ROLES
    if not wanted & roles_of(call.instance, call.user):
        raise Problem(403, "User Not Authorized", "Failed API level ACL Validation")
    kind = parts.pop(0) if parts and parts[0] in TYPES else ""
    if call.method == "POST" and (not parts or kind == "standard"):
        return await _create(call, kind)
    if call.method == "GET" and not parts:
        return _list(call, kind)
    if not parts:
        raise Problem(405, "Method not supported")
    record = _one(call, parts[0])
    if len(parts) == 1:
        return await _single(call, record)
    return _about(call, record, parts[1])


async def _create(call: Call, kind: str) -> Response:
    """200, not 201. The kinds' own paths answer with a list, the plain one with an object."""
    if not may_write(call.instance, call.user, TABLE, "create"):
        raise Problem(403, "Change Request record could not be created", "Insert failed due to security constraints")
    sent, ignored = await _sent(call)
    if kind:
        sent["type"] = kind
    record = rules.insert(call.instance.store, call.instance.switches, TABLE, sent, call.user)
    shaped = _shaped(call, record) | {"__meta": {"ignoredFields": ignored}}
    return JSONResponse({"result": [shaped] if kind else shaped})


async def _single(call: Call, record: Record) -> Response:
    if call.method == "GET":
        return JSONResponse({"result": _shaped(call, record)})
    action = "delete" if call.method == "DELETE" else "write"
    if not may_write(call.instance, call.user, TABLE, action):
        raise Problem(403, "Change Request record could not be updated", "Update failed due to security constraints")
    if call.method == "DELETE":
        if not roles_of(call.instance, call.user) & {"change_manager", "admin"}:
            raise Problem(403, "User Not Authorized", "Failed API level ACL Validation")
        call.instance.store.remove(TABLE, record["sys_id"])
        return Response(status_code=204)
    if call.method != "PATCH":
        raise Problem(405, "Method not supported")
    sent, ignored = await _sent(call)
    try:
        changed = rules.update(call.instance.store, call.instance.switches, TABLE, record, sent, call.user)
    except rules.Refusal as refusal:
        raise Problem(403, f"Change Request record could not be updated. {refusal}", "") from refusal
    return JSONResponse({"result": _shaped(call, changed) | {"__meta": {"ignoredFields": ignored}}})


def _list(call: Call, kind: str) -> Response:
    reader = Reader(call.instance, call.user, TABLE)
    rows = [row for row in matching_rows(call, TABLE) if reader.may_read(row) and row["type"] == (kind or row["type"])]
    start, limit = int(call.option("sysparm_offset", "0")), int(call.option("sysparm_limit", "500"))
    return JSONResponse({"result": [_shaped(call, row) for row in rows[start : start + limit]]})


def _one(call: Call, sys_id: str) -> Record:
    record = call.instance.store.get(TABLE, sys_id)
    if record is None or not Reader(call.instance, call.user, TABLE).may_read(record):
        raise Problem(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
    return record


async def _sent(call: Call) -> tuple[Record, list[str]]:
    """The fields the table has, and the names of those it has not."""
    content = await call.content()
    known = fields_of(call.instance.store, TABLE)
    return (
        {name: as_text(value) for name, value in content.items() if name in known},
        [name for name in content if name not in known or name.startswith("sys_")],
    )


def _about(call: Call, record: Record, what: str) -> Response:
    if call.method != "GET":
        raise Problem(405, "Method not supported")
    match what:
        case "nextstates":
            return JSONResponse({"result": _next_states(call, record)})
        case "conflict":
            # The vendor's answer says Conflict even when there is none (facts 3.5).
            return JSONResponse({"result": {"status": "Conflict", "conflicts": []}})
        case "task" | "approvals" | "schedule":
            return JSONResponse({"result": []})
        case _:
            raise Problem(400, "Requested URI does not represent any resource")


def _next_states(call: Call, record: Record) -> dict[str, Any]:
    """Where the change may go, and the labels of those states."""
    labels, state = labels_of(call.instance, TABLE, "state"), record["state"]
    there = rules.next_states(record)
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


def _shaped(call: Call, record: Record) -> dict[str, Any]:
    """41: values are numbers and booleans where the Table API has strings."""
    answer: dict[str, Any] = {}
    hidden = call.instance.switches.lists("unreadable_fields")
    for name in fields_of(call.instance.store, TABLE):
        if name in hidden or name in JOURNALS:
            continue
        value = record.get(name, "")
        labels = labels_of(call.instance, TABLE, name) if name in NUMBERS or name == "type" else {}
        answer[name] = {"display_value": labels.get(value, value), "value": _typed(name, value)}
        if name in TIMES:
            internal = local_time(value, {"time_zone": call.user["time_zone"]})
            answer[name] |= {"display_value": local_time(value, call.user), "display_value_internal": internal}
        elif name in REFERENCES:
            linked = call.instance.store.get(REFERENCES[name], value) or {}
            answer[name]["display_value"] = linked.get("name", "")
    return answer


def _typed(name: str, value: str) -> str | int | bool:
    if name in FLAGS:
        return value == "true"
    if name in NUMBERS and value.lstrip("-").isdigit():
        return int(value)
    return value
