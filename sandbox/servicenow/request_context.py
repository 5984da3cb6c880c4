"""Context of one API call: authentication, content negotiation, rate limit, error envelope. Knows no table and no path."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.servicenow import business_rules
from sandbox.servicenow.api_sessions import COOKIE
from sandbox.servicenow.browser_session import user_by_session
from sandbox.servicenow.credentials import user_by_basic
from sandbox.servicenow.instance import SandboxInstance
from sandbox.servicenow.query_scripts import ScriptUser
from sandbox.servicenow.record_acl import roles_of
from sandbox.servicenow.store import Record
from sandbox.servicenow.xml_answers import as_accepted

# glide.rest.max_content_length, 10 MB by default: docs/facts/servicenow.md#2-9-sizes
LARGEST_BODY = 10 * 1024 * 1024
TABLE_API = "Table API"
CHALLENGE = 'BASIC realm="Service-now"'
# The second envelope is inferred: docs/facts/servicenow.md#2-6-error-envelope
SCOPE_REFUSALS = {
    "unscoped": "Access to unscoped api is not allowed",
    "missing": "Missing required api access scope",
}


class ApiError(Exception):
    """An error to be answered in the instance's envelope."""

    # See docs/facts/servicenow.md#2-6-error-envelope

    def __init__(
        self, status: int, message: str, detail: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.detail, self.headers = status, message, detail, headers or {}

    def response(self) -> Response:
        # See docs/facts/servicenow.md#sandbox-17: a 401 names the scheme BASIC even to callers with a bearer token.
        headers = {"WWW-Authenticate": CHALLENGE} if self.status == 401 else {}
        body = {"error": {"message": self.message, "detail": self.detail}, "status": "failure"}
        return JSONResponse(body, self.status, headers | self.headers)


@dataclass(frozen=True)
class RequestContext:
    """An authenticated call, as API handlers get it."""

    request: Request
    instance: SandboxInstance
    user: Record
    method: str

    def option(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def caller(self) -> ScriptUser:
        return ScriptUser(self.user["sys_id"], self.user["time_zone"] or "UTC", self.instance.store.now())

    @property
    def origin(self) -> str:
        """Scheme and host as the caller sees them."""
        return f"{self.request.url.scheme}://{self.request.url.netloc}"

    def note(self, text: str) -> None:
        """Add a line to this call's entry in the request journal."""
        self.request.state.note = text

    async def content(self) -> dict[str, Any]:
        """Return the JSON object of the body; of a list, its first item. Raises ApiError (400 or 415)."""
        # See docs/facts/servicenow.md#sandbox-29; a POST without a body makes an empty record.
        if self.method == "POST" and not await self.request.body():
            return {}
        if not self.request.headers.get("content-type"):
            raise ApiError(400, "Missing header", "Content-Type must be application/json")
        if "json" not in self.request.headers.get("content-type", ""):
            raise ApiError(415, "Unsupported Media Type", "Content-Type must be application/json")
        raw = await self.request.body()
        if len(raw) > LARGEST_BODY:
            size = f"content-length = {len(raw)} bytes. Max allowed: {LARGEST_BODY} bytes."
            raise ApiError(400, "Exception while reading request", f"Rejected large REST payload with {size}")
        try:
            content = json.loads(raw)
        except ValueError:
            raise ApiError(400, "Exception while reading request", "The payload is not valid JSON") from None
        if isinstance(content, list):
            content = content[0] if content else {}
        if not isinstance(content, dict):
            raise ApiError(400, "Exception while reading request", "The payload is not an object")
        return content


def as_text(value: Any) -> str:  # noqa: ANN401 - whatever JSON holds.
    """Return a JSON value as the instance stores it: always a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


async def respond(
    request: Request, api: str, handler: Callable[[RequestContext], Awaitable[Response]], *, limited: bool = True
) -> Response:
    """Authenticate, check and limit the call, then run `handler`; `api` is the name the rate limit counts by."""
    instance: SandboxInstance = request.app.state.instance
    try:
        user = _authenticate(request, instance)
        _check_accept(request, instance)
        _check_client(instance)
        _check_api_access(instance, user)
        headers = _rate_limit(instance, user, api) if limited else {}
        method = request.headers.get("x-http-method-override", request.method).upper()
        response = await handler(
            RequestContext(request, instance, user, method if request.method == "POST" else request.method)
        )
    except ApiError as problem:
        return as_accepted(request, problem.response())
    except business_rules.WriteRefused as refusal:
        return as_accepted(request, ApiError(403, "Operation Failed", str(refusal)).response())
    except business_rules.RuleFailed as failure:
        failed = ApiError(500, "Operation Failed", f"Error in Business Rule '{failure}': undefined value")
        return as_accepted(request, failed.response())
    response.headers.update(headers)
    return as_accepted(request, response)


def _authenticate(request: Request, instance: SandboxInstance) -> Record:
    # See docs/facts/servicenow.md#sandbox-17: the wording differs between builds.
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    user = instance.user_of(value.strip()) if scheme.lower() == "bearer" else None
    if user is None:
        user = user_by_basic(instance, request.headers.get("authorization", "")) or user_by_session(request)
    if user is None and instance.switches.cookie_outlives_token and COOKIE in request.cookies:
        session = instance.sessions.from_cookies(request.headers.get("cookie", ""))
        user = instance.store.get("sys_user", session.user_id) if session else None
    if user is None:
        raise ApiError(401, _not_authenticated(instance), "Required to provide Auth information")
    request.state.user = user["user_name"]
    request.state.user_id = user["sys_id"]
    return user


def _not_authenticated(instance: SandboxInstance) -> str:
    return "User Not Authenticated" if instance.switches.old_401_wording else "User is not authenticated"


def _check_accept(request: Request, instance: SandboxInstance) -> None:
    # See docs/facts/servicenow.md#sandbox-29 and #2-1-url-and-methods: 406 for types that the API does not speak.
    accept = request.headers.get("accept", "")
    if not accept and instance.switches.accept_required:
        raise ApiError(400, "Missing header", "Accept must allow application/json")
    if accept and not any(kind in accept for kind in ("json", "xml", "*/*")):
        raise ApiError(406, "Not Acceptable", "Accept header must allow application/json")


def _check_client(instance: SandboxInstance) -> None:
    # The instance reads scope and policy on every call, so that correcting them works without a new consent:
    # docs/facts/servicenow.md#1-7-where-it-lives-in-the-product and #2-6-error-envelope
    switches = instance.switches
    if switches.access_policy_refuses:
        headers = {"WWW-Authenticate": 'BEARER realm="Service-now"'}
        raise ApiError(401, _not_authenticated(instance), "Required to provide Auth information", headers)
    if switches.auth_scope_missing:
        raise ApiError(403, "User Not Authorized", SCOPE_REFUSALS[switches.auth_scope_missing])


def _check_api_access(instance: SandboxInstance, user: Record) -> None:
    # The REST API ACLs ship inactive: docs/facts/servicenow.md#3-6-roles-for-the-integration-user
    if instance.switches.api_acl_active and "snc_platform_rest_api_access" not in roles_of(instance, user):
        raise ApiError(403, "User Not Authorized", "Failed API level ACL Validation")


def _rate_limit(instance: SandboxInstance, user: Record, api: str) -> dict[str, str]:
    """Count the call; return the rate-limit headers, which successful responses carry too. Raises ApiError (429)."""
    # See docs/facts/servicenow.md#sandbox-42: limits are per user and clock hour.
    limit = instance.switches.rate_limit_per_hour
    if limit <= 0 or api != TABLE_API:
        return {}
    # See docs/facts/servicenow.md#5-limits-failures-sleeping-instances: the limit is counted per clock hour, not per
    # sliding window. Rules ship with none, so the headers are absent by default.
    now = instance.store.time()
    over = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    key = (user["user_name"], over.isoformat())
    rule = hashlib.sha256(api.encode()).hexdigest()[:32]
    headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Reset": str(int(over.timestamp())),
        "X-RateLimit-Rule": rule,
    }
    if instance.spent[key] >= limit:
        headers["Retry-After"] = str(int((over - now).total_seconds()) + 1)
        detail = f"Rate limit of {limit} requests per hour for {api} exceeded"
        raise ApiError(429, "Rate limit exceeded", detail, headers)
    instance.spent[key] += 1
    return headers
