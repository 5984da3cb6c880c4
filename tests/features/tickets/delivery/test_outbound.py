"""The rules of the outbound state machine, each by calling it: what follows from an error, and from what a row says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.core.clock import SetClock
from app.core.errors import AppError, RetryLater
from app.core.messages import T
from app.features.connection.gateway import NotConnected
from app.features.tickets.delivery.next_step import (
    BELIEVED_REFUSALS,
    NextStep,
    is_refusal,
    next_step,
    refusal_cause,
)
from app.features.tickets.delivery.outbound import (
    ATTEMPT_SECONDS,
    LOOKUP_INTERVAL_SECONDS,
    UNCERTAIN_SECONDS,
)
from app.features.tickets.delivery.outbox_row import hold, is_uncertain, requeue, seconds_in_flight
from app.features.tickets.models import Outbound, Ticket, TicketNote
from app.integrations.http.errors import (
    Ambiguous,
    Forbidden,
    InvalidResponse,
    QueryIgnored,
    RecordNotFound,
    RemoteError,
    ServerError,
    Throttled,
    Unauthorized,
    Unreachable,
)

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
PASSING = [Unreachable(), Ambiguous(), Throttled(seconds=7), ServerError(), Unauthorized(), InvalidResponse()]
REFUSALS = [Forbidden(), RecordNotFound(), QueryIgnored()]


def instance_wide(error: RemoteError) -> RemoteError:
    """As for a page of an address filter in front of the instance: it stands in the way of every call."""
    error.is_instance_wide = True
    return error


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("refusals", "sends", "step"),
    [
        (1, True, NextStep.RETRY),
        (1, False, NextStep.RETRY),
        (BELIEVED_REFUSALS, True, NextStep.HOLD),
        (BELIEVED_REFUSALS, False, NextStep.HOLD_IN_DOUBT),
        (BELIEVED_REFUSALS + 1, True, NextStep.HOLD),
    ],
)
def test_two_refusals_are_believed_and_a_refused_lookup_leaves_a_doubt(
    error: RemoteError, refusals: int, sends: bool, step: NextStep
) -> None:
    assert is_refusal(error)
    assert next_step(error, refusals=refusals, sends=sends) is step


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("sends", [True, False])
def test_every_other_failure_is_tried_again_without_limit(error: RemoteError, sends: bool) -> None:
    assert not is_refusal(error)
    assert next_step(error, refusals=BELIEVED_REFUSALS, sends=sends) is NextStep.RETRY


@pytest.mark.parametrize(
    "error", [Forbidden(), RecordNotFound(), QueryIgnored()], ids=lambda error: type(error).__name__
)
def test_what_stands_in_the_way_of_every_call_is_no_refusal_of_this_one(error: RemoteError) -> None:
    assert not is_refusal(instance_wide(error))


@pytest.mark.parametrize("error", [NotConnected(), RetryLater(1.0)])
def test_what_never_reached_servicenow_is_no_refusal(error: AppError) -> None:
    assert not is_refusal(error)


@pytest.mark.parametrize(
    ("since", "seconds"),
    [(None, 0), (0, ATTEMPT_SECONDS), (ATTEMPT_SECONDS - 1, 1), (ATTEMPT_SECONDS, 0), (10_000, 0)],
)
def test_an_attempt_is_waited_for_until_it_must_be_dead(since: float | None, seconds: float) -> None:
    row = TicketNote(in_flight_since=None if since is None else NOW - timedelta(seconds=since))
    assert seconds_in_flight(row, NOW, attempt_seconds=ATTEMPT_SECONDS) == seconds


@pytest.mark.parametrize(("ends_in", "uncertain"), [(None, False), (-1, False), (0, False), (1, True)])
def test_a_send_is_uncertain_until_its_time_has_passed(ends_in: float | None, uncertain: bool) -> None:
    row = Ticket(uncertain_until=None if ends_in is None else NOW + timedelta(seconds=ends_in))
    assert is_uncertain(row, NOW) is uncertain


@pytest.mark.fact("servicenow 5")
def test_a_send_counts_as_uncertain_for_longer_than_servicenow_lets_it_run() -> None:
    assert UNCERTAIN_SECONDS > 300
    assert LOOKUP_INTERVAL_SECONDS < UNCERTAIN_SECONDS


@pytest.mark.parametrize("row", [Ticket(), TicketNote()], ids=["ticket", "note"])
def test_a_held_row_waits_for_a_person_and_keeps_its_doubt(row: Outbound) -> None:
    row.delivery, row.force_retry, row.next_try_at, row.uncertain_until = "queued", True, NOW, NOW
    hold(row, T("Refused."))
    assert row.delivery == "held"
    assert not row.force_retry
    assert row.next_try_at is None
    assert row.problem == T("Refused.").to_json()
    assert row.uncertain_until == NOW


def test_the_cause_of_a_refusal_is_a_code_and_the_instances_own_words() -> None:
    worded, reworded = (Forbidden(T(sentence, code="servicenow.refused")) for sentence in ("Refused.", "Not allowed."))
    worded.remote_text = reworded.remote_text = "ACL Exception"
    assert refusal_cause(worded) == refusal_cause(reworded) == "servicenow.refused ACL Exception"
    reworded.remote_text = "Data Policy Exception"
    assert refusal_cause(worded) != refusal_cause(reworded)
    assert refusal_cause(RecordNotFound()) == "RecordNotFound"


@pytest.mark.parametrize("row", [Ticket(), TicketNote()], ids=["ticket", "note"])
def test_a_row_that_is_queued_again_has_no_refusals_and_is_still_known_to_have_been_sent(
    row: Outbound, still_clock: SetClock
) -> None:
    row.delivery, row.refusals, row.problem, row.attempts, row.sent_at = "held", 2, T("Refused.").to_json(), 4, NOW
    row.refusal_cause = "servicenow.refused"
    requeue(row)
    assert (row.delivery, row.refusals) == ("queued", 0)
    assert row.refusal_cause is None
    assert row.problem is None
    assert (row.attempts, row.sent_at) == (4, NOW)
    assert row.next_try_at is not None
