"""Parse ServiceNow's responses into values, or into the RemoteError that they mean. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from app.core import clock
from app.core.bounds import LONGEST_CODE, LONGEST_LABEL, LONGEST_NUMBER, LONGEST_TEXT, exact, finite, first, line
from app.core.messages import Message, T
from app.integrations.http.errors import (
    Ambiguous,
    Forbidden,
    InvalidResponse,
    RecordNotFound,
    RemoteError,
    ServerError,
    Throttled,
    Unauthorized,
)
from app.integrations.http.http_types import LONGEST_NAMED_WAIT_SECONDS, RemoteResponse, named_retry, named_wait
from app.integrations.servicenow.auth_scope import SCOPE_MISSING, is_scope_refusal
from app.integrations.servicenow.error_envelope import API_ACL, error_texts, is_servicenows
from app.integrations.servicenow.protocol import ODD_SYS_ID, TIME_FORMAT
from app.integrations.servicenow.schemas import (
    FieldChoice,
    Listed,
    Release,
    RemoteTicket,
    RemoteUser,
    Table,
)

Purpose = Literal["read", "write"]
# The code of an answer of the instance itself that says nothing.
UNREADABLE = "servicenow.unreadable"
# Columns of one record: the fields that we follow and those that were set.
MOST_COLUMNS = 200
MOST_CHOICES = 500
# Refusals of one record have codes: the circuit breaker compares those, and never these sentences.
NO_RECORD = T(
    "ServiceNow has no such record, or its access rules hide it from the integration user.", code="servicenow.no_record"
)
WITHOUT_BODY = T(
    "ServiceNow took the request, but its answer is empty and names no record. We look for it before we try again."
)
Failed = TypeVar("Failed", bound=RemoteError)


def parse_time(text: str) -> datetime | None:
    """A time of the Table API, which is UTC; None when it is empty or unreadable."""
    try:
        return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def canonical_state(value: object) -> str:
    """A state as the Table API writes it."""
    # The Change Management API gives -5.0 where the Table API gives "-5": docs/facts/servicenow.md#3-5-change-management
    text = line(value, LONGEST_NUMBER)
    if re.fullmatch(r"-?[0-9]{1,9}(\.0+)?", text):
        return str(int(float(text)))
    return text


def result_of(answer: RemoteResponse, *, purpose: Purpose = "read") -> Any:  # noqa: ANN401 - an object or a list, as asked.
    """The `result` of a good response. Raises the RemoteError that a bad one means."""
    # By status and by JSON or not, never by English prose, which differs between releases: docs/facts/servicenow.md#trap-31
    _raise_for_status(answer, purpose)
    if purpose == "write" and not answer.body.strip():
        # No page has an empty body: it was ServiceNow that answered, and no other call is held up.
        raise _final(Ambiguous(WITHOUT_BODY))
    if not answer.is_json():
        raise _web_page(answer, purpose)
    try:
        content = answer.json_object()
    except InvalidResponse as error:
        raise _unreadable(purpose) from error
    if "error" in content or "result" not in content:
        # A canceled transaction appends `error` to a partial `result`, with status 200 (KB0778443):
        # docs/facts/servicenow.md#sandbox-44
        raise _unreadable(purpose)
    return content["result"]


def named_limit(answer: RemoteResponse) -> int | None:
    """Requests per hour that a rate limit rule allows us; None where no rule applies, which is usual."""
    # docs/facts/servicenow.md#5-limits-failures-sleeping-instances
    limit = answer.header("x-ratelimit-limit").strip()
    return int(limit) if limit.isascii() and limit.isdigit() and 0 < len(limit) < 9 else None


def counted(answer: RemoteResponse) -> int | None:
    """How many records match, including those that access rules hide; None when the response does not say."""
    # docs/facts/servicenow.md#2-5-pagination-headers
    total = answer.header("x-total-count").strip()
    return int(total) if total.isascii() and total.isdigit() and len(total) < 10 else None


def answered_at(answer: RemoteResponse) -> datetime | None:
    """The Date header: the instance's clock, to the second; None when it is missing or unreadable."""
    try:
        moment = parsedate_to_datetime(answer.header("date"))
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


def ticket_of(record: Any) -> RemoteTicket:  # noqa: ANN401 - straight from JSON.
    """One record of `sysparm_display_value=all`. Raises InvalidResponse for another shape, or without a usable sys_id.

    In the other shapes a display value cannot be told from a raw one, so a label would be taken for a state, and a time
    of the user's zone for UTC (docs/facts/servicenow.md#2-4-json-shapes).
    """
    if not isinstance(record, Mapping) or not _has_raw_values(record):
        raise InvalidResponse(T("ServiceNow’s answer is not in the shape that was asked for."))
    # Compared in lower case: some instances and imports write it in capitals, docs/facts/other-connectors.md#bug-26
    sys_id = value_of(record, "sys_id").lower()
    if not ODD_SYS_ID.fullmatch(sys_id):
        raise InvalidResponse(T("ServiceNow’s answer names no record."))
    return RemoteTicket(
        sys_id=sys_id,
        number=line(value_of(record, "number"), LONGEST_NUMBER),
        table=line(value_of(record, "sys_class_name"), LONGEST_CODE),
        state=canonical_state(_raw(record, "state")),
        state_label=label_of(record, "state"),
        priority=canonical_state(_raw(record, "priority")),
        assigned_to=label_of(record, "assigned_to") or label_of(record, "assignment_group"),
        correlation_id=value_of(record, "correlation_id", LONGEST_LABEL),
        correlation_display=value_of(record, "correlation_display", LONGEST_LABEL),
        created_at=parse_time(value_of(record, "sys_created_on")),
        updated_at=parse_time(value_of(record, "sys_updated_on")),
        values={exact(name, LONGEST_CODE): value_of(record, name) for name in first(record, MOST_COLUMNS)},
    )


def _has_raw_values(record: Mapping[str, Any]) -> bool:
    # One field tells: an instance shapes all of a record alike. The state, because a label there would do most harm.
    state = record.get("state") or {}
    return isinstance(state, Mapping) and ("value" in state or not state)


def tickets_of(result: Any) -> list[RemoteTicket]:  # noqa: ANN401 - straight from JSON.
    return [ticket_of(record) for record in rows_of(result)]


def listed(answer: RemoteResponse) -> Listed:
    """One page of a list, with its count and the instance's time. Raises the RemoteError that a bad response means."""
    return Listed(tickets_of(result_of(answer)), counted(answer), answered_at(answer))


def rows_of(result: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - straight from JSON.
    """A list of plain rows. Raises InvalidResponse otherwise."""
    if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
        raise InvalidResponse(T("ServiceNow answered with something else than a list."))
    return result


def choices_of(result: Any, table: Table, element: str) -> list[FieldChoice]:  # noqa: ANN401 - straight from JSON.
    """The choices in the instance's order. Rows of the table replace those of its parent `task`.

    Inactive choices are included, because tickets may still be in such a state, but only where no active one has the same
    value. English labels win; another language is taken only where there is no English one.
    """
    rows = [
        row
        for row in rows_of(result)
        # Checked again: an instance drops a condition that it does not understand, and then everything matches.
        # docs/facts/servicenow.md#trap-6
        if row.get("element") == element and row.get("name") in (table, "task")
    ]
    # Also where the instance refuses to sort them.
    rows.sort(key=sequence_of)
    own = [row for row in rows if row.get("name") == table] or rows
    best: dict[str, dict[str, Any]] = {}
    for row in own:
        value = canonical_state(row.get("value", ""))
        if value not in best or _choice_rank(row) < _choice_rank(best[value]):
            best[value] = row
    return [
        FieldChoice(value, line(row.get("label"), LONGEST_LABEL)) for value, row in first(best.items(), MOST_CHOICES)
    ]


def _choice_rank(row: Mapping[str, Any]) -> tuple[bool, bool]:
    return canonical_state(row.get("inactive", "")) == "true", row.get("language", "en") != "en"


def release_of(answer: RemoteResponse) -> Release | None:
    """The release that the properties name; None when they name none."""
    values = {
        line(row.get("name"), LONGEST_CODE): line(row.get("value"), LONGEST_LABEL) for row in rows_of(result_of(answer))
    }
    tag = values.get("glide.buildtag", "")
    # glide-australia-02-11-2026__patch1-…: the family is the word after `glide-`.
    # docs/facts/servicenow.md#7-which-release-is-the-instance-on
    found = re.match(r"glide-([a-z]+)", tag.lower())
    family = line(found.group(1) if found else values.get("glide.buildname", "").lower(), LONGEST_NUMBER)
    return Release(build=tag, family=family) if tag or family else None


def user_of(answer: RemoteResponse) -> RemoteUser | None:
    """The user of the token, if exactly one row came; any other number tells nothing."""
    rows = rows_of(result_of(answer))
    if len(rows) != 1:
        return None
    row = rows[0]
    sys_id = exact(row.get("sys_id"), LONGEST_CODE)
    return RemoteUser(
        sys_id if ODD_SYS_ID.fullmatch(sys_id) else "",
        *(line(row.get(name), LONGEST_LABEL) for name in ("user_name", "name", "email")),
    )


def _raw(record: Mapping[str, Any], name: str) -> object:
    found = record.get(name, "")
    return found.get("value", "") if isinstance(found, Mapping) else found


def value_of(record: Mapping[str, Any], name: str, longest: int = LONGEST_TEXT) -> str:
    """The raw value, letter by letter as it came, without what cannot be stored."""
    # Any of the shapes of docs/facts/servicenow.md#2-4-json-shapes; a field without read right is missing, and reads as empty.
    return exact(_raw(record, name), longest)


def shown_of(record: Mapping[str, Any], name: str) -> object:
    """The display value, whatever JSON it is."""
    found = record.get(name, "")
    return found.get("display_value", "") if isinstance(found, Mapping) else found


def label_of(record: Mapping[str, Any], name: str) -> str:
    """The display value in one line."""
    return line(shown_of(record, name), LONGEST_LABEL)


def sequence_of(choice: Mapping[str, Any]) -> float:
    """The place of a choice in its list; 0 where it cannot be read."""
    return finite(_raw(choice, "sequence"), -1e9, 1e9) or 0.0


def _raise_for_status(answer: RemoteResponse, purpose: Purpose) -> None:
    match answer.status:
        case 200 | 201 | 204:
            return
        case 202:
            # A session queue that is full drops the call and answers 202 (KB0564204): docs/facts/servicenow.md#trap-2
            raise _final(Ambiguous(T("ServiceNow put the call aside without doing it. We will look and try again.")))
        case 401:
            raise Unauthorized(T("ServiceNow does not accept our access token."))
        case 403:
            # A 403 without JSON is an address rule in front of the instance: docs/facts/servicenow.md#sandbox-47
            raise _forbidden(answer)
        case 404 if is_servicenows(answer):
            raise RecordNotFound(NO_RECORD)
        case 429:
            raise _rate_limited(answer)
        case status if 300 <= status < 400:
            raise _web_page(answer, purpose)
        case status if status >= 500:
            raise _server_error(answer)
    # Without ServiceNow's envelope, another program answered: a retired address, or a gateway in front of the instance.
    raise _malformed(answer) if is_servicenows(answer) else _other_responder(answer, purpose)


def _server_error(answer: RemoteResponse) -> ServerError:
    # Only a 500 in ServiceNow's own envelope says that it has finished with the call. Any other answer, page or JSON,
    # comes from in front of the instance, which may still be working on it: docs/facts/servicenow.md#sandbox-43
    error = ServerError(_breakdown(answer), retry=named_retry(answer))
    error.remote_text = error_texts(answer)
    if not is_servicenows(answer):
        return _instance_wide(error)
    return _final(error) if answer.status == 500 else error


def _forbidden(answer: RemoteResponse) -> Forbidden:
    said = error_texts(answer)
    # The client is refused before the API looks at the call: docs/facts/servicenow.md#2-6-error-envelope
    lacks_scope = is_scope_refusal(said)
    error = Forbidden(SCOPE_MISSING if lacks_scope else _refusal(answer))
    error.remote_text, error.is_at_the_door = said, lacks_scope or API_ACL in said
    return _instance_wide(error) if lacks_scope or not answer.is_json() else error


def _refusal(answer: RemoteResponse) -> Message:
    if not answer.is_json():
        return T(
            "ServiceNow refused the call before looking at it (403 without details). An IP address rule of the "
            "instance may be in the way: ask its administrator to allow this server’s address."
        )
    said = error_texts(answer)
    if said:
        return T("ServiceNow refused: %(reason)s", code="servicenow.refused", reason=said)
    return T(
        "ServiceNow refused without saying why. Check the roles of the integration user.",
        code="servicenow.refused_without_reason",
    )


def _malformed(answer: RemoteResponse) -> Forbidden:
    said = error_texts(answer)
    error = Forbidden(
        T(
            "ServiceNow would not take the request (status %(status)s: %(reason)s).",
            code="servicenow.request_refused",
            status=answer.status,
            reason=said or line(answer.header("content-type"), LONGEST_CODE) or "–",
        )
    )
    error.remote_text = said
    return error


def _breakdown(answer: RemoteResponse) -> Message:
    if not answer.is_json():
        return T(
            "ServiceNow answered with an error page (status %(status)s). The instance may be starting, hibernating or "
            "under maintenance. We will try again.",
            status=answer.status,
        )
    said = error_texts(answer)
    if said:
        # The only clue to a rule that fails each time: docs/facts/servicenow.md#2-6-error-envelope
        return T(
            "ServiceNow reported an internal error (status %(status)s): %(reason)s. We will try again.",
            status=answer.status,
            reason=said,
        )
    return T("ServiceNow reported an internal error (status %(status)s). We will try again.", status=answer.status)


def _web_page(answer: RemoteResponse, purpose: Purpose) -> InvalidResponse | Ambiguous:
    # HTML in place of data: the instance hibernates, or single sign-on stands in front of the API.
    # docs/facts/servicenow.md#sandbox-46
    location = _host_of(answer.header("location"))
    sentence = T(
        "A web page answered in place of ServiceNow’s API%(where)s. The instance may be hibernating, or single sign-on "
        "may stand in front of it. Wake the instance up, or exempt the API, and try again.",
        where=f" ({location})" if location else "",
    )
    return _not_done(sentence, purpose)


def _host_of(address: str) -> str:
    try:
        return line(urlsplit(address).netloc, LONGEST_LABEL)
    except ValueError:
        return ""


def _other_responder(answer: RemoteResponse, purpose: Purpose) -> InvalidResponse | Ambiguous:
    sentence = T(
        "Something other than ServiceNow answered at its address (status %(status)s). The instance may have been moved or "
        "retired, or a gateway in front of it does not let us through. Nothing is lost; we try again.",
        status=answer.status,
    )
    return _not_done(sentence, purpose)


def _not_done(sentence: Message, purpose: Purpose) -> InvalidResponse | Ambiguous:
    return _instance_wide(_final(Ambiguous(sentence)) if purpose == "write" else InvalidResponse(sentence))


def _unreadable(purpose: Purpose) -> InvalidResponse | Ambiguous:
    sentence = T("ServiceNow’s answer broke off or is not in the agreed shape.", code=UNREADABLE)
    # A write with an unreadable answer may have been done, so it is reconciled before it is repeated.
    return _final(Ambiguous(sentence)) if purpose == "write" else InvalidResponse(sentence)


def _final(error: Failed) -> Failed:
    # The instance answered, so it has finished with the call.
    error.is_final = True
    return error


def _instance_wide(error: Failed) -> Failed:
    # It was not the application that answered, so every other call would end the same way.
    error.is_instance_wide = True
    return error


def _rate_limited(answer: RemoteResponse) -> Throttled:
    # The time is in Retry-After or in X-RateLimit-Reset (seconds since 1970), and often in neither.
    # docs/facts/servicenow.md#sandbox-42
    seconds = named_wait(answer)
    reset = answer.header("x-ratelimit-reset").strip()
    if seconds is None and reset.isascii() and reset.isdigit():
        left = int(reset[:12]) - clock.now().timestamp()
        seconds = min(max(left, 0.0), LONGEST_NAMED_WAIT_SECONDS)
    error = Throttled(T("ServiceNow asks us to slow down. We go on later."), seconds=seconds)
    # A full queue has no envelope. A gateway that asks a second node after the first one's silence has a page of its own.
    error.is_surely_not_done = is_servicenows(answer) or not answer.body.strip()
    return error
