"""Control API (JSON, for tests) and console page of the Graph sandbox. Serves no Graph API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.graph import LISTS, tenant_of
from sandbox.graph_faults import GRAPH_FAULTS, GraphFault
from sandbox.page_rendering import render_page
from sandbox.tenant.tenant_data import Tenant

SHOWN = 100


async def control(request: Request) -> Response:
    """Handle `GET` or `POST /_sandbox/graph/{what}`. An invalid command is answered 400 with `{"error": reason}`."""
    tenant, what = tenant_of(request), request.path_params["what"]
    if request.method == "GET":
        return JSONResponse(_read(tenant, what, explain="explain" in request.query_params))
    content: dict[str, Any] = await request.json() if await request.body() else {}
    command = COMMANDS.get(what)
    if command is None:
        return JSONResponse({"error": f"nothing is called {what}"}, 400)
    try:
        command(tenant, content)
    except (ValueError, TypeError, KeyError) as error:
        return JSONResponse({"error": str(error)}, 400)
    return JSONResponse({"ok": True})


def _read(tenant: Tenant, what: str, *, explain: bool) -> Any:  # noqa: ANN401 - JSON.
    match what:
        case "journal":
            return [entry.as_json() for entry in tenant.journal]
        case "counts":
            return {**tenant.journal.counts, "peak": tenant.peak}
        case "quirks":
            return tenant.edge_cases.describe() if explain else vars(tenant.edge_cases)
        case "faults":
            return {"any": tenant.faults, "waiting": [vars(fault) for fault in tenant.orders]}
        case _:
            raise HTTPException(404)


def _faults(tenant: Tenant, content: dict[str, Any]) -> None:
    """Body: `{"name", "times"?, "what"?, "page"?, "method"?, "seconds"?}`, or `{"clear": true}`."""
    if content.get("clear"):
        tenant.faults.clear()
        tenant.orders.clear()
    else:
        tenant.orders.append(GraphFault(**content))


def _day(tenant: Tenant, content: dict[str, Any]) -> None:
    """Body: `{"days"?}`: append that many days on which nothing changes, at most 365."""
    for _ in range(min(int(content.get("days", 1)), 365)):
        tenant.next_day()


def _points(tenant: Tenant, content: dict[str, Any]) -> None:
    """Body: `{"control", "points"}`: set one control's points on the newest day."""
    tenant.set_points(str(content["control"]), float(content["points"]))


COMMANDS: dict[str, Callable[[Tenant, dict[str, Any]], None]] = {
    "reset": lambda tenant, _: tenant.reset(),
    "quirks": lambda tenant, content: tenant.edge_cases.change(content),
    "faults": _faults,
    "day": _day,
    "points": _points,
    "journal": lambda tenant, _: tenant.journal.clear(),
}


async def console(request: Request) -> Response:
    tenant, wrong = tenant_of(request), ""
    if request.method == "POST":
        form = {name: str(value) for name, value in (await request.form()).items()}
        try:
            _apply_form(tenant, form)
        except ValueError as error:
            wrong = str(error)
        else:
            return RedirectResponse(f"/_sandbox/{form.get('anchor', '')}", 303)
    newest = tenant.scores[0] if tenant.scores else {}
    return render_page(
        request, "graph.html", 400 if wrong else 200, groups=tenant.edge_cases.describe(), faults=GRAPH_FAULTS, lists=LISTS,
        waiting=tenant.orders, entries=tenant.journal.newest_first()[:SHOWN], newest=tenant.newest, wrong=wrong,
        scored=newest.get("controlScores", []), current=newest.get("currentScore", "no"), most=newest.get("maxScore", "no"),
    )  # fmt: skip


def _apply_form(tenant: Tenant, form: dict[str, str]) -> None:
    if form.get("fault"):
        times, number = int(form.get("times") or 1), int(form.get("page") or 0)
        tenant.orders.append(GraphFault(form["fault"], times, form.get("what", ""), number))
    elif form.get("switch"):
        tenant.edge_cases.read(form["switch"], form.get("value"))
    elif form.get("control"):
        tenant.set_points(form["control"], float(form.get("points") or 0))
    elif form.get("days"):
        _day(tenant, {"days": form["days"]})
    elif form.get("forget") == "faults":
        _faults(tenant, {"clear": True})
    elif form.get("reset"):
        tenant.reset()


ROUTES = [
    Route("/_sandbox/", console, methods=["GET", "POST"]),
    Route("/_sandbox/graph/{what}", control, methods=["GET", "POST"]),
]
