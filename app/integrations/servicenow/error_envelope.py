"""ServiceNow's error envelope: whether an answer is one, its words, and what they say of the call. Does no I/O."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.bounds import line
from app.core.text_limits import cut
from app.integrations.http.errors import InvalidResponse
from app.integrations.http.http_types import RemoteResponse

LONGEST_WORDS = 500
# The Table API's own access rule refuses the caller before it looks at what was asked for. A stable detail:
# docs/facts/servicenow.md#2-6-error-envelope
API_ACL = "Failed API level ACL Validation"
# A query rule refuses a field, a range or an order of the query.
QUERY_RULE = "Insufficient rights to query records"


def is_servicenows(answer: RemoteResponse) -> bool:
    """Whether the body is ServiceNow's error envelope, and not a gateway's."""
    # docs/facts/servicenow.md#2-6-error-envelope
    try:
        content = answer.json_object()
    except InvalidResponse:
        return False
    return bool(content.get("error")) and content.get("status") == "failure"


def error_texts(answer: RemoteResponse) -> str:
    """The instance's own words in one line of at most 500 characters; they name the rule or field in the way."""
    try:
        error = answer.json_object().get("error")
    except InvalidResponse:
        return ""
    if isinstance(error, str):
        return _plain(error)
    if not isinstance(error, Mapping):
        return ""
    parts = [_plain(error.get(name)) for name in ("message", "detail")]
    return cut(" – ".join(part for part in parts if part), LONGEST_WORDS)


def is_query_refused(answer: RemoteResponse) -> bool:
    """Whether a query rule refused the query, which may be for its order alone."""
    return answer.status == 403 and QUERY_RULE in error_texts(answer)


def _plain(text: object) -> str:
    # Words of a script may hold anything, and are shown on a page.
    return line(text, LONGEST_WORDS) if text else ""
