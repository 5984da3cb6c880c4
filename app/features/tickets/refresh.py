"""Reads from ServiceNow what became of our tickets: what changed since last time, and each in turn within the hour.

The first question costs one request per table however many tickets there are. The second is the safety net: scripts
can change a record without touching `sys_updated_on`, and an instance may refuse the first question altogether.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

from app.features.connection.access import NotConnected, active_connection, with_client
from app.features.tickets.follow import apply, hide
from app.features.tickets.models import RefreshCursor, Ticket
from app.features.tickets.pace import pace_of
from app.features.tickets.state_names import load_names
from app.features.tickets.ticket import MARKERS, TABLES, Kind
from app.foundation import clock
from app.foundation.database import Session
from app.foundation.logs import get_logger
from app.foundation.text import T, Text
from app.remote.errors import Garbled, RemoteError
from app.remote.servicenow.client import ServiceNowClient
from app.remote.servicenow.protocol import IDS_PER_CALL
from app.remote.servicenow.shapes import RemoteTicket
from app.resources import Resources

log = get_logger(__name__)

# Changes are asked for again from this long before the last question: a record may be stamped before it is stored.
OVERLAP = timedelta(seconds=120)
PAGE = 1000
MOST_PAGES = 100
# Every ticket that ServiceNow still works on is read by its id once in this time.
ROLLING = timedelta(hours=1)


@dataclass(frozen=True)
class _Plan:
    """What one refresh of one table has to ask, read in one transaction."""

    connection_id: UUID
    kind: Kind
    since: datetime
    asked_at: datetime
    chunk: list[str]


async def refresh_states(resources: Resources) -> None:
    """Refresh both tables of the active connection; what goes wrong is written down for the cards."""
    async with resources.database.transaction() as session:
        connection = await active_connection(session)
    if connection is None:
        return
    for kind in Kind:
        plan = await _plan(resources, connection.id, kind)
        if plan is not None:
            await _refresh_table(resources, plan)


async def _plan(resources: Resources, connection_id: UUID, kind: Kind) -> _Plan | None:
    """None while there is nothing of this kind to follow."""
    now = clock.now()
    async with resources.database.transaction() as session:
        shared = (Ticket.connection_id == connection_id, Ticket.kind == kind, Ticket.sys_id.is_not(None))
        count, first = (await session.execute(select(func.count(), func.min(Ticket.shared_at)).where(*shared))).one()
        if not count:
            return None
        cursor = await _cursor(session, connection_id, kind)
        pace = await pace_of(session, connection_id)
        cursor.tried_at = now
        ahead = timedelta(seconds=pace.clock_ahead_seconds)
        chunk = await _due_for_reading(session, cursor, connection_id, kind, count)
        since = (cursor.watermark or (first or now) + ahead) - OVERLAP
    return _Plan(connection_id, kind, since, now + ahead, chunk)


async def _due_for_reading(
    session: Session, cursor: RefreshCursor, connection_id: UUID, kind: Kind, count: int
) -> list[str]:
    """The ids of those read longest ago, as many calls' worth as keep the whole round within the hour."""
    now = clock.now()
    interval = ROLLING / -(-count // IDS_PER_CALL)
    rolled_at = cursor.rolled_at or now - interval
    calls = int((now - rolled_at) / interval)
    if calls < 1:
        return []
    cursor.rolled_at = max(rolled_at + calls * interval, now - ROLLING)
    query = (
        select(Ticket.sys_id)
        .where(Ticket.connection_id == connection_id, Ticket.kind == kind, Ticket.sys_id.is_not(None))
        .order_by(Ticket.verified_at.asc().nulls_first(), Ticket.id)
        .limit(calls * IDS_PER_CALL)
    )
    return [sys_id for sys_id in (await session.execute(query)).scalars() if sys_id]


async def _refresh_table(resources: Resources, plan: _Plan) -> None:
    problem: Text | None = None
    try:
        moved = await _read_changes(resources, plan)
        moved |= await _read_in_turn(resources, plan)
    except (NotConnected, RemoteError) as error:
        problem, moved = error.message, False
        log.warning("refresh failed", kind=plan.kind, outcome=type(error).__name__)
    async with resources.database.transaction() as session:
        cursor = await _cursor(session, plan.connection_id, plan.kind)
        cursor.problem = problem.to_json() if problem else None
        if problem is None:
            cursor.succeeded_at, cursor.watermark = clock.now(), plan.asked_at
        if moved:
            cursor.moved_at = clock.now()


async def _read_changes(resources: Resources, plan: _Plan) -> bool:
    """What changed since the last time, page by page. True when something moved."""
    moved, after = False, None
    for _ in range(MOST_PAGES):
        rows = await _page(resources, plan, after)
        news = await _take_over(resources, plan, rows)
        moved |= news
        # A short page is the last one, unless rows were hidden from it (facts 2.2): worth a look when there was news.
        if not rows or (len(rows) < PAGE and not news):
            return moved
        after = rows[-1].sys_id
    raise Garbled(T("ServiceNow’s list of changes does not end."))


async def _page(resources: Resources, plan: _Plan, after: str | None) -> list[RemoteTicket]:
    """One page, with every row checked against what was asked."""

    async def ask(client: ServiceNowClient) -> list[RemoteTicket]:
        return await client.fetch_changed(
            TABLES[plan.kind], marker=MARKERS[plan.kind], since=plan.since, after=after, limit=PAGE
        )

    rows = await with_client(resources, ask, connection_id=plan.connection_id)
    last = after or ""
    for row in rows:
        if row.correlation_display != MARKERS[plan.kind] or row.sys_id <= last:
            raise Garbled(T("ServiceNow ignored what it was asked for and listed other records."))
        last = row.sys_id
    return rows


async def _read_in_turn(resources: Resources, plan: _Plan) -> bool:
    """The rolling pass: these records by their ids. Those missing in the answer are hidden or deleted."""
    moved = False
    for start in range(0, len(plan.chunk), IDS_PER_CALL):
        wanted = plan.chunk[start : start + IDS_PER_CALL]

        async def ask(client: ServiceNowClient, wanted: Sequence[str] = wanted) -> list[RemoteTicket]:
            return await client.fetch_many(TABLES[plan.kind], wanted)

        rows = await with_client(resources, ask, connection_id=plan.connection_id)
        moved |= await _take_over(resources, plan, rows, asked=wanted)
    return moved


async def _take_over(
    resources: Resources, plan: _Plan, rows: Sequence[RemoteTicket], asked: Sequence[str] = ()
) -> bool:
    """Write what was read into the tickets it belongs to. True when something moved."""
    by_id = {row.sys_id: row for row in rows}
    wanted = set(by_id) | set(asked)
    if not wanted:
        return False
    moved = False
    async with resources.database.transaction() as session:
        names = await load_names(session)
        query = (
            select(Ticket)
            .where(Ticket.connection_id == plan.connection_id, Ticket.kind == plan.kind, Ticket.sys_id.in_(wanted))
            .order_by(Ticket.id)
            .with_for_update()
        )
        for ticket in (await session.execute(query)).scalars():
            row = by_id.get(ticket.sys_id or "")
            moved |= apply(session, ticket, row, names) if row else hide(session, ticket)
    return moved


async def _cursor(session: Session, connection_id: UUID, kind: Kind) -> RefreshCursor:
    found = await session.get(RefreshCursor, (connection_id, kind))
    if found is None:
        found = RefreshCursor(connection_id=connection_id, kind=kind)
        session.add(found)
        await session.flush()
    return found
