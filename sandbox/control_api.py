"""Control API of the ServiceNow sandbox (JSON, for tests). Everything the console can do, and more. Serves no ServiceNow API."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.faults import Fault
from sandbox.servicenow import business_rules, change_models
from sandbox.servicenow.browser_session import instance_of
from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.seeds import add_choices, add_column, set_family, set_roles
from sandbox.servicenow.store import Record
from sandbox.servicenow.table_schema import FAMILIES, JOURNALS, PREFIXES, TICKETS, stamp

AGENT = "fred.luddy"
MAX_FILLED = 50_000


async def control(request: Request) -> Response:
    """Handle `GET` or `POST /_sandbox/{what}`. An invalid command is answered 400 with `{"error": reason}`."""
    instance = instance_of(request)
    what = request.path_params["what"]
    if request.method == "GET":
        return JSONResponse(_read(instance, what, dict(request.query_params)))
    content: dict[str, Any] = await request.json() if await request.body() else {}
    command = COMMANDS.get(what)
    if command is None:
        return JSONResponse({"error": f"nothing is called {what}"}, 400)
    try:
        answer = command(instance, content)
    except (ValueError, TypeError, KeyError) as error:
        return JSONResponse({"error": str(error)}, 400)
    return JSONResponse({"ok": True} | (answer or {}))


def _read(instance: SandboxInstance, what: str, params: dict[str, str]) -> Any:  # noqa: ANN401 - JSON.
    match what:
        case "journal":
            wanted = {name: params[name] for name in ("text", "method", "status") if name in params}
            return [entry.as_json() for entry in instance.journal if entry.matches(**wanted, faults="faults" in params)]
        case "counts":
            return instance.journal.counts
        case "switches":
            return instance.switches.describe() if "explain" in params else vars(instance.switches)
        case "faults":
            waiting = [fault.as_json() for fault in instance.orders.waiting]
            return {"waiting": waiting, "struck": instance.orders.struck}
        case "client":
            found = instance.store.find("oauth_entity", client_id=instance.settings.client_id) or {}
            return {name: value for name, value in found.items() if name != "client_secret"}
        case "records":
            return {table: _rows(instance, table, params.get("fields", "")) for table in TICKETS}
        case "notes":
            return list(instance.store.rows("sys_journal_field"))
        case _:
            raise HTTPException(404)


def _rows(instance: SandboxInstance, table: str, fields: str) -> list[Record]:
    """Return the rows as stored, without ACLs; `fields` is a comma list of wanted columns, empty for all."""
    wanted = [name for name in fields.split(",") if name]
    rows = instance.store.rows(table)
    return [{name: row.get(name, "") for name in wanted} for row in rows] if wanted else list(rows)


def _reset(instance: SandboxInstance, _content: dict[str, Any]) -> None:
    instance.reset()


def _switches(instance: SandboxInstance, content: dict[str, Any]) -> None:
    instance.switches.change(content)


def _faults(instance: SandboxInstance, content: dict[str, Any]) -> None:
    """Body: the members of one `Fault`, or `{"clear": true}`."""
    if content.get("clear"):
        instance.orders.cancel()
    else:
        instance.orders.order(Fault(**content))


def _clock(instance: SandboxInstance, content: dict[str, Any]) -> None:
    """Body: `{"seconds"}`. Moves the instance's time forward, which also expires tokens."""
    instance.store.clock_offset += timedelta(seconds=float(content["seconds"]))


def _journal(instance: SandboxInstance, _content: dict[str, Any]) -> None:
    instance.journal.clear()


def _family(instance: SandboxInstance, content: dict[str, Any]) -> None:
    family = str(content["family"])
    if not family.isalpha():
        raise ValueError(f"a family is one word, such as {FAMILIES[-1]}")
    set_family(instance.store, family)


def _records(instance: SandboxInstance, content: dict[str, Any]) -> None:
    """Body: `{"number", "fields", "silent"?, "by"?}`: update as an agent with all rules, or `silent` as a script with none.

    `{"number", "hidden"}` hides or shows a record, `{"number", "delete": true}` deletes it.
    """
    table, row = find_number(instance, str(content["number"]))
    if content.get("delete"):
        instance.store.remove(table, row["sys_id"])
        return
    if "hidden" in content:
        instance.store.put(table, row | {"_hidden": "true" if content["hidden"] else ""})
        return
    sent = {str(name): str(value) for name, value in content["fields"].items()}
    user = _acting_user(instance, content)
    _check_values(instance, table, sent)
    _update(instance, table, row, sent, user, silent=bool(content.get("silent")))


def _check_values(instance: SandboxInstance, table: str, sent: Record) -> None:
    """Raise ValueError for fields that the table would not keep: an order that changes nothing is a mistake in a test."""
    kept = business_rules.kept_values(instance.store, instance.switches, table, sent)
    lost = [f"{name}={value[:40]}" for name, value in sent.items() if name not in kept and name not in JOURNALS]
    if lost:
        raise ValueError(f"{table} does not keep {', '.join(lost)}")


def _notes(instance: SandboxInstance, content: dict[str, Any]) -> None:
    """Body: `{"number", "text", "element"?, "by"?}`: another user writes a work note or a comment."""
    table, row = find_number(instance, str(content["number"]))
    element = str(content.get("element", "work_notes"))
    if element not in JOURNALS:
        raise ValueError(f"an element is {' or '.join(JOURNALS)}")
    _update(instance, table, row, {element: str(content["text"])}, _acting_user(instance, content))


def change_user(instance: SandboxInstance, content: dict[str, Any]) -> None:
    """Body: `{"user_name", …}`: update or create a user; `roles` is a comma list."""
    name = str(content["user_name"])
    try:
        ZoneInfo(str(content.get("time_zone") or "UTC"))
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise ValueError("there is no such time zone") from error
    fields = {key: str(value) for key, value in content.items() if key not in ("roles", "user_name")}
    found = instance.store.find("sys_user", user_name=name)
    if found is None:
        found = {
            "user_name": name, "name": name, "active": "true", "time_zone": "UTC", "_roles": "", "locked_out": "false",
            "web_service_access_only": "false", "password_needs_reset": "false",
            "user_password": instance.settings.password,
        }  # fmt: skip
    user = stamp(instance.store, "sys_user", found | fields, by="admin")
    if "roles" in content:
        set_roles(instance.store, user, str(content["roles"]))


def _client(instance: SandboxInstance, content: dict[str, Any]) -> None:
    """Update fields of the connector's client record: redirect_url, client_secret, active, lifespans."""
    found = instance.store.find("oauth_entity", client_id=instance.settings.client_id)
    if found is None:
        raise ValueError("there is no client record")
    unknown = set(content) - set(found)
    if unknown:
        raise ValueError(f"a client record has no {', '.join(sorted(unknown))}")
    stamp(instance.store, "oauth_entity", found | {key: str(value) for key, value in content.items()}, by="admin")


def _choices(instance: SandboxInstance, content: dict[str, Any]) -> None:
    """Body: `{"table", "element", "value", "label", "language"?, "inactive"?, "another"?}`: add a choice or relabel one.

    `another` adds a further row of a value that the list has already.
    """
    table, element, value = str(content["table"]), str(content["element"]), str(content["value"])
    language = str(content.get("language", "en"))
    found = instance.store.find("sys_choice", name=table, element=element, value=value, language=language)
    if found is None or content.get("another"):
        found = add_choices(instance.store, table, element, ((value, str(content["label"])),), language, start=900)[0]
    changes = {"label": str(content.get("label", found["label"]))}
    changes["inactive"] = "true" if content.get("inactive") else "false"
    stamp(instance.store, "sys_choice", found | changes, by="admin")


def _models(instance: SandboxInstance, content: dict[str, Any]) -> None:
    """Body: `{"name", "states"?, "active"?}`: add a change model or change one; `states` maps each state to those that follow."""
    name = str(content["name"])
    found = instance.store.find("chg_model", name=name) or change_models.model_row(name, "", change_models.REGISTRATION)
    if "states" in content:
        walk = {str(state): [str(one) for one in there] for state, there in content["states"].items()}
        found = found | {"_walk": json.dumps(walk)}
    active = "true" if content.get("active", True) else "false"
    stamp(instance.store, "chg_model", found | {"active": active}, by="admin")


def _columns(instance: SandboxInstance, content: dict[str, Any]) -> None:
    """Body: `{"table", "name", "label"?, "kind"?, "length"?}`: add a custom column."""
    table, name = str(content["table"]), str(content["name"])
    if table not in TICKETS or not name.startswith("u_") or not name.isidentifier():
        raise ValueError(f"a column of the site's own is of {' or '.join(TICKETS)} and begins with u_")
    label, kind = str(content.get("label", "")), str(content.get("kind", "string"))
    add_column(instance.store, table, name, label, kind, int(content.get("length", 40)))


def _groups(instance: SandboxInstance, content: dict[str, Any]) -> None:
    """Body: `{"name", "description"?, "active"?}`: add a group or update one."""
    found = instance.store.find("sys_user_group", name=str(content["name"])) or {"active": "true"}
    stamp(instance.store, "sys_user_group", found | {key: str(value) for key, value in content.items()}, by="admin")


def _fill(instance: SandboxInstance, content: dict[str, Any]) -> dict[str, Any]:
    """Body: `{"table", "count", "fields"?, "changed_hours_ago"?, "by"?}`: insert many tickets for measurements.

    `{n}` in a value is the index; `by` is the login name of who makes them, such as a busy integration user.
    """
    table, count = str(content["table"]), int(content["count"])
    if table not in TICKETS or not 1 <= count <= MAX_FILLED:
        raise ValueError(f"up to {MAX_FILLED} records of {' or '.join(TICKETS)}")
    fields = {"short_description": "Filled in {n}"} | {str(k): str(v) for k, v in content.get("fields", {}).items()}
    store, user = instance.store, _acting_user(instance, content)
    _check_values(instance, table, fields)
    before = store.clock_offset
    store.clock_offset = before - timedelta(hours=float(content.get("changed_hours_ago", 0)))
    try:
        with store.one_transaction():
            made = [
                business_rules.insert(
                    store, instance.switches, table, {k: v.replace("{n}", str(n)) for k, v in fields.items()}, user
                )["sys_id"]
                for n in range(count)
            ]
    finally:
        store.clock_offset = before
    return {"sys_ids": made}


def find_number(instance: SandboxInstance, number: str) -> tuple[str, Record]:
    """Return (table, record) of a ticket number. Raises ValueError when no table has it."""
    for table in PREFIXES:
        row = instance.store.find(table, number=number)
        if row is not None:
            return table, row
    raise ValueError("there is no record with this number")


def _acting_user(instance: SandboxInstance, content: dict[str, Any]) -> Record:
    user = instance.store.find("sys_user", user_name=str(content.get("by", AGENT)))
    if user is None:
        raise ValueError("there is no such user")
    return user


def _update(
    instance: SandboxInstance, table: str, row: Record, sent: Record, user: Record, *, silent: bool = False
) -> None:
    try:
        business_rules.update(instance.store, instance.switches, table, row, sent, user, silent=silent)
    except business_rules.WriteRefused as refusal:
        raise ValueError(str(refusal)) from refusal


COMMANDS: dict[str, Callable[[SandboxInstance, dict[str, Any]], dict[str, Any] | None]] = {
    "reset": _reset,
    "switches": _switches,
    "faults": _faults,
    "clock": _clock,
    "journal": _journal,
    "family": _family,
    "records": _records,
    "notes": _notes,
    "users": change_user,
    "client": _client,
    "choices": _choices,
    "models": _models,
    "columns": _columns,
    "groups": _groups,
    "fill": _fill,
}
