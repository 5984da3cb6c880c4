"""What follows when an attempt ends in something that no one foresaw, such as an answer that cannot be stored.

A job that merely failed would be queued again for ever, and no person would be told. So the row itself counts: a few more
attempts, which look before they send like all others, and then it is held with a reason. Pure but for the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.core.job_retry import backoff_seconds
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.core.unforeseen import kind_of
from app.features.tickets.models import Outbound

log = get_logger(__name__)

# In a row. What is wrong with one answer is mostly wrong with the next one too.
BELIEVED_TIMES = 3
UNEXPECTED = "delivery.unexpected"


@dataclass(frozen=True)
class UnexpectedEnd:
    """`seconds` until the next attempt; None when the row is to be held."""

    problem: Message
    seconds: float | None


def after_unexpected(row: Outbound, error: Exception, *, sends: bool, now: datetime, log_fields: Any) -> UnexpectedEnd:  # noqa: ANN401
    """Count it on the row and say what follows. `sends`: the send itself ended so, and not a lookup or a note of it."""
    log.error("delivery.unexpected", **log_fields, attempt=row.attempts, error=kind_of(error), exc_info=error)
    times = _times_before(row) + 1
    if sends:
        # Counted besides, because a lookup that finds nothing in between ends the count in its problem.
        row.failures, row.failure_text = row.failures + 1, kind_of(error)
    if times >= BELIEVED_TIMES:
        return UnexpectedEnd(_problem(error, times), None)
    seconds = backoff_seconds(times)
    row.next_try_at = now + timedelta(seconds=seconds)
    return UnexpectedEnd(_problem(error, times), seconds)


def _times_before(row: Outbound) -> int:
    problem = Message.from_json(row.problem) if row.problem else None
    if problem is None or problem.code != UNEXPECTED:
        return 0
    times = str(problem.values.get("times", ""))
    return int(times) if times.isdecimal() and len(times) < 4 else 0


def _problem(error: Exception, times: int) -> Message:
    # The name of the error's class alone: its text may hold what came from outside.
    return T(
        "Something went wrong here that we did not foresee (%(kind)s, %(times)s times in a row). Nothing is lost. Retry: we "
        "look in ServiceNow before we send. If it stays so, an operator finds delivery.unexpected in the log.",
        code=UNEXPECTED,
        kind=kind_of(error),
        times=times,
    )
