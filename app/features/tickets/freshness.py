"""Says how old what we show is, and why it is older than it should be; and notes that somebody looks. Calls nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.features.connection.access import active_connection
from app.features.tickets.models import Pace, RefreshCursor
from app.features.tickets.pace import Usage, pace_of, usage_of
from app.foundation import clock
from app.foundation.database import Session
from app.foundation.jobs import Queue, Task
from app.foundation.text import T, Text

# Data is at most so old while all is well, also when nobody looked for a while; what is older needs an explanation.
STALE_AFTER = timedelta(minutes=7)
# Somebody who comes back after so long does not wait for the clock's next minute.
LOOKING_AGAIN_AFTER = timedelta(minutes=2)
NOTE_LOOKS_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Freshness:
    """`as_of` is when ServiceNow last told us everything; `problem` why it is not fresher, None while it is fresh."""

    as_of: datetime | None
    problem: Text | None
    usage: Usage | None = None


async def freshness_of(session: Session, kind: str) -> Freshness:
    """How old the tickets of this kind are at the active connection."""
    connection = await active_connection(session)
    if connection is None:
        return Freshness(None, T("ServiceNow is not connected, so states are as they were last seen."))
    cursor = await session.get(RefreshCursor, (connection.id, kind))
    as_of = cursor.succeeded_at if cursor else None
    if connection.status == "needs_attention":
        needed = T("Somebody has to authorize the connection to ServiceNow again.")
        return Freshness(as_of, Text.from_json(connection.attention) if connection.attention else needed)
    usage = await usage_of(session, connection.id)
    return Freshness(as_of, await _problem(session, connection.id, cursor), usage)


async def _problem(session: Session, connection_id: UUID, cursor: RefreshCursor | None) -> Text | None:
    now = clock.now()
    pace = await session.get(Pace, connection_id)
    if pace and pace.paused_until and pace.paused_until > now and pace.reason:
        return T(
            "%(reason)s We ask again at %(time)s UTC.",
            reason=Text.from_json(pace.reason),
            time=f"{pace.paused_until:%H:%M:%S}",
        )
    if cursor is None:
        return None
    if cursor.problem:
        return Text.from_json(cursor.problem)
    if cursor.succeeded_at is not None and cursor.succeeded_at < now - STALE_AFTER:
        if cursor.changes_refused:
            return T("ServiceNow does not tell us what changed, so tickets are read one after the other.")
        return T("The background worker has not asked ServiceNow since then. Check that it runs.")
    return None


async def note_look(session: Session, queue: Queue, refresh: Task) -> None:
    """Somebody looks at the cards: refresh often, and at once when nobody had looked for a while."""
    connection = await active_connection(session)
    if connection is None:
        return
    now, pace = clock.now(), await session.get(Pace, connection.id)
    before = pace.looked_at if pace else None
    if before is not None and now - before < NOTE_LOOKS_EVERY:
        return
    (await pace_of(session, connection.id)).looked_at = now
    if before is None or now - before > LOOKING_AGAIN_AFTER:
        await queue.defer(session, refresh, lock=refresh.name, queueing_lock=refresh.name)
