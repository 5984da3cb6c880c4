"""Builds requests for ServiceNow's Table API and deciphers its answers. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from app.foundation.text import T, Text
from app.remote.errors import Ambiguous, Broken, Garbled, Missing, Refused, SignedOut
from app.remote.messages import Answer, Request, throttled
from app.remote.servicenow.shapes import Choice, Release, RemoteTicket, RemoteUser, Table

TICKET_FIELDS = (
    "sys_id",
    "number",
    "state",
    "priority",
    "correlation_id",
    "correlation_display",
    "short_description",
    "sys_updated_on",
)
SYS_ID = re.compile(r"[0-9a-f]{32}")
# Ids we mint ourselves; nothing a person typed ever enters a query, since escaping is undocumented.
SAFE_IN_QUERY = re.compile(r"[A-Za-z0-9 ._:-]+")
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
# No limit for an address is documented; 50 ids of 32 characters stay far below any known one.
IDS_PER_CALL = 50

Purpose = Literal["read", "write"]


def format_time(moment: datetime) -> str:
    """A moment as the Table API reads it: UTC, seconds, no suffix."""
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


def parse_time(text: str) -> datetime | None:
    """A moment the Table API wrote; None when it is empty or unreadable."""
    try:
        return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def create_request(origin: str, table: Table, fields: Mapping[str, str]) -> Request:
    """Insert a record and have the fields we follow sent back."""
    return Request("POST", _table_url(origin, table), query=_shape(), headers=_json_headers(), body=dict(fields))


def find_by_correlation_request(origin: str, table: Table, correlation_id: str) -> Request:
    """Look for a record by the id we gave it. Raises ValueError for an empty id, which would match strangers."""
    if not SAFE_IN_QUERY.fullmatch(correlation_id):
        raise ValueError("a lookup needs a correlation id of our own making")
    return _list_request(origin, table, f"correlation_id={correlation_id}^ORDERBYsys_id", limit=10)


def changed_request(
    origin: str, table: Table, *, marker: str, since: datetime, after: str | None, limit: int
) -> Request:
    """Our records changed since then, ordered by a unique key; `after` is the last sys_id of the page before."""
    query = f"correlation_display={_safe(marker)}^sys_updated_on>={format_time(since)}"
    if after:
        query += f"^sys_id>{_sys_id(after)}"
    return _list_request(origin, table, f"{query}^ORDERBYsys_id", limit=limit)


def fetch_many_request(origin: str, table: Table, sys_ids: Iterable[str]) -> Request:
    """These records, at most IDS_PER_CALL of them."""
    wanted = [_sys_id(sys_id) for sys_id in sys_ids]
    if not 0 < len(wanted) <= IDS_PER_CALL:
        raise ValueError(f"between 1 and {IDS_PER_CALL} ids")
    return _list_request(origin, table, f"sys_idIN{','.join(wanted)}^ORDERBYsys_id", limit=len(wanted))


def readable_request(origin: str, table: str) -> Request:
    """Ask for one record only, to learn whether the table may be read at all."""
    return Request(
        "GET",
        _table_url(origin, table),
        query={"sysparm_limit": "1", "sysparm_fields": "sys_id", "sysparm_no_count": "true"},
        headers={"Accept": "application/json"},
    )


def choices_request(origin: str, table: Table, element: str) -> Request:
    """The choices of a field, of the table itself and of its parent `task`."""
    names = f"name={table}^ORname=task^element={_safe(element)}^inactive=false^ORDERBYsequence"
    return Request(
        "GET",
        _table_url(origin, "sys_choice"),
        query={
            "sysparm_query": names,
            "sysparm_fields": "name,element,value,label,language,inactive,dependent_value,sequence",
            "sysparm_limit": "200",
            "sysparm_no_count": "true",
        },
        headers={"Accept": "application/json"},
    )


def release_request(origin: str) -> Request:
    """The properties that name the release; often refused to accounts that are no administrators."""
    return Request(
        "GET",
        _table_url(origin, "sys_properties"),
        query={
            "sysparm_query": "nameINglide.buildname,glide.buildtag^ORDERBYname",
            "sysparm_fields": "name,value",
            "sysparm_limit": "10",
            "sysparm_no_count": "true",
        },
        headers={"Accept": "application/json"},
    )


def whoami_request(origin: str) -> Request:
    """The token's user; two rows are asked for, because an instance that ignores the condition returns more."""
    return Request(
        "GET",
        _table_url(origin, "sys_user"),
        query={
            "sysparm_query": "sys_id=javascript:gs.getUserID()",
            "sysparm_fields": "sys_id,user_name,name,email",
            "sysparm_limit": "2",
            "sysparm_no_count": "true",
        },
        headers={"Accept": "application/json"},
    )


def result_of(answer: Answer, *, purpose: Purpose = "read") -> Any:  # noqa: ANN401 - an object or a list, as asked.
    """The `result` of a good answer. Raises the RemoteError that a bad one means.

    Classified by status and by JSON-or-not, never by English prose, which differs between releases.
    """
    _raise_for_status(answer, purpose)
    if not answer.is_json():
        raise _web_page(answer, purpose)
    try:
        content = answer.json_object()
    except Garbled as error:
        raise _unreadable(purpose) from error
    if "error" in content or "result" not in content:
        # A cancelled transaction appends `error` to a partial `result`, with status 200 (KB0778443).
        raise _unreadable(purpose)
    return content["result"]


def ticket_of(record: Any) -> RemoteTicket:  # noqa: ANN401 - straight from JSON.
    """One record asked for with `sysparm_display_value=all`. Raises Garbled without a sys_id and number."""
    if not isinstance(record, dict):
        raise Garbled
    sys_id, number = _value(record, "sys_id"), _value(record, "number")
    if not SYS_ID.fullmatch(sys_id):
        raise Garbled(T("ServiceNow’s answer names no record."))
    return RemoteTicket(
        sys_id=sys_id,
        number=number,
        state=_value(record, "state"),
        state_label=_label(record, "state"),
        priority=_value(record, "priority"),
        correlation_id=_value(record, "correlation_id"),
        correlation_display=_value(record, "correlation_display"),
        short_description=_value(record, "short_description"),
        updated_at=parse_time(_value(record, "sys_updated_on")),
    )


def tickets_of(result: Any) -> list[RemoteTicket]:  # noqa: ANN401 - straight from JSON.
    """A list of records."""
    return [ticket_of(record) for record in rows_of(result)]


def rows_of(result: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - straight from JSON.
    """A list of plain rows. Raises Garbled when it is none."""
    if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
        raise Garbled(T("ServiceNow answered with something else than a list."))
    return result


def choices_of(result: Any, table: Table, element: str, language: str = "en") -> list[Choice]:  # noqa: ANN401
    """The choices in the instance's order; rows of the table itself take the place of its parent's."""
    rows = [
        row
        for row in rows_of(result)
        # Checked again here: an instance drops a condition it does not understand, and then everything matches.
        if row.get("element") == element
        and row.get("name") in (table, "task")
        and row.get("language", language) in ("", language)
        and str(row.get("inactive", "false")).lower() != "true"
    ]
    own = [row for row in rows if row.get("name") == table]
    return [Choice(str(row.get("value", "")), str(row.get("label", ""))) for row in own or rows]


def release_of(result: Any) -> Release | None:  # noqa: ANN401 - straight from JSON.
    """The release named by the properties; None when they say nothing."""
    values = {str(row.get("name")): str(row.get("value", "")) for row in rows_of(result)}
    tag = values.get("glide.buildtag", "")
    # glide-australia-02-11-2026__patch1-… : the family is the word after `glide-`.
    found = re.match(r"glide-([a-z]+)", tag.lower())
    family = found.group(1) if found else values.get("glide.buildname", "").strip().lower()
    return Release(build=tag, family=family) if tag or family else None


def user_of(result: Any) -> RemoteUser | None:  # noqa: ANN401 - straight from JSON.
    """The token's user when exactly one row came back; anything else tells us nothing."""
    rows = rows_of(result)
    if len(rows) != 1:
        return None
    row = rows[0]
    return RemoteUser(*(str(row.get(name, "")) for name in ("sys_id", "user_name", "name", "email")))


def _list_request(origin: str, table: Table, query: str, *, limit: int) -> Request:
    return Request(
        "GET",
        _table_url(origin, table),
        query={**_shape(), "sysparm_query": query, "sysparm_limit": str(limit), "sysparm_no_count": "true"},
        headers={"Accept": "application/json"},
    )


def _table_url(origin: str, table: str) -> str:
    # Version 2 answers an empty list with 200 and [], where version 1 answers 404.
    return f"{origin}/api/now/v2/table/{table}"


def _shape() -> dict[str, str]:
    """Values for logic, labels for people, no links; and only what we use: all fields are slow and leak ciphertext."""
    return {
        "sysparm_display_value": "all",
        "sysparm_exclude_reference_link": "true",
        "sysparm_fields": ",".join(TICKET_FIELDS),
    }


def _json_headers() -> dict[str, str]:
    return {"Accept": "application/json", "Content-Type": "application/json"}


def _safe(text: str) -> str:
    # Our own markers hold no operator; a caret would end the condition.
    if "^" in text or not text:
        raise ValueError("this text may not enter a query")
    return text


def _sys_id(text: str) -> str:
    if not SYS_ID.fullmatch(text):
        raise ValueError("not a sys_id")
    return text


def _value(record: Mapping[str, Any], name: str) -> str:
    """The raw value; a field without read right is left out, and an empty reference is a string."""
    found = record.get(name, "")
    if isinstance(found, Mapping):
        found = found.get("value", "")
    return "" if found is None else str(found)


def _label(record: Mapping[str, Any], name: str) -> str:
    found = record.get(name, "")
    if isinstance(found, Mapping):
        found = found.get("display_value", "")
    return "" if found is None else str(found)


def _raise_for_status(answer: Answer, purpose: Purpose) -> None:
    match answer.status:
        case 200 | 201 | 204:
            return
        case 202:
            # A session queue that overflowed drops the call and answers 202 (KB0564204).
            raise Ambiguous(T("ServiceNow put the call aside without doing it. We will look and try again."))
        case 401:
            raise SignedOut(T("ServiceNow does not accept our access token."))
        case 403:
            raise Refused(_refusal(answer))
        case 404:
            raise Missing(T("ServiceNow has no such record, or its access rules hide it from the integration user."))
        case 429:
            raise throttled(answer)
        case status if 300 <= status < 400:
            raise _web_page(answer, purpose)
        case status if status >= 500:
            raise Broken(_breakdown(answer))
    raise Garbled(T("ServiceNow refused the request as malformed (status %(status)s).", status=answer.status))


def _refusal(answer: Answer) -> Text:
    if not answer.is_json():
        return T(
            "ServiceNow refused the call before looking at it (403 without details). An IP address rule of the "
            "instance may be in the way: ask its administrator to allow this server’s address."
        )
    said = _error_texts(answer)
    if said:
        return T("ServiceNow refused: %(reason)s", reason=said)
    return T("ServiceNow refused without saying why. Check the roles of the integration user.")


def _breakdown(answer: Answer) -> Text:
    if not answer.is_json():
        return T(
            "ServiceNow answered with an error page (status %(status)s). The instance may be starting, hibernating or "
            "under maintenance. We will try again.",
            status=answer.status,
        )
    return T("ServiceNow reported an internal error (status %(status)s). We will try again.", status=answer.status)


def _error_texts(answer: Answer) -> str:
    """The instance's own words, shortened; they name the rule or field that stands in the way."""
    try:
        error = answer.json_object().get("error")
    except Garbled:
        return ""
    if not isinstance(error, Mapping):
        return ""
    parts = [str(error.get(name) or "").strip() for name in ("message", "detail")]
    return " – ".join(part for part in parts if part)[:500]


def _web_page(answer: Answer, purpose: Purpose) -> Garbled | Ambiguous:
    """A page where data should be: the instance sleeps, or single sign-on stands in front of the API."""
    location = urlsplit(answer.header("location")).netloc
    sentence = T(
        "A web page answered in place of ServiceNow’s API%(where)s. The instance may be hibernating, or single sign-on "
        "may stand in front of it. Wake the instance up, or exempt the API, and try again.",
        where=f" ({location})" if location else "",
    )
    return Ambiguous(sentence) if purpose == "write" else Garbled(sentence)


def _unreadable(purpose: Purpose) -> Garbled | Ambiguous:
    sentence = T("ServiceNow’s answer broke off or is not in the agreed shape.")
    # A write with an unreadable answer may have been done: look before repeating.
    return Ambiguous(sentence) if purpose == "write" else Garbled(sentence, retry=None)
