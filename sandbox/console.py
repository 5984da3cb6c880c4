"""A page to look at records, move a ticket's state as an agent would, order faults, and read the journal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.faults import FAULTS, Fault
from sandbox.pages import page
from sandbox.servicenow import rules
from sandbox.servicenow.instance import Instance
from sandbox.servicenow.oauth import instance_of
from sandbox.servicenow.schema import FAMILIES, FIELDS, set_family
from sandbox.servicenow.store import Record

TABLES = ("change_request", "incident")


async def home(request: Request) -> Response:
    """Every ticket, newest first, with a form to move it."""
    instance = instance_of(request)
    tickets = [_line(instance, table, row) for table in TABLES for row in instance.store.rows(table)]
    tickets.sort(key=lambda line: line["record"]["sys_created_on"] + line["record"]["number"], reverse=True)
    return page(request, "console.html", tickets=tickets, settings=instance.settings)


async def record(request: Request) -> Response:
    """One record, whole: where links to a record lead."""
    instance = instance_of(request)
    table, row = _find(instance, request.path_params.get("table", ""), request.query_params.get("sys_id", ""))
    return page(request, "record.html", line=_line(instance, table, row), fields=FIELDS[table])


async def navigate(request: Request) -> Response:
    """`/nav_to.do?uri=incident.do?sys_id=…`: the classic link to a record."""
    uri = request.query_params.get("uri", "")
    table, _, query = uri.partition(".do?")
    if table not in TABLES:
        raise HTTPException(404, "There is no such page in this instance.")
    return RedirectResponse(f"/{table}.do?{query}", 302)


async def move(request: Request) -> Response:
    """Set fields as the agent `fred.luddy` would; a rule that stops it is shown, not hidden."""
    instance = instance_of(request)
    form = {name: str(value) for name, value in (await request.form()).items()}
    table, row = _find(instance, form.get("table", ""), form.get("sys_id", ""))
    sent = {name: form[name] for name in ("state", "close_code", "close_notes") if form.get(name)}
    agent = instance.store.find("sys_user", user_name="fred.luddy") or {"user_name": "fred.luddy"}
    try:
        rules.update(instance.store, instance.switches, table, row, sent, agent)
    except rules.Refusal as refusal:
        return page(
            request, "record.html", 403, line=_line(instance, table, row, str(refusal)), fields=FIELDS[table]
        )  # fmt: skip
    return RedirectResponse(form.get("back") or "/_sandbox/", 303)


async def journal(request: Request) -> Response:
    """The requests received, newest first."""
    return page(request, "journal.html", entries=instance_of(request).journal.newest_first())


async def trouble(request: Request) -> Response:
    """Switches and faults as forms."""
    instance = instance_of(request)
    if request.method == "POST":
        form = {name: str(value) for name, value in (await request.form()).items()}
        if form.get("fault"):
            instance.orders.order(Fault(form["fault"], max(1, int(form.get("times") or 1)), form.get("method", "")))
        elif form.get("switch"):
            name = form["switch"]
            instance.switches.change({name: not getattr(instance.switches, name)})
        elif form.get("family") in FAMILIES:
            set_family(instance.store, form["family"])
        elif form.get("forget") == "faults":
            instance.orders.waiting.clear()
        return RedirectResponse("/_sandbox/trouble", 303)
    switches = {name: value for name, value in vars(instance.switches).items() if isinstance(value, bool)}
    return page(
        request, "trouble.html", switches=switches, faults=FAULTS, waiting=instance.orders.waiting, families=FAMILIES
    )


async def tokens(request: Request) -> Response:
    """15: clients and tokens, with Revoke Access."""
    instance = instance_of(request)
    if request.method == "POST":
        sys_id = str((await request.form()).get("sys_id", ""))
        instance.store.remove("oauth_credential", sys_id)
        return RedirectResponse("/_sandbox/tokens", 303)
    names = {row["sys_id"]: row["user_name"] for row in instance.store.rows("sys_user")}
    return page(
        request,
        "tokens.html",
        clients=list(instance.store.rows("oauth_entity")),
        credentials=list(instance.store.rows("oauth_credential")),
        names=names,
        now=instance.store.now_text(),
    )


async def control(request: Request) -> Response:
    """The same for tests, as JSON: journal, switches, faults, clock, reset, and fields set behind the API's back."""
    instance = instance_of(request)
    what = request.path_params["what"]
    if request.method == "GET":
        return _tell(instance, what)
    content: dict[str, Any] = await request.json() if await request.body() else {}
    try:
        _do(instance, what, content)
    except (ValueError, TypeError) as error:
        return JSONResponse({"error": str(error)}, 400)
    return JSONResponse({"ok": True})


def _tell(instance: Instance, what: str) -> Response:
    match what:
        case "journal":
            return JSONResponse([entry.as_json() for entry in instance.journal])
        case "switches":
            return JSONResponse(vars(instance.switches))
        case "records":
            return JSONResponse({table: list(instance.store.rows(table)) for table in TABLES})
        case _:
            raise HTTPException(404)


def _do(instance: Instance, what: str, content: dict[str, Any]) -> None:
    match what:
        case "reset":
            instance.reset()
        case "switches":
            instance.switches.change(content)
        case "faults":
            instance.orders.order(Fault(**content))
        case "clock":
            instance.store.ahead += timedelta(seconds=float(content["seconds"]))
        case "journal":
            instance.journal.clear()
        case "family":
            set_family(instance.store, str(content["family"]))
        case "records":
            _set_fields(instance, content)
        case _:
            raise ValueError(f"nothing is called {what}")


def _set_fields(instance: Instance, content: dict[str, Any]) -> None:
    """`{"number", "fields", "silent"?, "by"?}`: as an agent, with all rules, or as a script, with none."""
    for table in TABLES:
        row = instance.store.find(table, number=str(content["number"]))
        if row is None:
            continue
        if content.get("delete"):
            instance.store.remove(table, row["sys_id"])
            return
        if "hidden" in content:
            instance.store.put(table, row | {"_hidden": "true" if content["hidden"] else ""})
            return
        agent = instance.store.find("sys_user", user_name=str(content.get("by", "fred.luddy")))
        if agent is None:
            raise ValueError("there is no such user")
        sent = {str(name): str(value) for name, value in content["fields"].items()}
        try:
            silent = bool(content.get("silent"))
            rules.update(instance.store, instance.switches, table, row, sent, agent, silent=silent)
        except rules.Refusal as refusal:
            raise ValueError(str(refusal)) from refusal
        return
    raise ValueError("there is no record with this number")


def _find(instance: Instance, table: str, sys_id: str) -> tuple[str, Record]:
    row = instance.store.get(table, sys_id) if table in TABLES else None
    if row is None:
        raise HTTPException(404, "There is no such record in this instance.")
    return table, row


def _line(instance: Instance, table: str, row: Record, refusal: str = "") -> dict[str, Any]:
    states = {
        choice["value"]: choice["label"]
        for choice in instance.store.rows("sys_choice")
        if choice["name"] == table and choice["element"] == "state"
    }
    codes = [
        choice["value"]
        for choice in instance.store.rows("sys_choice")
        if choice["name"] == table and choice["element"] == "close_code"
    ]
    allowed = rules.next_states(row) if table == "change_request" else [s for s in states if s != row["state"]]
    opener = instance.store.get("sys_user", row["opened_by"]) or {}
    return {
        "table": table,
        "record": row,
        "state": states.get(row["state"], row["state"]),
        "next": [(value, states.get(value, value)) for value in allowed],
        "codes": codes,
        "opened_by": opener.get("user_name", ""),
        "refusal": refusal,
        "needs_close": table == "incident",
    }


ROUTES = [
    Route("/_sandbox/", home),
    Route("/_sandbox/move", move, methods=["POST"]),
    Route("/_sandbox/journal.html", journal),
    Route("/_sandbox/trouble", trouble, methods=["GET", "POST"]),
    Route("/_sandbox/tokens", tokens, methods=["GET", "POST"]),
    Route("/_sandbox/{what}", control, methods=["GET", "POST"]),
    Route("/nav_to.do", navigate),
    Route("/{table}.do", record),
]
