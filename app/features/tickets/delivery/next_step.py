"""What follows from an attempt that failed. Pure: reads and writes no rows, and calls nothing."""

from __future__ import annotations

from enum import StrEnum

from app.core.errors import AppError
from app.core.messages import Message, T
from app.integrations.http.errors import Forbidden, QueryIgnored, RecordNotFound, RemoteError, ServerError
from app.integrations.servicenow.parse_response import UNREADABLE

# ServiceNow refuses intermittently (docs/facts/servicenow.md#sandbox-49), and refuses what it has done
# (docs/facts/servicenow.md#trap-4). So a refusal ends the delivery only when the create is refused twice and a lookup
# in between finds no record.
BELIEVED_REFUSALS = 2
# A rule of the instance may fail for one record each time, and such a 500 looks like one that passes. So many sends in a
# row, each after a lookup that found nothing, take about twenty minutes.
BELIEVED_FAILURES = 8


class NextStep(StrEnum):
    """What follows from a failed attempt."""

    RETRY = "retry"
    HOLD = "hold"
    HOLD_IN_DOUBT = "hold_in_doubt"


def is_refusal(error: AppError) -> bool:
    """Whether ServiceNow refused this one row, and not every call."""
    return isinstance(error, Forbidden | RecordNotFound | QueryIgnored) and not error.is_instance_wide


def refusal_cause(error: RemoteError) -> str:
    """What refused, the same for every row with that cause and for every version of ours.

    The code of the message and the instance's own words, which name the rule or the field. Never our sentence
    (docs/decisions/0005-codes-not-sentences.md).
    """
    return f"{error.code or type(error).__name__} {error.remote_text}".rstrip()


def is_failure(error: AppError) -> bool:
    """Whether ServiceNow itself failed at this one row, or gave an answer that says nothing, and has finished with it.

    Any other 5xx, as a page or from a gateway, is an outage: it passes, however long it takes.
    """
    failed = isinstance(error, ServerError) or error.code == UNREADABLE
    return failed and isinstance(error, RemoteError) and error.is_final and not error.is_instance_wide


def next_step(error: RemoteError, *, refusals: int, sends: bool, turned_away: bool = False) -> NextStep:
    """What follows from `error`, once `refusals` of this row are counted. `sends`: the send was refused, no lookup.

    `turned_away`: the newest send was refused before ServiceNow looked at it. A lookup that is refused in the same way
    raises no doubt about it.
    """
    if not is_refusal(error) or refusals < BELIEVED_REFUSALS:
        return NextStep.RETRY
    surely_not_done = sends or (turned_away and error.is_at_the_door)
    return NextStep.HOLD if surely_not_done else NextStep.HOLD_IN_DOUBT


def failing_message(times: int, words: str) -> Message:
    """Why a row is held at which ServiceNow failed so many times; `words` are its own, which name the rule."""
    return T(
        "ServiceNow took this %(times)s times, answered each time with an internal error or with something that cannot be "
        "read, and kept nothing of it: %(reason)s. A rule of the instance may be failing. Ask its administrator to look at "
        "it, then retry.",
        code="delivery.failing",
        times=times,
        reason=words or T("it gave no details"),
    )
