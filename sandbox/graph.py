"""Microsoft Graph sandbox for Secure Score: paged lists, single items, state updates, and ordered faults."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sandbox.entra import EVERYONE, GRAPH, GRAPH_ID, EntraTenant, directory_of, origin
from sandbox.graph_faults import GraphFault
from sandbox.odata import InvalidOption, Options, read_options
from sandbox.tenant.tenant_data import Tenant

LISTS = ("secureScores", "secureScoreControlProfiles")
READ, WRITE = "SecurityEvents.Read.All", "SecurityEvents.ReadWrite.All"
# Shaped like the documentation's own examples, which are not valid JSON: docs/facts/microsoft-graph.md#edge-10
INVALID_DOC_EXAMPLE = (
    '{\n  "value": [\n    {\n      "id": "String (identifier)",\n      "maxScore": "Double",\n      ...\n    },\n  ]\n}'
)
CANNED: dict[str, Callable[[GraphFault], Response]] = {
    "throttled": lambda fault: graph_error(
        429, "TooManyRequests", "Too many requests.", {"Retry-After": str(fault.seconds)}
    ),
    "throttled_date": lambda fault: graph_error(
        429, "TooManyRequests", "Too many requests.", {"Retry-After": _http_date_in(fault.seconds)}
    ),
    "throttled_silently": lambda _: graph_error(429, "TooManyRequests", "Too many requests."),
    "unavailable": lambda _: graph_error(503, "ServiceUnavailable", "The service is unavailable."),
    "unavailable_later": lambda fault: graph_error(
        503, "ServiceUnavailable", "The service is unavailable.", {"Retry-After": str(fault.seconds)}
    ),
    "server_error": lambda _: graph_error(500, "InternalServerError", "An internal error occurred."),
    "web_page": lambda _: HTMLResponse("<html><body>Proxy sign-in</body></html>"),
    "cut_short": lambda _: Response('{"value":[{"id":"a', media_type="application/json"),
    "not_json": lambda _: Response(INVALID_DOC_EXAMPLE, media_type="application/json"),
    "no_value": lambda _: JSONResponse({"@odata.context": "x"}),
    "bad_request": lambda _: graph_error(400, "BadRequest", "Http request failed with statusCode=BadRequest"),
}


def _http_date_in(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def tenant_of(request: Request) -> Tenant:
    found: Tenant = request.app.state.tenant
    return found


def graph_error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error in Graph's envelope."""
    # https://learn.microsoft.com/graph/errors#error-resource-type
    inner = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": secrets.token_hex(16),
        "client-request-id": secrets.token_hex(16),
    }
    return JSONResponse({"error": {"code": code, "message": message, "innerError": inner}}, status, headers)


def authorization_error(request: Request, directory: EntraTenant, what: str, page: int) -> Response | None:
    """Return 401 for a missing or invalid token, 403 without the application permission, else None."""
    # See docs/facts/microsoft-graph.md#edge-7
    tenant = tenant_of(request)
    _, _, token = request.headers.get("authorization", "").partition(" ")
    claims = directory.claims_of(token)
    expired = tenant.take_fault("token_expired", what, page, request.method)
    # Every Microsoft library asks for Graph's own address; a GUID in the scope comes back as the audience.
    if claims is None or claims.get("aud") not in (origin(request), GRAPH, GRAPH_ID) or expired:
        return graph_error(
            401, "InvalidAuthenticationToken", "Access token is empty, expired or not for this resource."
        )
    # https://learn.microsoft.com/graph/permissions-reference#securityeventsreadall
    enough = {WRITE} if request.method == "PATCH" else {READ, WRITE}
    if not enough & _permissions(claims) or tenant.take_fault("forbidden", what, page, request.method):
        return graph_error(
            403, "Forbidden", "Auth token does not contain valid permissions or user does not have valid roles."
        )
    return None


def _permissions(claims: dict[str, Any]) -> set[str]:
    """Return an application's roles, or a person's scopes, which are worth nothing without a role in the directory."""
    if claims.get("idtyp") == "app":
        return set(claims.get("roles", []))
    return set(claims.get("scp", "").split()) if set(claims.get("wids", [])) - {EVERYONE} else set()


def canned_fault(tenant: Tenant, what: str, page: int, method: str) -> Response | None:
    """Return the response of an ordered fault, or None."""
    for name, spoil in CANNED.items():
        fault = tenant.take_fault(name, what, page, method)
        if fault is not None:
            return spoil(fault)
    return None


async def _limit_concurrency(tenant: Tenant, answer: Callable[[], Awaitable[Response]]) -> Response:
    """Run the handler and record the peak of parallel calls; above `most_at_once` the call is answered 429."""
    # See docs/facts/microsoft-graph.md#edge-6
    tenant.running += 1
    tenant.peak = max(tenant.peak, tenant.running)
    try:
        if 0 < tenant.edge_cases.most_at_once < tenant.running:
            return graph_error(429, "TooManyRequests", "Too many concurrent requests.", {"Retry-After": "1"})
        if tenant.edge_cases.latency_ms > 0:
            await asyncio.sleep(tenant.edge_cases.latency_ms / 1000)
        return await answer()
    finally:
        tenant.running -= 1


async def listing(request: Request) -> Response:
    """Return one page of a list."""
    tenant, what = tenant_of(request), request.path_params["what"]
    if what not in LISTS:
        return graph_error(400, "BadRequest", f"Resource not found for the segment '{what}'.")

    async def answer() -> Response:
        try:
            options = read_options(what, dict(request.query_params))
            start, size = _start(request, tenant), _size(request, tenant)
        except InvalidOption as invalid:
            return graph_error(400, "BadRequest", str(invalid))
        except (ValueError, KeyError):
            return graph_error(400, "BadRequest", "Invalid paging parameter.")
        page = start // size + 1
        error = authorization_error(request, directory_of(request), what, page) or canned_fault(
            tenant, what, page, request.method
        )
        return error or _page(request, what, options, start, size)

    return await _limit_concurrency(tenant, answer)


def _page(request: Request, what: str, options: Options, start: int, size: int) -> Response:
    tenant, number = tenant_of(request), start // size + 1
    rows = tenant.scores if what == "secureScores" else tenant.profiles
    if tenant.take_fault("empty", what, number):
        rows = []
    rows = options.rows(rows)
    body: dict[str, Any] = {"@odata.context": f"{origin(request)}/v1.0/$metadata#Security/{what}"}
    if request.query_params.get("$count") == "true":
        body["@odata.count"] = len(rows)
    body["value"] = [options.shaped(row) for row in rows[start : start + size]]
    if start + size < len(rows):
        body["@odata.nextLink"] = _next_link(request, tenant, what, start, size)
    # Partial provider failures are reported by status 206 and a Warning header: docs/facts/microsoft-graph.md#edge-5
    if tenant.take_fault("partial", what, number):
        return JSONResponse(body, 206, {"Warning": '199 - "SecureScore/Provider/503/1000"'})
    return JSONResponse(body)


# See docs/facts/microsoft-graph.md#1-6-paging-size-throttling: scores carry a nextLink even for `$top=1`.
# https://learn.microsoft.com/graph/paging
def _next_link(request: Request, tenant: Tenant, what: str, start: int, size: int) -> str:
    number = start // size + 1
    if tenant.take_fault("itself", what, number):
        return str(request.url)
    elsewhere = tenant.take_fault("elsewhere", what, number)
    # Port 9 (discard) is closed: a client that follows the foreign link fails at once (docs/facts/microsoft-graph.md#edge-3).
    base = "http://127.0.0.1:9/elsewhere" if elsewhere else f"{origin(request)}{request.url.path}"
    token = secrets.token_hex(16)
    tenant.pages[token] = start + size
    # The other options go on with the list: https://learn.microsoft.com/graph/paging
    kept = {name: value for name, value in request.query_params.items() if name not in ("$top", "$skip", "$skiptoken")}
    return f"{base}?{urlencode({**kept, '$top': size, '$skiptoken': token}, safe='$')}"


def _start(request: Request, tenant: Tenant) -> int:
    token = request.query_params.get("$skiptoken")
    start = tenant.pages[token] if token else int(request.query_params.get("$skip", "0"))
    if start < 0:
        raise ValueError
    return start


def _size(request: Request, tenant: Tenant) -> int:
    top = int(request.query_params.get("$top", "0"))
    if top < 0:
        raise ValueError
    return min(top, tenant.page_size) if top else tenant.page_size


async def single(request: Request) -> Response:
    """Return one item by its ID, or update a control profile's state with PATCH."""
    # See docs/facts/microsoft-graph.md#1-5-state-updates-reading-and-writing
    tenant, what = tenant_of(request), request.path_params["what"]

    async def answer() -> Response:
        error = authorization_error(request, directory_of(request), what, 1) or canned_fault(
            tenant, what, 1, request.method
        )
        return error or await _single(request, tenant, what)

    return await _limit_concurrency(tenant, answer)


async def _single(request: Request, tenant: Tenant, what: str) -> Response:
    if what not in LISTS:
        return graph_error(400, "BadRequest", f"Resource not found for the segment '{what}'.")
    try:
        options = read_options(what, dict(request.query_params))
    except InvalidOption as invalid:
        return graph_error(400, "BadRequest", str(invalid))
    rows = tenant.scores if what == "secureScores" else tenant.profiles
    found = next((row for row in rows if row["id"] == request.path_params["id"]), None)
    if found is None:
        return graph_error(404, "ResourceNotFound", "Resource not found.")
    if request.method == "PATCH":
        return await _patch(request, tenant, what, found["id"])
    return JSONResponse(options.shaped(found))


async def _patch(request: Request, tenant: Tenant, what: str, control_id: str) -> Response:
    refusal = graph_error(400, "BadRequest", "Http request failed with statusCode=BadRequest")
    try:
        content = await request.json()
        vendor = content.get("vendorInformation") or {}
    except (ValueError, AttributeError):
        return refusal
    # https://learn.microsoft.com/graph/api/securescorecontrolprofile-update: vendorInformation is mandatory.
    if what == "secureScores" or not vendor.get("provider") or not vendor.get("vendor"):
        return refusal
    # Device controls cannot be written: docs/facts/microsoft-graph.md#1-5-state-updates-reading-and-writing and #edge-45
    if control_id.startswith("scid_") or tenant.edge_cases.writes_refused:
        return refusal
    tenant.write(
        control_id,
        {
            "assignedTo": content.get("assignedTo"),
            "comment": content.get("comment"),
            "state": content.get("state", "Default"),
            "updatedBy": "application",
            "updatedDateTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    )
    # 200 with the profile when preferred, otherwise 204 without a body: docs/facts/microsoft-graph.md#edge-45
    if "return=representation" in request.headers.get("prefer", ""):
        return JSONResponse(next(row for row in tenant.profiles if row["id"] == control_id))
    return Response(status_code=204)


ROUTES = [
    Route("/v1.0/security/{what:str}", listing),
    Route("/v1.0/security/{what:str}/{id:path}", single, methods=["GET", "PATCH"]),
]
