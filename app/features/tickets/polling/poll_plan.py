"""Decide what one poll asks of each table: changes since the watermark, and the tickets read longest ago.

Reads and writes rows only; never calls ServiceNow.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, replace
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
from app.features.tickets.polling.scan_order import (
    LastRead,
    Scanned,
    count,
    read_longest_ago,
    read_without_marker,
    states_in_use,
)
from app.features.tickets.polling.state_names import StateNames, load_names_and_closed_values
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.protocol import IDS_PER_CALL
from app.resources import Resources

# Changes are requested again from this long before the watermark. sys_updated_on has a resolution of one second
# (docs/facts/servicenow.md#2-4-json-shapes), and a record is stamped before its transaction is committed, so a cursor
# without an overlap runs ahead of the data (docs/facts/other-connectors.md#bug-48).
OVERLAP = timedelta(seconds=120)
# Each open ticket is read by its id once in this time: scripts can change a record and leave sys_updated_on as it was
# (docs/facts/servicenow.md#trap-33).
SCAN_INTERVAL = timedelta(hours=1)
# The same where the instance refuses to list changes, so that the scan is the only way to see them.
SCAN_INTERVAL_ALONE = timedelta(minutes=10)
# A closed ticket may be opened again, and a list of changes shows it. It is read by its id as well, because a script can
# hide that change from the list; where changes are not listed at all, as often as an open one while it is closed recently.
CLOSED_SCAN_INTERVAL = timedelta(days=1)
RECENTLY_CLOSED = timedelta(days=90)
# A list of changes does not hold a record that lost our marker, so it is read by its id with each poll: so many calls of
# IDS_PER_CALL ids at most, in turn where an instance keeps no markers at all. Both tables then use half of the budget.
MOST_CALLS_WITHOUT_MARKER = 5
# Closed for longer than this, a ticket is followed by the list of changes only.
LONGEST_CLOSED = timedelta(days=365)
# So many of the newest known changes have to be in a list of changes that reaches back to them.
EXPECTED = 3
# sys_updated_on is cut to the second, and so is the moment from which changes are requested.
EXPECTED_MARGIN = timedelta(seconds=2)
# A refusal can be intermittent after a node switch (KB2466644, docs/facts/servicenow.md#2-6-error-envelope). After two
# in a row changes are not requested for an hour, then tried again: an administrator may have granted access.
BELIEVED_REFUSALS = 2
BELIEVED_FOR = timedelta(hours=1)

Conditions = tuple[ColumnElement[bool], ...]


@dataclass(frozen=True)
class PollPlan:
    """What one poll asks of one table.

    `since` and `asked_at` are on our clock. The instance's clock is ahead of ours by `clock_ahead`, or by more.
    It is 0 while `is_clock_known` is False. `scan` holds the sys_ids to read, `riders` those of them that the request for
    changes asks for as well, `expected` those of which the list of changes must hold one, `closed_values` the raw values of
    the states that end the work.
    """

    connection_id: UUID
    kind: TicketKind
    names: StateNames
    closed_values: list[str]
    ask_for_changes: bool
    since: datetime
    clock_ahead: timedelta
    is_clock_known: bool
    asked_at: datetime
    scan: list[str]
    riders: list[str]
    expected: list[str]

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
            plan = await _plan_table(session, connection.id, kind)
        if plan is not None:
            yield plan


async def _is_due(session: Session, connection_id: UUID) -> bool:
    cursors = select(func.max(PollCursor.tried_at), func.max(PollCursor.last_change_at))
    tried_at, last_change_at = (await session.execute(cursors.where(PollCursor.connection_id == connection_id))).one()
    # Of each kind by itself: then it is the last entry of an index, and not every ticket's.
    newest = [
        select(func.max(Ticket.shared_at)).where(Ticket.connection_id == connection_id, Ticket.kind == kind)
        for kind in TicketKind
    ]
    last_shared_at = (
        await session.execute(select(func.greatest(*(query.scalar_subquery() for query in newest))))
    ).scalar_one()
    throttle = await session.get(InstanceThrottle, connection_id)
    return schedule.is_due(
        clock.now(),
        tried_at=tried_at,
        last_change_at=last_change_at,
        last_shared_at=last_shared_at,
        last_viewed_at=throttle.last_viewed_at if throttle else None,
    )


async def _plan_table(session: Session, connection_id: UUID, kind: TicketKind) -> PollPlan | None:
    """None while no ticket of this kind is shared."""
    now = clock.now()
    in_state = await states_in_use(session, connection_id, kind)
    if not in_state:
        return None
    shared = _shared(connection_id, kind)
    # The throttle's row comes before the cursor's. The order of locks is written down in connection/throttle.py.
    throttle = await throttle_of(session, connection_id)
    names, closed_values = await load_names_and_closed_values(session, connection_id, kind)
    cursor = await cursor_of(session, connection_id, kind)
    cursor.tried_at = now
    refused = cursor.changes_refused >= BELIEVED_REFUSALS and cursor.changes_refused_at is not None
    clock_ahead = timedelta(seconds=throttle.clock_ahead_seconds or 0.0)
    # What became of a record before it was shared was in the answer that shared it.
    since = (cursor.watermark or await _first_shared(session, shared) or now) - OVERLAP
    if refused:
        since = min(since, await _newest_change(session, shared, since + clock_ahead) - clock_ahead - EXPECTED_MARGIN)
    due = await _scan(session, cursor, scans_of(connection_id, kind, in_state, closed_values), refused=refused)
    expected = await _expected(session, shared, since + clock_ahead + EXPECTED_MARGIN)
    ask_for_changes = not refused or now - (cursor.changes_refused_at or now) >= BELIEVED_FOR
    # Those expected have to come because they changed, not because they were asked for. After trouble, one question at a time.
    may_ride = ask_for_changes and not cursor.changes_refused and cursor.problem is None
    return PollPlan(
        connection_id=connection_id,
        kind=kind,
        names=names,
        closed_values=closed_values,
        ask_for_changes=ask_for_changes,
        since=since,
        clock_ahead=clock_ahead,
        is_clock_known=throttle.clock_ahead_seconds is not None,
        asked_at=now,
        scan=due,
        riders=[sys_id for sys_id in due if sys_id not in expected][:IDS_PER_CALL] if may_ride else [],
        expected=expected,
    )


async def _newest_change(session: Session, shared: Conditions, default: datetime) -> datetime:
    """When the newest change that we know of was made, on the instance's clock."""
    query = select(func.max(Ticket.remote_updated_at)).where(*shared, Ticket.visible, Ticket.has_marker)
    newest: datetime | None = (await session.execute(query)).scalar_one()
    return newest or default


async def _expected(session: Session, shared: Conditions, since: datetime) -> list[str]:
    query = (
        select(Ticket.sys_id)
        .where(*shared, Ticket.visible, Ticket.has_marker, Ticket.remote_updated_at >= since)
        .order_by(Ticket.remote_updated_at.desc(), Ticket.id)
        .limit(EXPECTED)
    )
    return [sys_id for sys_id in (await session.execute(query)).scalars() if sys_id]


async def _scan(session: Session, cursor: PollCursor, scans: Scans, *, refused: bool) -> list[str]:
    """The sys_ids to read in this poll: open ones without a marker each time, open ones in turn, closed ones more rarely."""
    often, rarely = (scans.followed, scans.closed_earlier) if refused else (scans.open, scans.closed)
    interval = SCAN_INTERVAL_ALONE if refused else SCAN_INTERVAL
    due, cursor.last_scan_at = await _due_for_scan(session, often, interval, cursor.last_scan_at)
    due_closed, cursor.last_closed_scan_at = await _due_for_scan(
        session, rarely, CLOSED_SCAN_INTERVAL, cursor.last_closed_scan_at
    )
    unmarked = await read_without_marker(session, scans.open, MOST_CALLS_WITHOUT_MARKER * IDS_PER_CALL)
    found = list(dict.fromkeys(one.sys_id for one in [*unmarked, *due, *due_closed]))
    if not found and cursor.problem is not None:
        # One call tells whether the instance fails, or its list of changes alone.
        found = [one.sys_id for one in await read_longest_ago(session, scans.followed, IDS_PER_CALL)]
    return found


async def _due_for_scan(
    session: Session, those: Scanned, interval: timedelta, last_scan_at: datetime | None
) -> tuple[list[LastRead], datetime | None]:
    """Those read longest ago, as many as are due now to read each once in `interval`; and how far this has come."""
    now = clock.now()
    # Fewer tickets are due later, so they are counted only where calls are due even for the most that there may be.
    if not calls_due(now, those.most, interval, last_scan_at)[0]:
        return [], last_scan_at
    calls, last_scan_at = calls_due(now, await count(session, those), interval, last_scan_at)
    return await read_longest_ago(session, those, calls * IDS_PER_CALL), last_scan_at


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
    # A poll begins some seconds earlier or later in its minute, and one that comes too early for a scan waits for the next.
    calls = max(0, int((now - since + schedule.TOLERANCE) / pause))
    return calls, since + calls * pause if calls else last_scan_at


@dataclass(frozen=True)
class Scans:
    """The tickets of one table as they are scanned: `followed` are those whose state people rely on."""

    open: Scanned
    followed: Scanned
    closed: Scanned
    closed_earlier: Scanned


def scans_of(
    connection_id: UUID, kind: TicketKind, in_state: Mapping[str, int], closed_values: Collection[str]
) -> Scans:
    """`in_state` is what `states_in_use` says of the table."""
    now = clock.now()
    in_open = {state: n for state, n in in_state.items() if state not in closed_values}
    in_closed = {state: n for state, n in in_state.items() if state in closed_values}
    is_open = Scanned(connection_id, kind, in_open, in_closed)
    closed = Scanned(connection_id, kind, {}, in_closed, closed_after=now - LONGEST_CLOSED)
    return Scans(
        open=is_open,
        followed=replace(is_open, closed_after=now - RECENTLY_CLOSED),
        closed=closed,
        closed_earlier=replace(closed, closed_until=now - RECENTLY_CLOSED),
    )


async def _first_shared(session: Session, shared: Conditions) -> datetime | None:
    first: datetime | None = (await session.execute(select(func.min(Ticket.shared_at)).where(*shared))).scalar_one()
    return first


def _shared(connection_id: UUID, kind: str) -> Conditions:
    return (Ticket.connection_id == connection_id, Ticket.kind == kind, Ticket.sys_id.is_not(None))


async def cursor_of(session: Session, connection_id: UUID, kind: TicketKind) -> PollCursor:
    """The cursor of one table at one connection, inserted when it does not exist."""
    found = await session.get(PollCursor, (connection_id, kind))
    if found is None:
        found = PollCursor(connection_id=connection_id, kind=kind, changes_refused=0)
        session.add(found)
        await session.flush()
    return found
