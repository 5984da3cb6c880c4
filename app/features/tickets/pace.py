"""How gently one instance is treated by all processes together: pauses, calls at once, an hourly budget. Calls nothing.

Whoever locks this row and a ticket's locks this one first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from app.features.tickets.models import Pace, Ticket
from app.foundation import clock
from app.foundation.database import Session
from app.foundation.errors import AppError
from app.foundation.jobs import wait_before
from app.foundation.text import T, Text
from app.remote.errors import Missing, NotWhatWasAsked, Refused, RemoteError

# More calls at once than this only queue inside ServiceNow (facts/servicenow 2.8), however many processes we run.
CALLS_AT_ONCE = 4
# An attempt without an outcome after so long is taken for dead: waiting in line (30 s), connecting (5 s) and a whole
# answer (35 s) take less (remote/transport.py).
# Should it live after all, because renewing the token took its time, the attempt's number stops it before it sends.
ATTEMPT_SECONDS = 75.0
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
class Stop:
    """No call now, but in so many seconds; `reason` is for people, None when it is only a matter of taking turns."""

    seconds: float
    reason: Text | None


@dataclass(frozen=True)
class Usage:
    """Requests of this clock hour, what following tickets may use, and when the next hour begins."""

    used: int
    budget: int
    renews_at: datetime


async def pace_of(session: Session, connection_id: UUID) -> Pace:
    """The connection's row, locked until the transaction ends; made when there is none."""
    await session.execute(insert(Pace).values(connection_id=connection_id).on_conflict_do_nothing())
    return await session.get_one(Pace, connection_id, with_for_update=True)


def why_not_now(pace: Pace, *, requests: int = 0) -> Stop | None:
    """What speaks against a call now. `requests` is how many a refresh is about to make, within the budget."""
    now = clock.now()
    if pace.paused_until is not None and pace.paused_until > now:
        return Stop((pace.paused_until - now).total_seconds(), Text.from_json(pace.reason) if pace.reason else None)
    if pace.paused_until is not None and pace.failures:
        pace.paused_until = now + timedelta(seconds=PROBE_SECONDS)
    so_far = usage(pace)
    if requests and so_far.used + requests > so_far.budget:
        sentence = T(
            "This hour’s budget of %(budget)s requests to ServiceNow is used up. We go on at %(time)s UTC.",
            budget=so_far.budget,
            time=f"{so_far.renews_at:%H:%M}",
        )
        return Stop((so_far.renews_at - now).total_seconds(), sentence)
    return None


def count(pace: Pace, requests: int = 1) -> None:
    """Note requests that are about to be made."""
    pace.requests = usage(pace).used + requests
    pace.hour = _hour(clock.now())


def note_success(pace: Pace, hourly_limit: int | None = None) -> None:
    """It answered as it should; whatever was wrong is over."""
    if hourly_limit is not None:
        pace.hourly_limit = hourly_limit
    if not _rests(pace):
        pace.failures, pace.paused_until, pace.reason = 0, None, None


def note_trouble(pace: Pace, error: RemoteError) -> None:
    """Pause, when what went wrong would go wrong for every call."""
    if isinstance(error, Refused | Missing | NotWhatWasAsked) and not error.concerns_all:
        # It answered as it should: about this one record, table or field. Others fare better.
        note_success(pace)
        return
    pace.failures += 1
    rests = _rests(pace)
    if not error.concerns_all and pace.failures < PATIENCE:
        pace.paused_until = pace.paused_until if rests else None
        return
    until = clock.now() + timedelta(seconds=wait_after(error, pace.failures, longest=LONGEST_PAUSE_SECONDS))
    if not rests or pace.paused_until is None or pace.paused_until < until:
        pace.paused_until, pace.reason = until, error.message.to_json()


def _rests(pace: Pace) -> bool:
    """Whether we wait for longer than any probe: since a call that began before this pause, which says nothing of it."""
    return pace.paused_until is not None and pace.paused_until - clock.now() > timedelta(seconds=PROBE_SECONDS)


def wait_after(error: AppError, failures: int, *, longest: float | None = None) -> float:
    """Seconds before the next try after so many failures in a row.

    A time that was named is never undercut, whoever named it: ServiceNow, its token service or a gateway. One that is
    named again and again and does not help (0 is a known trap) is not obeyed to the letter: waits grow all the same.
    """
    usual = wait_before(failures - 1)
    if longest is not None:
        usual = min(usual, longest)
    named = error.retry.seconds
    if named is None:
        return usual
    return max(named, usual if failures > 1 else SHORTEST_PAUSE_SECONDS)


async def calls_under_way(session: Session, connection_id: UUID) -> int:
    """How many calls wait for an answer just now, in all processes: deliveries, and those that took a place."""
    query = select(func.count()).where(Ticket.connection_id == connection_id, Ticket.in_flight_since > _still_alive())
    deliveries = (await session.execute(query)).scalar_one()
    pace = await session.get(Pace, connection_id)
    return deliveries + (len(_places(pace)) if pace else 0)


async def take_place(session: Session, pace: Pace) -> str | None:
    """One of the few places for a call that waits for its answer; None while all are taken."""
    if await calls_under_way(session, pace.connection_id) >= CALLS_AT_ONCE:
        return None
    place = uuid4().hex
    pace.under_way = {**_places(pace), place: clock.now().isoformat()}
    return place


def give_back(pace: Pace, place: str) -> None:
    """The answer is there, or will not come."""
    pace.under_way = {other: since for other, since in _places(pace).items() if other != place}


def _places(pace: Pace) -> dict[str, Any]:
    """Those taken, without those of processes that must have died."""
    return {place: since for place, since in pace.under_way.items() if datetime.fromisoformat(since) > _still_alive()}


def _still_alive() -> datetime:
    return clock.now() - timedelta(seconds=ATTEMPT_SECONDS)


def no_usage() -> Usage:
    """Of an instance that was not asked anything yet."""
    return Usage(0, BUDGET, _hour(clock.now()) + timedelta(hours=1))


def usage(pace: Pace) -> Usage:
    """How much of this hour's budget is used."""
    hour = _hour(clock.now())
    budget = BUDGET if pace.hourly_limit is None else min(BUDGET, int(pace.hourly_limit * PART_OF_NAMED_LIMIT))
    return Usage(pace.requests if pace.hour == hour else 0, budget, hour + timedelta(hours=1))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
