"""Decide what one poll asks of each table: changes since the watermark, and the open tickets read longest ago.

Reads and writes rows only; never calls ServiceNow.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, select

from app.core import clock
from app.core.database import Session
from app.features.connection.active_connection import NotConnected, usable_connection
from app.features.connection.models import InstanceThrottle
from app.features.connection.throttle import throttle_of
from app.features.tickets.models import PollCursor, Ticket
from app.features.tickets.polling import schedule
from app.features.tickets.polling.state_names import StateNames, load_names_and_closed_values
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.protocol import IDS_PER_CALL, USER_NAME
from app.resources import Resources

# Changes are requested again from this long before the watermark. sys_updated_on has a resolution of one second
# (docs/facts/servicenow.md#2-4-json-shapes), and a record is stamped before its transaction is committed, so a cursor
# without an overlap runs ahead of the data (docs/facts/other-connectors.md#bug-48).
OVERLAP = timedelta(seconds=120)
# Before the first poll nothing is known of the instance's clock. A day covers every time zone that it may be set to.
FIRST_OVERLAP = timedelta(days=1)
# Each open ticket is read by its id once in this time: scripts can change a record and leave sys_updated_on as it was
# (docs/facts/servicenow.md#trap-33).
SCAN_INTERVAL = timedelta(hours=1)
# The same where the instance refuses to list changes, so that the scan is the only way to see them.
SCAN_INTERVAL_ALONE = timedelta(minutes=10)
# A refusal can be intermittent after a node switch (KB2466644, docs/facts/servicenow.md#2-6-error-envelope). After two
# in a row changes are not requested for an hour, then tried again: an administrator may have granted access.
BELIEVED_REFUSALS = 2
BELIEVED_FOR = timedelta(hours=1)


@dataclass(frozen=True)
class PollPlan:
    """What one poll asks of one table.

    `since` and `asked_at` are on our clock. The instance's clock is ahead of ours by `clock_ahead`, or by more.
    `created_by` is the user name of our account, empty when it cannot stand in a query. `scan` holds sys_ids,
    `closed_values` the raw values of the states that end the work.
    """

    connection_id: UUID
    kind: TicketKind
    names: StateNames
    closed_values: list[str]
    ask_for_changes: bool
    created_by: str
    since: datetime
    clock_ahead: timedelta
    asked_at: datetime
    scan: list[str]

    @property
    def remote_since(self) -> datetime:
        """`since` on the instance's clock, or earlier."""
        return self.since + self.clock_ahead


async def plan_poll(resources: Resources) -> AsyncIterator[PollPlan]:
    """The plan of each table with shared tickets, made just before its turn; nothing when no poll is due."""
    async with resources.database.transaction() as session:
        try:
            connection = await usable_connection(session)
        except NotConnected:
            return
        if not await _is_due(session, connection.id):
            return
    for kind in TicketKind:
        async with resources.database.transaction() as session:
            plan = await _plan_table(session, connection.id, kind, connection.user_name)
        if plan is not None:
            yield plan


async def _is_due(session: Session, connection_id: UUID) -> bool:
    cursors = select(func.max(PollCursor.tried_at), func.max(PollCursor.last_change_at))
    tried_at, last_change_at = (await session.execute(cursors.where(PollCursor.connection_id == connection_id))).one()
    newest = select(func.max(Ticket.shared_at)).where(Ticket.connection_id == connection_id)
    last_shared_at = (await session.execute(newest)).scalar_one()
    throttle = await session.get(InstanceThrottle, connection_id)
    return schedule.is_due(
        clock.now(),
        tried_at=tried_at,
        last_change_at=last_change_at,
        last_shared_at=last_shared_at,
        last_viewed_at=throttle.last_viewed_at if throttle else None,
    )


async def _plan_table(session: Session, connection_id: UUID, kind: TicketKind, user_name: str) -> PollPlan | None:
    """None while no ticket of this kind is shared."""
    now = clock.now()
    shared = (Ticket.connection_id == connection_id, Ticket.kind == kind, Ticket.sys_id.is_not(None))
    first = (await session.execute(select(func.min(Ticket.shared_at)).where(*shared))).scalar_one()
    if first is None:
        return None
    # The throttle's row comes before the cursor's. The order of locks is written down in connection/throttle.py.
    throttle = await throttle_of(session, connection_id)
    names, closed_values = await load_names_and_closed_values(session, connection_id, kind)
    cursor = await cursor_of(session, connection_id, kind)
    cursor.tried_at = now
    refused = cursor.changes_refused >= BELIEVED_REFUSALS and cursor.changes_refused_at is not None
    return PollPlan(
        connection_id=connection_id,
        kind=kind,
        names=names,
        closed_values=closed_values,
        ask_for_changes=not refused or now - (cursor.changes_refused_at or now) >= BELIEVED_FOR,
        # Escaping in a query is undocumented (docs/facts/servicenow.md#2-3-encoded-query), so other names stay out of it.
        created_by=user_name if USER_NAME.fullmatch(user_name) else "",
        since=cursor.watermark - OVERLAP if cursor.watermark else first - FIRST_OVERLAP,
        clock_ahead=timedelta(seconds=throttle.clock_ahead_seconds),
        asked_at=now,
        scan=await _due_for_scan(session, cursor, closed_values, SCAN_INTERVAL_ALONE if refused else SCAN_INTERVAL),
    )


async def _due_for_scan(
    session: Session, cursor: PollCursor, closed_values: Sequence[str], interval: timedelta
) -> list[str]:
    """The sys_ids of the open tickets read longest ago, as many as are due now to read each once in `interval`."""
    is_open = open_tickets(cursor.connection_id, cursor.kind, closed_values)
    count = (await session.execute(select(func.count()).select_from(Ticket).where(*is_open))).scalar_one()
    calls, cursor.last_scan_at = calls_due(clock.now(), count, interval, cursor.last_scan_at)
    if not calls:
        return []
    oldest_first = (
        select(Ticket.sys_id)
        .where(*is_open)
        .order_by(Ticket.verified_at.asc().nulls_first(), Ticket.id)
        .limit(calls * IDS_PER_CALL)
    )
    return [sys_id for sys_id in (await session.execute(oldest_first)).scalars() if sys_id]


def calls_due(
    now: datetime, tickets: int, interval: timedelta, last_scan_at: datetime | None
) -> tuple[int, datetime | None]:
    """How many calls of IDS_PER_CALL ids are due, and up to when the scan has come with them.

    The calls of one pass are spread evenly over the interval: no minute costs more than another.
    """
    if not tickets:
        return 0, last_scan_at
    pause = interval / -(-tickets // IDS_PER_CALL)
    # The first scan begins at once. After a long break one whole pass is due, and never more.
    since = max(last_scan_at or now - pause, now - interval)
    calls = max(0, int((now - since) / pause))
    return calls, since + calls * pause if calls else last_scan_at


def open_tickets(connection_id: UUID, kind: str, closed_values: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    """The conditions for tickets that ServiceNow still works on."""
    return (
        Ticket.connection_id == connection_id,
        Ticket.kind == kind,
        Ticket.sys_id.is_not(None),
        Ticket.state.not_in(closed_values),
    )


async def cursor_of(session: Session, connection_id: UUID, kind: TicketKind) -> PollCursor:
    """The cursor of one table at one connection, inserted when it does not exist."""
    found = await session.get(PollCursor, (connection_id, kind))
    if found is None:
        found = PollCursor(connection_id=connection_id, kind=kind, changes_refused=0)
        session.add(found)
        await session.flush()
    return found
