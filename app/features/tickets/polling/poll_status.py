"""How old the shown ticket states are and why they are not newer; and that they are being viewed. Calls nothing remote."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from app.core import clock
from app.core.database import Session
from app.core.jobs import Queue
from app.core.messages import Message, T
from app.features.connection.models import Connection, ConnectionStatus, InstanceThrottle
from app.features.connection.throttle import Usage, no_usage, pause_message, usage
from app.features.tickets.models import PollCursor
from app.features.tickets.polling.schedule import POLL_ON_VIEW_AFTER, STATES_STALE_AFTER, VIEW_RECORDED_EVERY
from app.features.tickets.types import TicketKind


@dataclass(frozen=True)
class Freshness:
    """`as_of`: when all states were last known to be true; None before the first poll.

    `problem` says why they are not newer, None while they are new enough. `usage` is the hour's budget of requests.
    """

    as_of: datetime | None
    problem: Message | None
    usage: Usage | None = None


@dataclass(frozen=True)
class PollStatus:
    """The polling of one connection, read once for a page. `cursors` are by kind."""

    connection: Connection | None
    throttle: InstanceThrottle | None
    cursors: Mapping[str, PollCursor]

    def fresh(self, kind: str) -> Freshness:
        if self.connection is None:
            return Freshness(None, T("ServiceNow is not connected, so states are as they were last seen."))
        if self.connection.status == ConnectionStatus.REMOVED:
            return Freshness(
                None,
                T(
                    "%(instance)s is not connected any more, so the state is as it was last seen.",
                    instance=self.connection.instance_name,
                ),
            )
        cursor = self.cursors.get(kind)
        as_of = cursor.succeeded_at if cursor else None
        return Freshness(as_of, self._problem(cursor), usage(self.throttle) if self.throttle else no_usage())

    def true_until(self, kind: str) -> datetime | None:
        """When `fresh` will say something else although nothing was written; None while it will not."""
        cursor, now = self.cursors.get(kind), clock.now()
        moments = [self.throttle.paused_until] if self.throttle else []
        if cursor is not None and cursor.succeeded_at is not None:
            moments.append(cursor.succeeded_at + STATES_STALE_AFTER)
        return min((moment for moment in moments if moment is not None and moment >= now), default=None)

    def overall(self) -> Freshness:
        """The freshness of a list with both kinds: as old as the older one, unknown while one of them is."""
        each = [self.fresh(kind) for kind in TicketKind]
        known = [part.as_of for part in each if part.as_of is not None]
        as_of = min(known) if len(known) == len(each) else None
        return Freshness(as_of, next((part.problem for part in each if part.problem), None), each[0].usage)

    def _problem(self, cursor: PollCursor | None) -> Message | None:
        """The first cause that applies, since it explains later ones: connection, pause, failed poll, slow or missing polls."""
        return (
            self._connection_problem()
            or pause_message(self.throttle)
            or (self._poll_problem(cursor) if cursor is not None else None)
        )

    def _connection_problem(self) -> Message | None:
        if self.connection is None or self.connection.status != ConnectionStatus.NEEDS_ATTENTION:
            return None
        if self.connection.attention:
            return Message.from_json(self.connection.attention)
        return T("Somebody has to authorize the connection to ServiceNow again.")

    @staticmethod
    def _poll_problem(cursor: PollCursor) -> Message | None:
        if cursor.problem:
            return Message.from_json(cursor.problem)
        if cursor.succeeded_at is None or cursor.succeeded_at >= clock.now() - STATES_STALE_AFTER:
            return None
        # Then data is as old as the ticket that was read longest ago, which is no fault of the worker.
        if cursor.changes_refused:
            return T("ServiceNow does not tell us what changed, so tickets are read one after the other.")
        return T("The background worker has not asked ServiceNow since then. Check that it runs.")


async def poll_status(session: Session, connection: Connection | None) -> PollStatus:
    """The status of this connection's polling, in one statement."""
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


class RecordedViews:
    """When this process last recorded a view, so that it asks the database no more often than that is worth."""

    def __init__(self) -> None:
        self._last: tuple[Hashable, datetime] | None = None

    def is_due(self, connection: Hashable) -> bool:
        """`connection` names the connection; a view of another one says nothing of this one."""
        if self._last is None or self._last[0] != connection:
            return True
        # A clock that was set back is no reason to wait.
        return not timedelta(0) <= clock.now() - self._last[1] < VIEW_RECORDED_EVERY

    def note(self, connection: Hashable) -> None:
        self._last = connection, clock.now()


async def record_view(session: Session, queue: Queue) -> None:
    """Record that the tickets are viewed, so that they are polled each minute; polls now after a longer break."""
    now = clock.now()
    is_older = func.coalesce(InstanceThrottle.last_viewed_at < now - VIEW_RECORDED_EVERY, True)
    # Locked, and the condition looked at again then: of many pages that open at once, one writes and one polls.
    before = (
        select(InstanceThrottle.connection_id, InstanceThrottle.last_viewed_at)
        .join(Connection, Connection.id == InstanceThrottle.connection_id)
        .where(Connection.status != ConnectionStatus.REMOVED, is_older)
        .with_for_update(of=InstanceThrottle)
        .cte("before")
    )
    statement = (
        update(InstanceThrottle)
        .where(InstanceThrottle.connection_id == before.c.connection_id)
        .values(last_viewed_at=now)
        .returning(before.c.last_viewed_at)
    )
    row = (await session.execute(statement.execution_options(synchronize_session=False))).one_or_none()
    if row is not None and (row[0] is None or now - row[0] > POLL_ON_VIEW_AFTER):
        # A queueing lock: while a poll waits in the queue, no second one is added.
        await queue.defer(session, "tickets.poll", lock="tickets.poll", queueing_lock="tickets.poll")
