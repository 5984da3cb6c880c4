"""The pace at which one instance is called, shared by all processes: pauses with backoff, and an hourly budget. Calls nothing.

A pause is exponential backoff with jitter. It begins after a failure of the whole instance and ends by its time; then one
call goes alone (the probe, a half-open circuit), and its success lets all others go on at once. Every other outcome that
comes meanwhile is of a call that began before the pause did: it neither ends the pause, nor makes it grow.

Lock order: a transaction that locks this row locks it before any other row, those of tickets included. Two transactions
that lock the same rows in opposite orders would wait for each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError
from app.core.job_retry import backoff_seconds
from app.core.messages import Message, T
from app.features.connection.models import InstanceThrottle
from app.integrations.http.errors import Forbidden, QueryIgnored, RecordNotFound, RemoteError, Throttled

# Requests per clock hour that polling may use. An instance without a rate limit rule allows any number, and one with a rule
# counts per user and hour: docs/facts/servicenow.md#2-6-error-envelope
BUDGET = 1000
# Where the instance names a limit of its own (X-RateLimit-Limit), polling uses this part of it; the rest is for sharing.
PART_OF_NAMED_LIMIT = 0.8
# Failures in a row, each of one call only (a lost answer, a 500), after which the whole instance is paused.
FAILURES_BEFORE_PAUSE = 3
# Long enough to spare an instance that restarts, short enough for a person who waits for tickets to flow again.
LONGEST_PAUSE_SECONDS = 300.0
# `Retry-After: 0` has been seen: docs/facts/servicenow.md#sandbox-42
SHORTEST_PAUSE_SECONDS = 1.0
# A 429 without a time is a full queue of one node, which empties within moments. Doubled for each further failure in a
# row: ten minutes of nothing but 429 see about a dozen probes. docs/facts/servicenow.md#5-limits-failures-sleeping-instances
FIRST_THROTTLED_PAUSE_SECONDS = 0.1
# A pause that ends so soon is waited for where the call is made; a longer one gives the place to other work.
BRIEF_PAUSE_SECONDS = 2.0
# After a pause one call goes alone, to see whether the instance answers again (the probe). The others wait this long at
# most for its outcome: a whole call takes 40 s at most (app/integrations/http/transport.py).
LONGEST_WAIT_FOR_PROBE_SECONDS = 60.0


@dataclass(frozen=True)
class Deferral:
    """No call now, but after `seconds`; `reason` is for people, None when only no slot was free.

    `is_brief`: worth waiting for in place. A pause that ends within moments, or a probe, whose end wakes those who wait.
    """

    seconds: float
    reason: Message | None
    is_brief: bool = False


@dataclass(frozen=True)
class Usage:
    """Requests of this clock hour, how many polling may use, and when the next hour begins."""

    used: int
    budget: int
    renews_at: datetime


async def throttle_of(session: Session, connection_id: UUID) -> InstanceThrottle:
    """The connection's row, locked until the transaction ends; made when there is none."""
    throttle = await session.get(InstanceThrottle, connection_id, with_for_update=True)
    if throttle is not None:
        return throttle
    # Two processes may both find none: the second insert does nothing.
    await session.execute(insert(InstanceThrottle).values(connection_id=connection_id).on_conflict_do_nothing())
    return await session.get_one(InstanceThrottle, connection_id, with_for_update=True)


def pause_of(throttle: InstanceThrottle) -> Deferral | None:
    """The pause that the instance is in, or the probe after it that has no outcome yet; None when neither is."""
    now = clock.now()
    until = _held_until(throttle)
    if until is None or until <= now:
        return None
    reason = Message.from_json(throttle.reason) if throttle.reason else None
    seconds = (until - now).total_seconds()
    is_probing = throttle.paused_until is None or throttle.paused_until <= now
    return Deferral(seconds, reason, is_brief=is_probing or seconds <= BRIEF_PAUSE_SECONDS)


def _held_until(throttle: InstanceThrottle) -> datetime | None:
    """Until when calls are held: by the pause, else by its probe."""
    if throttle.paused_until is not None and throttle.paused_until > clock.now():
        return throttle.paused_until
    return throttle.probe_until


async def own_backoff(session: Session, connection_id: UUID, error: RemoteError, attempts: int) -> float:
    """Seconds before that which failed with `error`, after so many attempts of its own, is tried again. Locks nothing.

    What was answered with 429 was surely not done, so it waits for the instance's pause and no longer.
    """
    if not isinstance(error, Throttled):
        return backoff_after(error, attempts)
    throttle = await session.get(InstanceThrottle, connection_id, populate_existing=True)
    pause = pause_of(throttle) if throttle is not None else None
    return pause.seconds if pause is not None else backoff_after(error, 1)


def pause_message(throttle: InstanceThrottle | None) -> Message | None:
    """Why nothing is sent just now and until when, for people; None when there is no pause, or no reason to tell.

    A probe is no pause: the instance is asked at this moment. Pages know its row only by the columns of topic `poll`.
    """
    pause = pause_of(throttle) if throttle is not None else None
    until = throttle.paused_until if throttle is not None else None
    if until is None or until <= clock.now() or pause is None or pause.reason is None:
        return None
    # An instance may name a day (LONGEST_NAMED_WAIT_SECONDS): without the date, tomorrow would be read as today.
    time = f"{until:%H:%M:%S}" if until.date() == clock.now().date() else f"{until:%Y-%m-%d %H:%M:%S}"
    return T("%(reason)s We ask again at %(time)s UTC.", reason=pause.reason, time=time)


def check_allowed(throttle: InstanceThrottle, *, requests: int = 0) -> Deferral | None:
    """Why no call may be made now, or None. `requests` is how many the budget has to allow, 0 to ignore it.

    The first call after a pause may be made and holds all others back, until its outcome is known (the probe).
    """
    paused = pause_of(throttle)
    if paused is not None:
        return paused
    now = clock.now()
    so_far = usage(throttle)
    if requests and so_far.used + requests > so_far.budget:
        sentence = T(
            "This hour’s budget of %(budget)s requests to ServiceNow is used up. We go on at %(time)s UTC.",
            budget=so_far.budget,
            time=f"{so_far.renews_at:%H:%M}",
        )
        return Deferral((so_far.renews_at - now).total_seconds(), sentence)
    if throttle.paused_until is not None and throttle.failures:
        throttle.probe_until = now + timedelta(seconds=LONGEST_WAIT_FOR_PROBE_SECONDS)
    return None


def start_call(throttle: InstanceThrottle, *, has_slot: bool, budgeted: bool, may_be_held: bool) -> Deferral | None:
    """Count a call that starts now, or return what holds it back. Without a slot, only a pause can be told yet.

    `budgeted` calls respect the hourly budget, and `may_be_held` is False for those that neither pause nor budget stops.
    """
    stop: Deferral | None = None
    if may_be_held:
        # Without a slot it is not decided yet which call is the probe after a pause.
        stop = check_allowed(throttle, requests=int(budgeted)) if has_slot else pause_of(throttle)
    if stop is None and has_slot:
        count_request(throttle)
    return stop


def end_call(
    throttle: InstanceThrottle,
    *,
    trouble: RemoteError | None,
    answered: bool,
    hourly_limit: int | None,
    probe_until: datetime | None,
) -> None:
    """Record the outcome of a call that `start_call` let go ahead: its trouble, an answer, or neither.

    `hourly_limit` is the instance's own, where the answer named one; `probe_until` is set where the call was the probe.
    """
    if trouble is not None:
        record_failure(throttle, trouble, probe_until=probe_until)
    elif answered:
        record_success(throttle, hourly_limit, probe_until=probe_until)
    elif probe_until is not None:
        # Ended by something else than ServiceNow's answer: cancelled, superseded, an error of our own database.
        give_probe_back(throttle, probe_until)


def give_probe_back(throttle: InstanceThrottle, probe_until: datetime) -> None:
    """The first call after a pause ended without an outcome: the next one may be made now, and not at `probe_until`."""
    # Any other value was written by a later first call.
    if throttle.probe_until == probe_until:
        throttle.probe_until = None


def count_request(throttle: InstanceThrottle, requests: int = 1) -> None:
    """Count requests that are about to be made; a new clock hour starts from zero. Fewer than 0 were counted, but not made."""
    # They may have been counted in the hour before.
    throttle.requests = max(0, usage(throttle).used + requests)
    throttle.hour = _hour(clock.now())


def record_success(
    throttle: InstanceThrottle, hourly_limit: int | None = None, *, probe_until: datetime | None = None
) -> None:
    """End the pause and forget the failures, unless the call began before the pause did.

    `hourly_limit` is the instance's own, where an answer named one; `probe_until` as in `end_call`.
    """
    if hourly_limit is not None:
        throttle.hourly_limit = hourly_limit
    _end_probe(throttle, probe_until)
    # Also of a probe: a call from before the pause may have been told a time while the probe was under way.
    if pause_of(throttle) is None:
        throttle.failures, throttle.paused_until, throttle.probe_until, throttle.reason = 0, None, None, None


def changes_nothing(throttle: InstanceThrottle, hourly_limit: int | None) -> bool:
    """Whether a success would change nothing, so that the row need not be locked."""
    is_known = hourly_limit is None or hourly_limit == throttle.hourly_limit
    is_paused = throttle.paused_until is not None or throttle.probe_until is not None
    return is_known and not throttle.failures and not is_paused and throttle.reason is None


def record_failure(throttle: InstanceThrottle, error: RemoteError, *, probe_until: datetime | None = None) -> None:
    """Count the failure, and pause when it would happen to every call, or for the third time in a row.

    A 429 (Throttled) pauses the whole instance: for the time that it names, otherwise for a backoff.
    """
    if isinstance(error, Forbidden | RecordNotFound | QueryIgnored) and not error.is_instance_wide:
        # The instance works: it refused this one record, table or field.
        record_success(throttle, probe_until=probe_until)
        return
    _end_probe(throttle, probe_until)
    if pause_of(throttle) is not None:
        # The call began before the pause did, and failed of the same. A time that it was told holds for all others, too.
        if error.is_instance_wide and error.retry.seconds is not None:
            _pause(throttle, error, error.retry.seconds)
        return
    throttle.failures += 1
    throttle.probe_until = None
    if error.is_instance_wide or throttle.failures >= FAILURES_BEFORE_PAUSE:
        _pause(throttle, error, backoff_after(error, throttle.failures, longest=LONGEST_PAUSE_SECONDS))
    else:
        throttle.paused_until = None


def _end_probe(throttle: InstanceThrottle, probe_until: datetime | None) -> None:
    if probe_until is not None:
        give_probe_back(throttle, probe_until)


def _pause(throttle: InstanceThrottle, error: RemoteError, seconds: float) -> None:
    """Begin a pause or prolong it; never shorten one."""
    until = clock.now() + timedelta(seconds=seconds)
    if throttle.paused_until is None or throttle.paused_until < until:
        throttle.paused_until, throttle.reason = until, error.message.to_json()


def backoff_after(error: AppError, failures: int, *, longest: float | None = None) -> float:
    """Seconds before the next try after so many failures in a row.

    A time that the error names (Retry-After of ServiceNow, its token service or a proxy) is never undercut. A named time
    that does not help is exceeded: from the second failure on, the usual exponential backoff applies as well. A 429
    without a time begins with less.
    """
    named = error.retry.seconds
    is_busy = isinstance(error, Throttled) and named is None
    busy = {"first": FIRST_THROTTLED_PAUSE_SECONDS, "longest": LONGEST_PAUSE_SECONDS} if is_busy else {}
    usual = backoff_seconds(failures - 1, **busy)
    if longest is not None:
        usual = min(usual, longest)
    if named is None:
        return usual
    return max(named, usual if failures > 1 else SHORTEST_PAUSE_SECONDS)


def no_usage() -> Usage:
    """The usage of an instance that was never called."""
    return Usage(0, BUDGET, _hour(clock.now()) + timedelta(hours=1))


def usage(throttle: InstanceThrottle) -> Usage:
    hour = _hour(clock.now())
    budget = BUDGET if throttle.hourly_limit is None else min(BUDGET, int(throttle.hourly_limit * PART_OF_NAMED_LIMIT))
    return Usage(throttle.requests if throttle.hour == hour else 0, budget, hour + timedelta(hours=1))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
