"""Fixed responses of a faulty instance, and the headers of every response. Sends nothing."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime

# The title is what clients recognize: docs/facts/servicenow.md#5-limits-failures-sleeping-instances
HIBERNATING = "<html><head><title>Instance Hibernating page</title></head><body>This instance is asleep.</body></html>"
SIGN_ON = "<html><head><title>Sign in</title></head><body>Continue to your organisation's sign-in page.</body></html>"
GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
MAINTENANCE = "<html><head><title>Service Unavailable</title></head><body>Back in a few minutes.</body></html>"
TOO_LONG = "<html><head><title>414 Request-URI Too Long</title></head><body>Request-URI Too Long</body></html>"
STRANGE = "<html><head><title>Not here</title></head><body>There is nothing at this address.</body></html>"
JSON = "application/json;charset=UTF-8"
HTML = "text/html;charset=UTF-8"
# Cookies besides the session cookie: docs/facts/servicenow.md#2-7-response-headers-on-a-real-call
COOKIES = (
    b"glide_user=; Max-Age=0; Path=/; HttpOnly",
    b"glide_user_session=; Max-Age=0; Path=/; HttpOnly",
    b"glide_user_route=glide.00000000000000000000000000000000; Max-Age=2147483647; Path=/; HttpOnly",
    b"glide_node_id_for_js=0000000000000000000000000000000000000000000000000000000000000000; Path=/",
    b"glide_session_store=0; Max-Age=1800; Path=/; HttpOnly",
)


@dataclass(frozen=True)
class CannedResponse:
    """A complete response; `kind` is its content type."""

    status: int
    body: bytes
    kind: str
    headers: dict[str, str] = field(default_factory=dict)

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as ASGI expects them."""
        named = {"content-type": self.kind, "content-length": str(len(self.body)), **self.headers}
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()]


def _failure(message: str, detail: str) -> str:
    return json.dumps({"error": {"message": message, "detail": detail}, "status": "failure"})


CANCELLED = "Transaction cancelled: maximum execution time exceeded"
CANCELLED_BODY = _failure(CANCELLED, f"{CANCELLED} Check logs for error trace or enable glide.rest.debug property")
# Fault name: (status, body, content type). Wording and shape: docs/facts/servicenow.md#5-limits-failures-sleeping-instances
CANNED: dict[str, tuple[int, str, str]] = {
    "rate_limited": (
        429, _failure("Rate limit exceeded", "Rate limit of 100 requests per hour for Table API exceeded"), JSON,
    ),
    "semaphore_full": (429, "", HTML),
    "cancelled_after_commit": (500, CANCELLED_BODY, JSON),
    "partial_result": (200, '{"result":[],' + CANCELLED_BODY[1:], JSON),
    "broken_json": (200, '{"result":[{"sys_id":"', JSON),
    "refused_after_commit": (
        403, _failure("Operation Failed", "ACL Exception Insert Failed due to security constraints"), JSON,
    ),
    "hibernating": (200, HIBERNATING, HTML),
    "hibernating_503": (503, HIBERNATING, HTML),
    "sso_page": (200, SIGN_ON, HTML),
    "sso_redirect": (302, "", HTML),
    "bad_gateway": (502, GATEWAY, HTML),
    "unavailable": (503, MAINTENANCE, HTML),
    "address_too_long": (414, TOO_LONG, HTML),
    "strange_page": (404, STRANGE, HTML),
    "ip_blocked": (403, "Access restricted", "text/plain"),
    "acl_hiccup": (403, _failure("User Not Authorized", "Failed API level ACL Validation"), JSON),
    "session_overflow": (202, "", JSON),
    "signed_out": (401, _failure("User Not Authenticated", "Required to provide Auth information"), JSON),
    "missing": (
        404, _failure("No Record found", "Record doesn't exist or ACL restricts the record retrieval"), JSON,
    ),
}  # fmt: skip


def canned_response(name: str, now: datetime, retry_after: str = "7") -> CannedResponse:
    """Return the fixed response of a fault; `retry_after` is the header of a 429, "" for none."""
    status, body, kind = CANNED[name]
    headers: dict[str, str] = {}
    if name == "rate_limited":
        over = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        headers = {"X-RateLimit-Limit": "100", "X-RateLimit-Reset": str(int(over.timestamp()))}
        headers |= {"X-RateLimit-Rule": "0" * 32} | ({"Retry-After": retry_after} if retry_after else {})
    elif name == "sso_redirect":
        headers = {"Location": "/sso/sign_in?goto=%2F"}
    elif name == "signed_out":
        headers = {"WWW-Authenticate": 'BASIC realm="Service-now"'}
    return CannedResponse(status, body.encode(), kind, headers)


def partial(body: bytes) -> bytes:
    """Return a list response with half its rows and an error beside them, as a canceled transaction sends it."""
    # See docs/facts/servicenow.md#sandbox-44
    try:
        content = json.loads(body)
    except ValueError:
        content = {}
    rows = content.get("result") if isinstance(content, dict) else None
    kept = rows[: (len(rows) + 1) // 2] if isinstance(rows, list) else []
    return json.dumps({"result": kept, **json.loads(CANCELLED_BODY)}).encode()


def standard_headers(now: datetime, transaction: str, *, signed_in: bool) -> list[tuple[bytes, bytes]]:
    # See docs/facts/servicenow.md#2-7-response-headers-on-a-real-call
    named = {
        "date": format_datetime(now, usegmt=True),
        "server": "snow_adc",
        "server-timing": f't;desc="{transaction}", sem_wait;dur=0, sesh_wait;dur=0',
        "x-transaction-id": transaction,
        "x-is-logged-in": "true" if signed_in else "false",
        "x-is-visitor": "false",
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache,no-store,must-revalidate,max-age=-1",
        "pragma": "no-store,no-cache",
        "expires": "0",
        "strict-transport-security": "max-age=63072000; includeSubDomains",
    }
    return [(name.encode(), value.encode()) for name, value in named.items()]


def new_transaction() -> str:
    """Return a transaction ID: 12 hexadecimal digits."""
    return secrets.token_hex(6)
