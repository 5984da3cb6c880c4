"""What a row of the outbox says of its attempts: counted, refused, in doubt, held, queued again. Writes no other row."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.core import clock
from app.core.messages import Message
from app.features.tickets.delivery.next_step import is_failure
from app.features.tickets.models import Outbound
from app.features.tickets.types import Delivery
from app.integrations.http.errors import RemoteError, Throttled


def count_attempt(row: Outbound, now: datetime) -> None:
    row.attempts, row.attempted_at = row.attempts + 1, now


def note_send(row: Outbound, now: datetime, *, uncertain_seconds: float) -> None:
    """The row is about to be sent, and may be under way in ServiceNow until so long after."""
    row.sent_at, row.uncertain_until = now, now + timedelta(seconds=uncertain_seconds)
    row.turned_away = False


def note_outcome(row: Outbound, error: RemoteError, *, was_sent: bool) -> None:
    """What the answer to a send says of it besides its problem. `was_sent`: there was another send before it."""
    # A 429 of ServiceNow did nothing (docs/facts/servicenow.md#2-6-error-envelope), so where nothing else left, nothing is to
    # be looked for.
    if isinstance(error, Throttled) and error.is_surely_not_done and not was_sent:
        row.sent_at = None
    row.turned_away = error.is_at_the_door
    if error.is_final:
        row.uncertain_until = None
    if is_failure(error):
        row.failures, row.failure_text = row.failures + 1, error.remote_text


def is_uncertain(row: Outbound, now: datetime) -> bool:
    """Whether a send of this row may still be running in ServiceNow."""
    return row.uncertain_until is not None and now < row.uncertain_until


def seconds_in_flight(row: Outbound, now: datetime, *, attempt_seconds: float) -> float:
    """How long another attempt, which takes that long at most, may still wait for its answer; 0 when none does."""
    if row.in_flight_since is None:
        return 0.0
    return max(0.0, attempt_seconds - (now - row.in_flight_since).total_seconds())


def hold(row: Outbound, problem: Message) -> None:
    """Stop until a person has read the problem and acted."""
    row.delivery, row.problem = Delivery.HELD, problem.to_json()
    row.next_try_at, row.force_retry = None, False


def requeue(row: Outbound) -> None:
    """A person wants it tried again. What may have arrived is found first, as before."""
    row.delivery, row.problem = Delivery.QUEUED, None
    row.refusals, row.refusal_cause, row.refused_at = 0, None, None
    row.failures, row.failure_text = 0, ""
    row.next_try_at = clock.now()
