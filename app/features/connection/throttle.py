"""How gently one instance is treated by all processes together: pauses, calls at once, an hourly budget. Calls nothing.

Whoever locks this row and a ticket's locks this one first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError
from app.core.jobs import backoff_seconds
from app.core.messages import Message, T
from app.features.connection.models import InstanceThrottle
from app.integrations.http.errors import Forbidden, QueryIgnored, RecordNotFound, RemoteError

# Requests in a clock hour that following tickets may use. Sharing is a person's wish: counted, never stopped by this.
BUDGET = 1000
# Of a limit that the instance itself names, this part; the rest is for sharing.
PART_OF_NAMED_LIMIT = 0.8
# A lost answer or two are an accident; so many failures in a row are a state.
PATIENCE = 3
LONGEST_PAUSE_SECONDS = 300.0
SHORTEST_PAUSE_SECONDS = 1.0
# After a pause, one call goes ahead, and the others wait for its outcome, at most so long.
PROBE_SECONDS = 60.0


@dataclass(frozen=True)
class Deferral:
    """No call now, but in so many seconds; `reason` is for people, None when it is only a matter of taking turns."""

    seconds: float
    reason: Message | None


@dataclass(frozen=True)
class Usage:
    """Requests of this clock hour, what following tickets may use, and when the next hour begins."""

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
    """The pause that the instance is in, None when it is over."""
    now = clock.now()
    if throttle.paused_until is None or throttle.paused_until <= now:
        return None
    reason = Message.from_json(throttle.reason) if throttle.reason else None
    return Deferral((throttle.paused_until - now).total_seconds(), reason)


def check_allowed(throttle: InstanceThrottle, *, requests: int = 0) -> Deferral | None:
    """What speaks against a call now. `requests` is how many a refresh is about to make, within the budget."""
    paused = pause_of(throttle)
    if paused is not None:
        return paused
    now = clock.now()
    if throttle.paused_until is not None and throttle.failures:
        throttle.paused_until = now + timedelta(seconds=PROBE_SECONDS)
    so_far = usage(throttle)
    if requests and so_far.used + requests > so_far.budget:
        sentence = T(
            "This hour’s budget of %(budget)s requests to ServiceNow is used up. We go on at %(time)s UTC.",
            budget=so_far.budget,
            time=f"{so_far.renews_at:%H:%M}",
        )
        return Deferral((so_far.renews_at - now).total_seconds(), sentence)
    return None


def count_request(throttle: InstanceThrottle, requests: int = 1) -> None:
    """Note requests that are about to be made."""
    throttle.requests = usage(throttle).used + requests
    throttle.hour = _hour(clock.now())


def record_success(throttle: InstanceThrottle, hourly_limit: int | None = None) -> None:
    """It answered as it should; whatever was wrong is over."""
    if hourly_limit is not None:
        throttle.hourly_limit = hourly_limit
    if not _slow_down(throttle):
        throttle.failures, throttle.paused_until, throttle.reason = 0, None, None


def record_failure(throttle: InstanceThrottle, error: RemoteError) -> None:
    """Pause, when what went wrong would go wrong for every call."""
    if isinstance(error, Forbidden | RecordNotFound | QueryIgnored) and not error.is_instance_wide:
        # It answered as it should: about this one record, table or field. Others fare better.
        record_success(throttle)
        return
    throttle.failures += 1
    rests = _slow_down(throttle)
    if not error.is_instance_wide and throttle.failures < PATIENCE:
        throttle.paused_until = throttle.paused_until if rests else None
        return
    until = clock.now() + timedelta(seconds=backoff_after(error, throttle.failures, longest=LONGEST_PAUSE_SECONDS))
    if not rests or throttle.paused_until is None or throttle.paused_until < until:
        throttle.paused_until, throttle.reason = until, error.message.to_json()


def _slow_down(throttle: InstanceThrottle) -> bool:
    """Whether we wait for longer than any probe: since a call that began before this pause, which says nothing of it."""
    return throttle.paused_until is not None and throttle.paused_until - clock.now() > timedelta(seconds=PROBE_SECONDS)


def backoff_after(error: AppError, failures: int, *, longest: float | None = None) -> float:
    """Seconds before the next try after so many failures in a row.

    A time that was named is never undercut, whoever named it: ServiceNow, its token service or a gateway. One that is
    named again and again and does not help (0 is a known trap) is not obeyed to the letter: waits grow all the same.
    """
    usual = backoff_seconds(failures - 1)
    if longest is not None:
        usual = min(usual, longest)
    named = error.retry.seconds
    if named is None:
        return usual
    return max(named, usual if failures > 1 else SHORTEST_PAUSE_SECONDS)


def no_usage() -> Usage:
    """Of an instance that was not asked anything yet."""
    return Usage(0, BUDGET, _hour(clock.now()) + timedelta(hours=1))


def usage(throttle: InstanceThrottle) -> Usage:
    """How much of this hour's budget is used."""
    hour = _hour(clock.now())
    budget = BUDGET if throttle.hourly_limit is None else min(BUDGET, int(throttle.hourly_limit * PART_OF_NAMED_LIMIT))
    return Usage(throttle.requests if throttle.hour == hour else 0, budget, hour + timedelta(hours=1))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
