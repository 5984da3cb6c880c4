"""Requests, responses and call log entries as plain values. Sends nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from math import isnan
from typing import Any

from app.core import clock
from app.core.bounds import line
from app.core.errors import Retry
from app.core.messages import T
from app.integrations.http.errors import InvalidResponse, Throttled
from app.integrations.http.response_body import TOO_LARGE

# A Retry-After is obeyed up to a day; a longer one is a mistake at the other side.
LONGEST_NAMED_WAIT_SECONDS = 86_400.0
# Bounds memory. Python's objects take some thirty times the bytes of the smallest JSON.
LARGEST_ANSWER_BYTES = 8 * 1024 * 1024
LONGEST_CONTENT_TYPE = 80


@dataclass(frozen=True)
class Request:
    """A request about to be sent. `form` and `body` exclude each other; `body` is sent as JSON.

    `largest_answer` is in bytes, both as it is received and unpacked. A request that has not left by `leave_by`, in seconds of
    `clock.seconds_awake_and_asleep`, is not sent any more.
    """

    method: str
    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    body: Any = field(default=None, repr=False)
    largest_answer: int = LARGEST_ANSWER_BYTES
    leave_by: float | None = None


@dataclass(frozen=True)
class RemoteResponse:
    """A complete response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")

    def is_json(self) -> bool:
        return "json" in self.header("content-type").lower()

    def json(self) -> Any:  # noqa: ANN401 - whatever JSON holds.
        """The body as JSON. Raises InvalidResponse otherwise."""
        # Web pages with status 200 are a known trap: docs/facts/servicenow.md#trap-1
        try:
            return json.loads(self.body)
        except json.JSONDecodeError as error:
            if not self.is_json():
                raise self._no_json() from error
            raise InvalidResponse(
                T(
                    "The answer is not complete JSON: it breaks off or goes wrong at character %(position)s.",
                    position=error.pos,
                )
            ) from error
        except MemoryError as error:
            raise InvalidResponse(TOO_LARGE) from error
        # Text that is no UTF-8, a number of thousands of digits, and hostile nesting.
        except (ValueError, RecursionError) as error:
            raise self._no_json() from error

    def _no_json(self) -> InvalidResponse:
        kind = line(self.header("content-type"), LONGEST_CONTENT_TYPE) or "plain text"
        return InvalidResponse(T("The answer is not JSON (it looks like %(kind)s).", kind=kind))

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises InvalidResponse otherwise."""
        value = self.json()
        if not isinstance(value, dict):
            raise InvalidResponse(T("The answer is JSON, but not an object."))
        return value


@dataclass(frozen=True)
class CallLogEntry:
    """What may be stored of a call: no query, no request header, no body. `status` is 0 when no answer came.

    `transaction_id` is ServiceNow's X-Transaction-ID, by which its administrators find the call in their logs
    (docs/facts/servicenow.md#2-7-response-headers-on-a-real-call).
    """

    at: datetime
    method: str
    host: str
    path: str
    status: int
    outcome: str
    milliseconds: int
    transaction_id: str
    correlation_id: str


def named_wait(answer: RemoteResponse) -> float | None:
    """Seconds from Retry-After, 0 to 86,400; None when it is absent or unreadable."""
    # A number of seconds or an HTTP date: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    value = answer.header("retry-after").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - clock.now()).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    if isnan(seconds):  # float() reads "nan", which compares as neither smaller nor larger.
        return None
    return min(max(seconds, 0.0), LONGEST_NAMED_WAIT_SECONDS)


def named_retry(answer: RemoteResponse) -> Retry | None:
    """A retry at the time that the response names; None when it names none."""
    seconds = named_wait(answer)
    return None if seconds is None else Retry.after(seconds)


def throttled(answer: RemoteResponse) -> Throttled:
    return Throttled(seconds=named_wait(answer))


def clock_ahead(answer: RemoteResponse, sent_at: float, received_at: float) -> float | None:
    """Seconds by which the other clock is ahead of ours; `sent_at` and `received_at` are our times, seconds since 1970."""
    try:
        theirs = parsedate_to_datetime(answer.header("date")).timestamp()
    except (TypeError, ValueError):
        return None
    # The Date header was written about halfway between sending and receiving.
    return theirs - (sent_at + received_at) / 2
