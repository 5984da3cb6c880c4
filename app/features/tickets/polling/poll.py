"""Reads from ServiceNow what became of our tickets: what changed since last time, and each open one within the hour.

The first question costs one request per table however many tickets there are. The second is the safety net: scripts
can change a record without touching `sys_updated_on`, and an instance may refuse the first question altogether.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, select

from app.core import clock
from app.core.database import Session
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.connection.gateway import InstancePaused, ServiceNowClient, call
from app.features.connection.models import InstanceThrottle
from app.features.connection.throttle import throttle_of
from app.features.tickets.models import PollCursor, Ticket
from app.features.tickets.polling.apply_remote import UNCLEAR, apply_record, mark_hidden, warn_duplicate, why_gone
from app.features.tickets.polling.state_names import Names, load_names
from app.features.tickets.types import MARKERS, TABLES, TicketKind
from app.integrations.http.errors import Forbidden, InvalidResponse, QueryIgnored, RemoteError
from app.integrations.servicenow.protocol import IDS_PER_CALL, USER_NAME, Changed
from app.integrations.servicenow.schemas import Listed, RemoteTicket
from app.resources import Resources

log = get_logger(__name__)

# Changes are asked for again from this long before the last question: a record may be stamped before it is stored.
OVERLAP = timedelta(seconds=120)
# Of an instance that was never asked, not even the clock is known.
FIRST_OVERLAP = timedelta(days=1)
# The instance's clock was turned back by more than this since we last looked at it: what changed since is asked for
# again. Less than that, and delays on the way, are within the overlap.
TURNED_BACK = timedelta(seconds=60)
# No clock that is kept is off by so much; a header that says so comes from a cache on the way.
WORST_CLOCK = timedelta(days=1)
PAGE = 1000
MOST_PAGES = 100
# Every ticket that ServiceNow still works on is read by its id once in this time; sooner where that is the only way.
ROLLING = timedelta(hours=1)
ROLLING_ALONE = timedelta(minutes=10)
# One record that is gone was deleted; several at once, with none left, point to a lost role.
ENOUGH_TO_WONDER = 3
# A refusal may pass (KB2466644); said twice it is believed for a while, and then tried again.
BELIEVED_REFUSALS = 2
BELIEVED_FOR = timedelta(hours=1)
# The clock starts a refresh each minute. When nothing moved and nobody looked for a while, most of them do nothing.
QUIET_AFTER_MOVING = timedelta(minutes=30)
QUIET_AFTER_LOOKING = timedelta(minutes=10)
QUIET_INTERVAL = timedelta(minutes=5)
OTHER_RECORDS = T("ServiceNow ignored what it was asked for and listed other records.")


class NothingVisible(InvalidResponse):
    """Of several records that were asked for by their ids, none came back."""

    default = T(
        "ServiceNow shows us none of our records any more. Check the roles of the integration user; were the records "
        "deleted, nothing is wrong with the connection."
    )


@dataclass(frozen=True)
class _Plan:
    """What one refresh of one table has to ask, read in one transaction.

    `since` and `asked_at` are our time; the instance's clock is `ahead` of it by so much, or by more.
    """

    connection_id: UUID
    kind: TicketKind
    ask_for_changes: bool
    created_by: str
    since: datetime
    ahead: timedelta
    asked_at: datetime
    in_turn: list[str]

    @property
    def remote_since(self) -> datetime:
        """The same moment on the instance's clock, or one before it."""
        return self.since + self.ahead


@dataclass(frozen=True)
class _Changes:
    """What came of asking for changes; `ahead` is how far the instance's clock was found to be ahead of ours."""

    moved: bool
    ahead: timedelta


async def poll_states(resources: Resources) -> None:
    """Refresh both tables of the active connection; what goes wrong is written down for the cards, never raised."""
    async with resources.database.transaction() as session:
        connection = await active_connection(session)
        if connection is None or connection.status != "connected" or not await _is_due(session, connection.id):
            return
    for kind in TicketKind:
        plan = await _plan(resources, connection.id, kind, connection.user_name)
        if plan is not None:
            await _refresh_table(resources, plan)


async def _is_due(session: Session, connection_id: UUID) -> bool:
    """Each minute while something moves or somebody looks; every five minutes otherwise."""
    now = clock.now()
    cursors = select(func.max(PollCursor.tried_at), func.max(PollCursor.last_change_at))
    tried_at, last_change_at = (await session.execute(cursors.where(PollCursor.connection_id == connection_id))).one()
    newest = select(func.max(Ticket.shared_at)).where(Ticket.connection_id == connection_id)
    shared_at = (await session.execute(newest)).scalar_one()
    throttle = await session.get(InstanceThrottle, connection_id)
    last_viewed_at = throttle.last_viewed_at if throttle else None
    lively = any(moment and now - moment < QUIET_AFTER_MOVING for moment in (last_change_at, shared_at))
    watched = last_viewed_at is not None and now - last_viewed_at < QUIET_AFTER_LOOKING
    return lively or watched or tried_at is None or now - tried_at >= QUIET_INTERVAL - timedelta(seconds=10)


async def _plan(resources: Resources, connection_id: UUID, kind: TicketKind, user_name: str) -> _Plan | None:
    """None while there is nothing of this kind to follow."""
    now = clock.now()
    async with resources.database.transaction() as session:
        shared = (Ticket.connection_id == connection_id, Ticket.kind == kind, Ticket.sys_id.is_not(None))
        first = (await session.execute(select(func.min(Ticket.shared_at)).where(*shared))).scalar_one()
        if first is None:
            return None
        throttle = await throttle_of(session, connection_id)
        cursor = await cursor_of(session, connection_id, kind)
        cursor.tried_at = now
        refused = cursor.changes_refused >= BELIEVED_REFUSALS and cursor.changes_refused_at is not None
        ask_for_changes = not refused or now - (cursor.changes_refused_at or now) >= BELIEVED_FOR
        in_turn = await _due_for_reading(session, cursor, ROLLING_ALONE if refused else ROLLING)
    return _Plan(
        connection_id=connection_id,
        kind=kind,
        ask_for_changes=ask_for_changes,
        created_by=user_name if USER_NAME.fullmatch(user_name) else "",
        since=cursor.watermark - OVERLAP if cursor.watermark else first - FIRST_OVERLAP,
        ahead=timedelta(seconds=throttle.clock_ahead_seconds),
        asked_at=now,
        in_turn=in_turn,
    )


async def _due_for_reading(session: Session, cursor: PollCursor, once_in: timedelta) -> list[str]:
    """The ids of open tickets read longest ago: as many calls' worth as keep a whole round within the time."""
    now, kind = clock.now(), TicketKind(cursor.kind)
    names = await load_names(session)
    still_open = _open_ones(names, cursor.connection_id, kind)
    count = (await session.execute(select(func.count()).select_from(Ticket).where(*still_open))).scalar_one()
    if not count:
        return []
    interval = once_in / -(-count // IDS_PER_CALL)
    last_scan_at = max(cursor.last_scan_at or now - interval, now - once_in)
    calls = int((now - last_scan_at) / interval)
    if calls < 1:
        return []
    cursor.last_scan_at = last_scan_at + calls * interval
    oldest_first = (
        select(Ticket.sys_id)
        .where(*still_open)
        .order_by(Ticket.verified_at.asc().nulls_first(), Ticket.id)
        .limit(calls * IDS_PER_CALL)
    )
    return [sys_id for sys_id in (await session.execute(oldest_first)).scalars() if sys_id]


def _open_ones(names: Names, connection_id: UUID, kind: TicketKind) -> tuple[ColumnElement[bool], ...]:
    return (
        Ticket.connection_id == connection_id,
        Ticket.kind == kind,
        Ticket.sys_id.is_not(None),
        Ticket.state.not_in(names.closed_values(connection_id, kind)),
    )


async def _refresh_table(resources: Resources, plan: _Plan) -> None:
    problem: Message | None = None
    changes: _Changes | None = None
    refused = moved = False
    try:
        if plan.ask_for_changes:
            try:
                changes = await _ask_for_changes(resources, plan)
            except (Forbidden, QueryIgnored) as error:
                if error.is_instance_wide:
                    raise
                refused = True
        moved = await _rolling_scan(resources, plan)
    except (NotConnected, InstancePaused, RemoteError) as error:
        problem = error.message
        log.warning("refresh failed", kind=plan.kind, outcome=type(error).__name__)
    async with resources.database.transaction() as session:
        if changes is not None:
            throttle = await throttle_of(session, plan.connection_id)
            throttle.clock_ahead_seconds = min(throttle.clock_ahead_seconds, changes.ahead.total_seconds())
        cursor = await cursor_of(session, plan.connection_id, plan.kind)
        if refused:
            cursor.changes_refused += 1
            cursor.changes_refused_at = clock.now()
        await _write_down(session, cursor, plan, problem, changes)
        if moved or (changes is not None and changes.moved):
            cursor.last_change_at = clock.now()


async def _write_down(
    session: Session, cursor: PollCursor, plan: _Plan, problem: Message | None, changes: _Changes | None
) -> None:
    """How far we have read, for the cards and for the next time."""
    cursor.problem = problem.to_json() if problem else None
    if changes is not None:  # To its end: what broke off is asked for again, from the same moment.
        cursor.changes_refused = 0
        cursor.watermark = plan.asked_at
    if problem is None:
        cursor.succeeded_at = plan.asked_at if changes is not None else await _oldest_reading(session, cursor)


async def _oldest_reading(session: Session, cursor: PollCursor) -> datetime | None:
    """Without the question for changes, our data is as old as the ticket that was read longest ago."""
    names = await load_names(session)
    query = select(func.min(Ticket.verified_at)).where(
        *_open_ones(names, cursor.connection_id, TicketKind(cursor.kind))
    )
    oldest: datetime | None = (await session.execute(query)).scalar_one()
    return oldest or clock.now()


async def _ask_for_changes(resources: Resources, plan: _Plan) -> _Changes:
    """By the marker and by who made the record; where the second may not be asked for, by the marker alone."""
    try:
        return await _read_changes(resources, plan)
    except (Forbidden, QueryIgnored) as error:
        if error.is_instance_wide or not plan.created_by:
            raise
    return await _read_changes(resources, replace(plan, created_by=""))


async def _read_changes(resources: Resources, plan: _Plan) -> _Changes:
    """What changed since the last time, page by page, until every record that the instance counts is accounted for."""
    page, ahead = await _page(resources, plan, after="", offset=0)
    if ahead < plan.ahead - TURNED_BACK:
        plan = replace(plan, ahead=ahead)
        page, ahead = await _page(resources, plan, after="", offset=0)
    moved, after, offset = False, "", 0
    for _ in range(MOST_PAGES):
        moved |= await _apply_page(resources, plan, page.rows)
        if _is_last(page, offset):
            return _Changes(moved, min(ahead, plan.ahead))
        # Hidden rows fall out of a page after it was cut (facts 2.2), so it may be short or even empty.
        after, offset = (page.rows[-1].sys_id, 0) if page.rows else (after, offset + PAGE)
        page, _ahead = await _page(resources, plan, after=after, offset=offset)
    raise InvalidResponse(T("ServiceNow’s list of changes does not end."))


def _is_last(page: Listed, offset: int) -> bool:
    """Whether no record is left behind this page, which began at `offset` of those counted."""
    if len(page.rows) >= PAGE:
        return False
    if page.total is None:
        return not page.rows
    return offset + (len(page.rows) or PAGE) >= page.total


async def _page(resources: Resources, plan: _Plan, *, after: str, offset: int) -> tuple[Listed, timedelta]:
    """One page, with every row checked against what was asked; and how far the instance's clock is ahead, at least."""
    asked = Changed(
        marker=MARKERS[plan.kind],
        created_by=plan.created_by,
        since=plan.remote_since,
        after=after,
        offset=offset,
        limit=PAGE,
    )

    async def question(client: ServiceNowClient) -> Listed:
        return await client.fetch_changed(TABLES[plan.kind], asked)

    page = await call(resources, question, connection_id=plan.connection_id)
    since, last = asked.since.replace(microsecond=0), after
    for row in page.rows:
        is_too_old = row.updated_at is not None and row.updated_at < since
        if not _is_ours(row, asked) or is_too_old or row.sys_id <= last:
            raise QueryIgnored(OTHER_RECORDS)
        last = row.sys_id
    ahead = page.at - clock.now() if page.at else plan.ahead
    return page, ahead if abs(ahead) < WORST_CLOCK else plan.ahead


def _is_ours(row: RemoteTicket, asked: Changed) -> bool:
    if row.correlation_display == asked.marker:
        return True
    return bool(asked.created_by) and row.values.get("sys_created_by", "").lower() == asked.created_by.lower()


async def _rolling_scan(resources: Resources, plan: _Plan) -> bool:
    """The rolling pass: these records by their ids. Those missing in the answer are hidden or deleted."""
    moved, seen = False, 0
    for start in range(0, len(plan.in_turn), IDS_PER_CALL):
        wanted = plan.in_turn[start : start + IDS_PER_CALL]

        async def question(client: ServiceNowClient, wanted: Sequence[str] = wanted) -> Listed:
            return await client.fetch_many(TABLES[plan.kind], wanted)

        found = await call(resources, question, connection_id=plan.connection_id)
        if not {row.sys_id for row in found.rows} <= set(wanted):
            raise QueryIgnored(OTHER_RECORDS)
        seen += len(found.rows)
        moved |= await _apply_page(resources, plan, found.rows, asked=wanted, why=why_gone(found, wanted))
    if not seen and len(plan.in_turn) >= ENOUGH_TO_WONDER:
        raise NothingVisible
    return moved


async def _apply_page(
    resources: Resources, plan: _Plan, rows: Sequence[RemoteTicket], asked: Sequence[str] = (), why: Message = UNCLEAR
) -> bool:
    """Write what was read into the tickets it belongs to. `why` is said of those asked for that did not come."""
    by_id = {row.sys_id: row for row in rows}
    wanted = set(by_id) | set(asked)
    moved = False
    if not wanted:
        return moved
    async with resources.database.transaction() as session:
        names = await load_names(session)
        query = (
            select(Ticket)
            .where(Ticket.connection_id == plan.connection_id, Ticket.kind == plan.kind, Ticket.sys_id.in_(wanted))
            .order_by(Ticket.id)
            .with_for_update()
        )
        for ticket in (await session.execute(query)).scalars():
            row = by_id.pop(ticket.sys_id or "", None)
            moved |= apply_record(session, ticket, row, names) if row else await mark_hidden(session, ticket, why)
        await _warn_duplicates(session, plan, by_id.values())
    return moved


async def _warn_duplicates(session: Session, plan: _Plan, strangers: Collection[RemoteTicket]) -> None:
    """Records that we do not follow, and that carry the id of a ticket for which we follow another one."""
    by_correlation = {row.correlation_id: row for row in strangers if row.correlation_id}
    if not by_correlation:
        return
    query = (
        select(Ticket)
        .where(Ticket.connection_id == plan.connection_id, Ticket.kind == plan.kind, Ticket.sys_id.is_not(None))
        .where(Ticket.correlation_id.in_(by_correlation))
        .order_by(Ticket.id)
        .with_for_update()
    )
    for ticket in (await session.execute(query)).scalars():
        warn_duplicate(session, ticket, by_correlation[ticket.correlation_id])


async def cursor_of(session: Session, connection_id: UUID, kind: TicketKind) -> PollCursor:
    """The cursor of one table at one connection; made when there is none."""
    found = await session.get(PollCursor, (connection_id, kind))
    if found is None:
        found = PollCursor(connection_id=connection_id, kind=kind, changes_refused=0)
        session.add(found)
        await session.flush()
    return found
