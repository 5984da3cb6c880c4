"""Console pages of the ServiceNow sandbox: tickets, users, tokens, faults, switches, journal. Never called by the product."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.control_api import AGENT, change_user, control
from sandbox.faults import FAULTS, Fault
from sandbox.page_rendering import render_page
from sandbox.servicenow import business_rules, change_models
from sandbox.servicenow.browser_session import instance_of
from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.record_shapes import labels_of
from sandbox.servicenow.seeds import set_family
from sandbox.servicenow.store import Record
from sandbox.servicenow.table_schema import FAMILIES, JOURNALS, TICKETS, fields_of

SHOWN = 200


async def ticket_list(request: Request) -> Response:
    instance, wanted = instance_of(request), request.query_params.get("q", "").strip().lower()
    rows = [(table, row) for table in TICKETS for row in instance.store.rows(table) if _matches_search(row, wanted)]
    rows.sort(key=lambda pair: pair[1]["sys_created_on"] + pair[1]["number"], reverse=True)
    return render_page(
        request, "tickets.html", tickets=[_line(instance, table, row) for table, row in rows[:SHOWN]], total=len(rows),
        settings=instance.settings, q=wanted, changed=instance.switches.changed(),
    )  # fmt: skip


def _matches_search(row: Record, wanted: str) -> bool:
    return not wanted or any(wanted in row[name].lower() for name in ("number", "short_description", "correlation_id"))


async def record(request: Request) -> Response:
    """Show one record with all its fields; deep links written by the product lead here."""
    # See docs/facts/servicenow.md#4-5-links-to-a-record
    instance = instance_of(request)
    table, row = _find(instance, request.path_params.get("table", ""), request.query_params.get("sys_id", ""))
    return _record_page(request, instance, table, row)


def _record_page(request: Request, instance: SandboxInstance, table: str, row: Record, refusal: str = "") -> Response:
    notes = [
        entry | {"label": JOURNALS[entry["element"]]}
        for entry in instance.store.find_all("sys_journal_field", element_id=row["sys_id"])
    ]
    return render_page(
        request, "record.html", 403 if refusal else 200, line=_line(instance, table, row, refusal),
        fields=fields_of(instance.store, table), notes=notes[::-1],
    )  # fmt: skip


async def navigate(request: Request) -> Response:
    """Redirect `/nav_to.do?uri=incident.do?sys_id=…`, the classic link to a record."""
    # See docs/facts/servicenow.md#4-5-links-to-a-record
    uri = request.query_params.get("uri", "")
    table, _, query = uri.partition(".do?")
    if table not in TICKETS:
        raise HTTPException(404, "There is no such page in this instance.")
    return RedirectResponse(f"/{table}.do?{query}", 302)


async def move_ticket(request: Request) -> Response:
    """Update a ticket as the agent `fred.luddy`; a business rule's refusal is shown on the record's page."""
    instance = instance_of(request)
    form = {name: str(value) for name, value in (await request.form()).items()}
    table, row = _find(instance, form.get("table", ""), form.get("sys_id", ""))
    names = ("state", "close_code", "close_notes", *JOURNALS)
    sent = {name: form[name] for name in names if form.get(name)}
    agent = instance.store.find("sys_user", user_name=AGENT) or {"user_name": AGENT}
    try:
        business_rules.update(instance.store, instance.switches, table, row, sent, agent)
    except business_rules.WriteRefused as refusal:
        return _record_page(request, instance, table, row, str(refusal))
    return RedirectResponse(form.get("back") or "/_sandbox/", 303)


async def hide_or_delete(request: Request) -> Response:
    """Hide a record, show it again, or delete it, bypassing the API."""
    # See docs/facts/servicenow.md#sandbox-50: a deleted and a hidden record look the same to an API caller.
    instance = instance_of(request)
    form = {name: str(value) for name, value in (await request.form()).items()}
    table, row = _find(instance, form.get("table", ""), form.get("sys_id", ""))
    if form.get("how") == "delete":
        instance.store.remove(table, row["sys_id"])
        return RedirectResponse("/_sandbox/", 303)
    instance.store.put(table, row | {"_hidden": "true" if form.get("how") == "hide" else ""})
    return RedirectResponse(f"/{table}.do?sys_id={row['sys_id']}", 303)


async def users(request: Request) -> Response:
    """Users with their roles and flags, each with a form to change them."""
    instance, wrong = instance_of(request), ""
    if request.method == "POST":
        form = {name: str(value) for name, value in (await request.form()).items()}
        try:
            change_user(instance, form)
        except (ValueError, KeyError) as error:
            wrong = str(error)
        else:
            return RedirectResponse("/_sandbox/people", 303)
    return render_page(
        request, "users.html", 400 if wrong else 200, people=list(instance.store.rows("sys_user")),
        roles=list(instance.store.rows("sys_user_role")), wrong=wrong,
    )  # fmt: skip


async def journal(request: Request) -> Response:
    """List received requests, newest first, filtered by text, method, status and faults."""
    if request.method == "POST":
        instance_of(request).journal.clear()
        return RedirectResponse("/_sandbox/journal.html", 303)
    params = request.query_params
    wanted, faults = {name: params.get(name, "") for name in ("text", "method", "status")}, bool(params.get("faults"))
    entries = [entry for entry in instance_of(request).journal.newest_first() if entry.matches(**wanted, faults=faults)]
    return render_page(
        request, "request_journal.html", entries=entries[:SHOWN], total=len(entries), wanted=wanted, faults=faults
    )


async def faults_and_switches(request: Request) -> Response:
    instance = instance_of(request)
    wrong = ""
    if request.method == "POST":
        form = {name: str(value) for name, value in (await request.form()).items()}
        try:
            _apply_form(instance, form)
        except (ValueError, TypeError) as error:
            wrong = str(error)
        else:
            return RedirectResponse(f"/_sandbox/faults.html{form.get('anchor', '')}", 303)
    return render_page(
        request, "faults.html", 400 if wrong else 200, groups=instance.switches.describe(), faults=FAULTS,
        waiting=instance.orders.waiting, struck=instance.orders.struck, families=FAMILIES,
        family=_family(instance), tables=TICKETS, wrong=wrong,
    )  # fmt: skip


def _apply_form(instance: SandboxInstance, form: dict[str, str]) -> None:
    if form.get("fault"):
        instance.orders.order(
            Fault(
                form["fault"],
                times=int(form.get("times") or 1),
                method=form.get("method", ""),
                table=form.get("table", ""),
                place=form.get("place", ""),
                probability=float(form.get("probability") or 100) / 100,
                seed=int(form.get("seed") or 0),
                seconds=float(form.get("seconds") or 45),
                retry_after=form.get("retry_after", "7"),
            )
        )
    elif form.get("switch"):
        instance.switches.read(form["switch"], form.get("value"))
    elif form.get("family") in FAMILIES:
        set_family(instance.store, form["family"])
    elif form.get("forget") == "faults":
        instance.orders.cancel()
    elif form.get("reset") == "switches":
        instance.switches.reset()
    elif form.get("reset") == "all":
        instance.reset()


async def tokens(request: Request) -> Response:
    """List OAuth clients and tokens, revoke a token, or move the clock forward."""
    # See docs/facts/servicenow.md#sandbox-15
    instance = instance_of(request)
    if request.method == "POST":
        form = await request.form()
        if form.get("hours"):
            instance.store.clock_offset += timedelta(hours=int(str(form["hours"])))
        else:
            instance.store.remove("oauth_credential", str(form.get("sys_id", "")))
        return RedirectResponse("/_sandbox/tokens", 303)
    names = {row["sys_id"]: row["user_name"] for row in instance.store.rows("sys_user")}
    return render_page(
        request,
        "tokens.html",
        clients=list(instance.store.rows("oauth_entity")),
        credentials=list(instance.store.rows("oauth_credential")),
        names=names,
        live={row["sys_id"] for row in instance.store.rows("oauth_credential") if instance.is_live(row)},
    )


def _family(instance: SandboxInstance) -> str:
    found = instance.store.find("sys_properties", name="glide.buildname")
    return found["value"].lower() if found else ""


def _find(instance: SandboxInstance, table: str, sys_id: str) -> tuple[str, Record]:
    row = instance.store.get(table, sys_id) if table in TICKETS else None
    if row is None:
        raise HTTPException(404, "There is no such record in this instance.")
    return table, row


def _line(instance: SandboxInstance, table: str, row: Record, refusal: str = "") -> dict[str, Any]:
    states = labels_of(instance, table, "state")
    if table == change_models.TABLE:
        allowed = list(change_models.next_states(instance.store, row))
    else:
        allowed = [state for state in states if state != row["state"]]
    opener = instance.store.get("sys_user", row["opened_by"]) or {}
    return {
        "table": table,
        "record": row,
        "state": states.get(row["state"], row["state"]),
        "next": [(value, states.get(value, value)) for value in allowed],
        "codes": list(labels_of(instance, table, "close_code")),
        "opened_by": opener.get("user_name", ""),
        "refusal": refusal,
        "needs_close": table == "incident",
        "is_hidden": row.get("_hidden") == "true",
    }


ROUTES = [
    Route("/_sandbox/", ticket_list),
    Route("/_sandbox/move", move_ticket, methods=["POST"]),
    Route("/_sandbox/vanish", hide_or_delete, methods=["POST"]),
    Route("/_sandbox/people", users, methods=["GET", "POST"]),
    Route("/_sandbox/journal.html", journal, methods=["GET", "POST"]),
    Route("/_sandbox/faults.html", faults_and_switches, methods=["GET", "POST"]),
    Route("/_sandbox/tokens", tokens, methods=["GET", "POST"]),
    Route("/_sandbox/{what}", control, methods=["GET", "POST"]),
    Route("/nav_to.do", navigate),
    Route("/{table}.do", record),
]
