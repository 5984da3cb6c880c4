"""What is said and what is answered, as plain values; nothing here is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from math import isnan
from typing import Any

from app.core import clock
from app.core.errors import Retry
from app.core.messages import T
from app.integrations.http.errors import InvalidResponse, Throttled

# Times that are named are obeyed; one beyond this is a mistake, and waiting longer would help nobody.
LONGEST_NAMED_WAIT_SECONDS = 86_400.0


@dataclass(frozen=True)
class Request:
    """A request about to be sent. `form` and `body` exclude each other; `body` is sent as JSON."""

    method: str
    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    body: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class RemoteResponse:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """The header's value, or an empty string."""
        return self.headers.get(name.lower(), "")

    def is_json(self) -> bool:
        """Whether it claims to be JSON."""
        return "json" in self.header("content-type").lower()

    def json(self) -> Any:  # noqa: ANN401 - whatever JSON holds.
        """The body as JSON. Raises Garbled when it is none: web pages with status 200 are a known trap."""
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
        except (ValueError, RecursionError) as error:
            raise self._no_json() from error

    def _no_json(self) -> InvalidResponse:
        kind = self.header("content-type") or "plain text"
        return InvalidResponse(T("The answer is not JSON (it looks like %(kind)s).", kind=kind))

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises Garbled when it is anything else."""
        value = self.json()
        if not isinstance(value, dict):
            raise InvalidResponse(T("The answer is JSON, but not an object."))
        return value


@dataclass(frozen=True)
class CallLogEntry:
    """What may be remembered of a call: no query, no header of ours, no body. `status` is 0 when no answer came.

    `transaction_id` is ServiceNow's own number of the call, by which its administrators find it in their logs.
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
    """Seconds from Retry-After, given as a number or as a date (RFC 9110 10.2.3); None when absent or unreadable."""
    value = answer.header("retry-after").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - clock.now()).total_seconds()
        except (ValueError, TypeError):
            return None
    if isnan(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_NAMED_WAIT_SECONDS)


def named_retry(answer: RemoteResponse) -> Retry | None:
    """Again, but not before the time that the answer names; None when it names none."""
    seconds = named_wait(answer)
    return None if seconds is None else Retry.after(seconds)


def throttled(answer: RemoteResponse) -> Throttled:
    """The error for a 429, with the time it names."""
    return Throttled(seconds=named_wait(answer))
