"""Says how old what we show is, and why it is older than it should be; and notes that somebody looks. Calls nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from app.features.connection.models import Connection
from app.features.tickets.models import Pace, RefreshCursor
from app.features.tickets.pace import Usage, no_usage, usage
from app.features.tickets.ticket import Kind
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


@dataclass(frozen=True)
class Watch:
    """How the refresh of one connection stands: read once, asked about each kind."""

    connection: Connection | None
    pace: Pace | None
    cursors: Mapping[str, RefreshCursor]

    def fresh(self, kind: str) -> Freshness:
        """How old the tickets of this kind are."""
        if self.connection is None or self.connection.status == "removed":
            return Freshness(None, T("ServiceNow is not connected, so states are as they were last seen."))
        cursor = self.cursors.get(kind)
        as_of = cursor.succeeded_at if cursor else None
        return Freshness(as_of, self._problem(cursor), usage(self.pace) if self.pace else no_usage())

    def overall(self) -> Freshness:
        """How old a list with tickets of both kinds is: as old as its older half."""
        each = [self.fresh(kind) for kind in Kind]
        known = [part.as_of for part in each if part.as_of is not None]
        as_of = min(known) if len(known) == len(each) else None
        return Freshness(as_of, next((part.problem for part in each if part.problem), None), each[0].usage)

    def _problem(self, cursor: RefreshCursor | None) -> Text | None:
        now, connection = clock.now(), self.connection
        if connection is not None and connection.status == "needs_attention":
            needed = T("Somebody has to authorize the connection to ServiceNow again.")
            return Text.from_json(connection.attention) if connection.attention else needed
        if self.pace and self.pace.paused_until and self.pace.paused_until > now and self.pace.reason:
            return T(
                "%(reason)s We ask again at %(time)s UTC.",
                reason=Text.from_json(self.pace.reason),
                time=f"{self.pace.paused_until:%H:%M:%S}",
            )
        if cursor is None:
            return None
        if cursor.problem:
            return Text.from_json(cursor.problem)
        if cursor.succeeded_at is None or cursor.succeeded_at >= now - STALE_AFTER:
            return None
        if cursor.changes_refused:
            return T("ServiceNow does not tell us what changed, so tickets are read one after the other.")
        return T("The background worker has not asked ServiceNow since then. Check that it runs.")


async def watch(session: Session, connection: Connection | None) -> Watch:
    """Everything there is to say about this connection's data, in one statement."""
    if connection is None:
        return Watch(None, None, {})
    query = (
        select(Pace, RefreshCursor)
        .outerjoin(RefreshCursor, RefreshCursor.connection_id == Pace.connection_id)
        .where(Pace.connection_id == connection.id)
    )
    rows: list[tuple[Pace, RefreshCursor | None]] = [(row[0], row[1]) for row in await session.execute(query)]
    return Watch(
        connection=connection,
        pace=rows[0][0] if rows else None,
        cursors={cursor.kind: cursor for _, cursor in rows if cursor is not None},
    )


async def note_look(session: Session, queue: Queue, refresh: Task, seen: Watch) -> None:
    """Somebody looks at the cards: refresh often, and at once when nobody had looked for a while."""
    if seen.connection is None or seen.pace is None:
        return
    now, before = clock.now(), seen.pace.looked_at
    if before is not None and now - before < NOTE_LOOKS_EVERY:
        return
    unnoticed = func.coalesce(Pace.looked_at < now - NOTE_LOOKS_EVERY, True)
    statement = update(Pace).where(Pace.connection_id == seen.connection.id, unnoticed).values(looked_at=now)
    await session.execute(statement.execution_options(synchronize_session=False))
    if before is None or now - before > LOOKING_AGAIN_AFTER:
        await queue.defer(session, refresh, lock=refresh.name, queueing_lock=refresh.name)
