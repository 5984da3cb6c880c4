"""A stand-in for Microsoft Graph's Secure Score: lists with pages, single items, state changes, and trouble on a switch."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sandbox.entra import Directory, directory_of, origin
from sandbox.tenant.catalogue import controls, profile
from sandbox.tenant.history import snapshots

PAGE = 200
FILTER = re.compile(r"(\w+) eq '([^']*)'")
NOTHING_DONE = {"assignedTo": None, "comment": None, "state": "Default", "updatedBy": None, "updatedDateTime": None}
# What the made-up tenant's people have decided so far.
DECIDED = {
    "IntegratedApps": "Ignored",
    "exo_dkim": "ThirdParty",
    "mdo_safedocuments": "Reviewed",
    "exo_mailtips": "ignored",
}
FAULTS = (
    "throttled",
    "throttled_silently",
    "unavailable",
    "partial",
    "web_page",
    "cut_short",
    "forbidden",
    "elsewhere",
    "empty",
)


@dataclass
class Tenant:
    """The data served, and the trouble ordered: name to how many times."""

    tenant_id: str
    newest: date
    faults: dict[str, int] = field(default_factory=dict)
    updates: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pages: dict[str, int] = field(default_factory=dict)
    page_size: int = PAGE

    def __post_init__(self) -> None:
        self.scores = snapshots(self.tenant_id, self.newest)
        for control_id, state in DECIDED.items():
            decided = {
                "state": state,
                "updatedBy": "alex@contoso.example",
                "updatedDateTime": "2026-10-01T08:30:00.1234567Z",
            }
            self.updates[control_id] = [{**NOTHING_DONE, **decided}]

    @property
    def profiles(self) -> list[dict[str, Any]]:
        """The whole catalogue."""
        return [
            profile(control, self.tenant_id, rank, self.updates.get(control.id, [NOTHING_DONE]))
            for rank, control in enumerate(controls(), 1)
        ]

    def strikes(self, name: str) -> bool:
        """Whether this fault is due; counts it down."""
        left = self.faults.get(name, 0)
        if left <= 0:
            return False
        self.faults[name] = left - 1
        return True


def tenant_of(request: Request) -> Tenant:
    """The data this request is about."""
    found: Tenant = request.app.state.tenant
    return found


def failure(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Graph's error envelope."""
    inner = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": secrets.token_hex(16),
        "client-request-id": secrets.token_hex(16),
    }
    return JSONResponse({"error": {"code": code, "message": message, "innerError": inner}}, status, headers)


def refused(request: Request, directory: Directory) -> Response | None:
    """401 without a good token, 403 without the right application permission."""
    _, _, token = request.headers.get("authorization", "").partition(" ")
    claims = directory.app_of(token)
    if claims is None or claims.get("aud") != origin(request):
        return failure(401, "InvalidAuthenticationToken", "Access token is empty, expired or not for this resource.")
    if "SecurityEvents.Read.All" not in claims.get("roles", []) or tenant_of(request).strikes("forbidden"):
        return failure(
            403, "Forbidden", "Auth token does not contain valid permissions or user does not have valid roles."
        )
    return None


def troubled(tenant: Tenant) -> Response | None:
    """An ordered fault in place of the answer."""
    if tenant.strikes("throttled"):
        return failure(429, "TooManyRequests", "Too many requests.", {"Retry-After": "7"})
    if tenant.strikes("throttled_silently"):
        return failure(429, "TooManyRequests", "Too many requests.")
    if tenant.strikes("unavailable"):
        return failure(503, "ServiceUnavailable", "The service is unavailable.")
    if tenant.strikes("web_page"):
        return HTMLResponse("<html><body>Proxy sign-in</body></html>")
    if tenant.strikes("cut_short"):
        return Response('{"value":[{"id":"a', media_type="application/json")
    return None


async def listing(request: Request) -> Response:
    """A list in pages. Scores carry a nextLink even when only the newest was asked for (facts 1.6)."""
    tenant = tenant_of(request)
    trouble = refused(request, directory_of(request)) or troubled(tenant)
    if trouble is not None:
        return trouble
    is_scores = request.path_params["what"] == "secureScores"
    rows = tenant.scores if is_scores else tenant.profiles
    if tenant.strikes("empty"):
        rows = []
    for name, value in FILTER.findall(request.query_params.get("$filter", "")):
        rows = [row for row in rows if row.get(name) == value]
    try:
        start = _start(request, tenant)
        top = int(request.query_params.get("$top", "0"))
    except (ValueError, KeyError):
        return failure(400, "BadRequest", "Invalid paging parameter.")
    size = min(top, tenant.page_size) if top else tenant.page_size
    body: dict[str, Any] = {
        "@odata.context": f"{origin(request)}/v1.0/$metadata#Security/{request.path_params['what']}"
    }
    if request.query_params.get("$count") == "true":
        body["@odata.count"] = len(rows)
    body["value"] = rows[start : start + size]
    if start + size < len(rows):
        base = "http://127.0.0.1:9/elsewhere" if tenant.strikes("elsewhere") else f"{origin(request)}{request.url.path}"
        token = secrets.token_hex(16)
        tenant.pages[token] = start + size
        body["@odata.nextLink"] = f"{base}?{urlencode({'$top': size, '$skiptoken': token}, safe='$')}"
    if tenant.strikes("partial"):
        return JSONResponse(body, 206, {"Warning": '199 - "SecureScore/Provider/503/1000"'})
    return JSONResponse(body)


def _start(request: Request, tenant: Tenant) -> int:
    token = request.query_params.get("$skiptoken")
    return tenant.pages[token] if token else int(request.query_params.get("$skip", "0"))


async def single(request: Request) -> Response:
    """One item by its id; a profile's state may be changed with PATCH (facts 1.5)."""
    tenant = tenant_of(request)
    trouble = refused(request, directory_of(request)) or troubled(tenant)
    if trouble is not None:
        return trouble
    rows = tenant.scores if request.path_params["what"] == "secureScores" else tenant.profiles
    found = next((row for row in rows if row["id"] == request.path_params["id"]), None)
    if found is None:
        return failure(404, "ResourceNotFound", "Resource not found.")
    if request.method == "GET":
        return JSONResponse(found)
    content = await request.json()
    vendor = content.get("vendorInformation") or {}
    if request.path_params["what"] == "secureScores" or not vendor.get("provider") or not vendor.get("vendor"):
        return failure(400, "BadRequest", "Http request failed with statusCode=BadRequest")
    if found["id"].startswith("scid_"):
        return failure(400, "BadRequest", "Http request failed with statusCode=BadRequest")
    update = {
        "assignedTo": content.get("assignedTo"),
        "comment": content.get("comment"),
        "state": content.get("state", "Default"),
        "updatedBy": "application",
        "updatedDateTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    tenant.updates.setdefault(found["id"], []).append(update)
    if "return=representation" in request.headers.get("prefer", ""):
        return JSONResponse(next(row for row in tenant.profiles if row["id"] == found["id"]))
    return Response(status_code=204)


async def order(request: Request) -> Response:
    """Order trouble: `{"name", "times"}`."""
    content = await request.json()
    if content.get("name") not in FAULTS:
        return JSONResponse({"error": "there is no such fault"}, 400)
    tenant_of(request).faults[content["name"]] = int(content.get("times", 1))
    return JSONResponse({"ok": True})


def yesterday() -> date:
    """The newest day Graph has: snapshots are made after midnight."""
    return datetime.now(UTC).date() - timedelta(days=1)


ROUTES = [
    Route("/v1.0/security/{what:str}", listing),
    Route("/v1.0/security/{what:str}/{id:path}", single, methods=["GET", "PATCH"]),
    Route("/_sandbox/graph/faults", order, methods=["POST"]),
]
