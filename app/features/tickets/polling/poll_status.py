"""Says how old what we show is, and why it is older than it should be; and notes that somebody looks. Calls nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from app.core import clock
from app.core.database import Session
from app.core.jobs import Queue
from app.core.messages import Message, T
from app.features.connection.models import Connection, InstanceThrottle
from app.features.connection.throttle import Usage, no_usage, usage
from app.features.tickets.models import PollCursor
from app.features.tickets.types import TicketKind

# Data is at most so old while all is well, also when nobody looked for a while; what is older needs an explanation.
STALE_AFTER = timedelta(minutes=7)
# Somebody who comes back after so long does not wait for the clock's next minute.
LOOKING_AGAIN_AFTER = timedelta(minutes=2)
NOTE_LOOKS_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Freshness:
    """`as_of` is when ServiceNow last told us everything; `problem` why it is not fresher, None while it is fresh."""

    as_of: datetime | None
    problem: Message | None
    usage: Usage | None = None


@dataclass(frozen=True)
class PollStatus:
    """How the refresh of one connection stands: read once, asked about each kind."""

    connection: Connection | None
    throttle: InstanceThrottle | None
    cursors: Mapping[str, PollCursor]

    def fresh(self, kind: str) -> Freshness:
        """How old the tickets of this kind are."""
        if self.connection is None or self.connection.status == "removed":
            return Freshness(None, T("ServiceNow is not connected, so states are as they were last seen."))
        cursor = self.cursors.get(kind)
        as_of = cursor.succeeded_at if cursor else None
        return Freshness(as_of, self._problem(cursor), usage(self.throttle) if self.throttle else no_usage())

    def overall(self) -> Freshness:
        """How old a list with tickets of both kinds is: as old as its older half."""
        each = [self.fresh(kind) for kind in TicketKind]
        known = [part.as_of for part in each if part.as_of is not None]
        as_of = min(known) if len(known) == len(each) else None
        return Freshness(as_of, next((part.problem for part in each if part.problem), None), each[0].usage)

    def _problem(self, cursor: PollCursor | None) -> Message | None:
        now, connection = clock.now(), self.connection
        if connection is not None and connection.status == "needs_attention":
            needed = T("Somebody has to authorize the connection to ServiceNow again.")
            return Message.from_json(connection.attention) if connection.attention else needed
        if self.throttle and self.throttle.paused_until and self.throttle.paused_until > now and self.throttle.reason:
            return T(
                "%(reason)s We ask again at %(time)s UTC.",
                reason=Message.from_json(self.throttle.reason),
                time=f"{self.throttle.paused_until:%H:%M:%S}",
            )
        if cursor is None:
            return None
        if cursor.problem:
            return Message.from_json(cursor.problem)
        if cursor.succeeded_at is None or cursor.succeeded_at >= now - STALE_AFTER:
            return None
        if cursor.changes_refused:
            return T("ServiceNow does not tell us what changed, so tickets are read one after the other.")
        return T("The background worker has not asked ServiceNow since then. Check that it runs.")


async def poll_status(session: Session, connection: Connection | None) -> PollStatus:
    """Everything there is to say about this connection's data, in one statement."""
    if connection is None:
        return PollStatus(None, None, {})
    query = (
        select(InstanceThrottle, PollCursor)
        .outerjoin(PollCursor, PollCursor.connection_id == InstanceThrottle.connection_id)
        .where(InstanceThrottle.connection_id == connection.id)
    )
    rows: list[tuple[InstanceThrottle, PollCursor | None]] = [(row[0], row[1]) for row in await session.execute(query)]
    return PollStatus(
        connection=connection,
        throttle=rows[0][0] if rows else None,
        cursors={cursor.kind: cursor for _, cursor in rows if cursor is not None},
    )


async def record_view(session: Session, queue: Queue, seen: PollStatus) -> None:
    """Somebody looks at the cards: refresh often, and at once when nobody had looked for a while."""
    if seen.connection is None or seen.throttle is None:
        return
    now, before = clock.now(), seen.throttle.last_viewed_at
    if before is not None and now - before < NOTE_LOOKS_EVERY:
        return
    unnoticed = func.coalesce(InstanceThrottle.last_viewed_at < now - NOTE_LOOKS_EVERY, True)
    statement = (
        update(InstanceThrottle)
        .where(InstanceThrottle.connection_id == seen.connection.id, unnoticed)
        .values(last_viewed_at=now)
    )
    await session.execute(statement.execution_options(synchronize_session=False))
    if before is None or now - before > LOOKING_AGAIN_AFTER:
        await queue.defer(session, "tickets.poll", lock="tickets.poll", queueing_lock="tickets.poll")
