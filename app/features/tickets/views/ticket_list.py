"""The list of tickets: one page of what the filters leave, and what a line says of a ticket. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.errors import QueryCanceled
from sqlalchemy import Row, select
from sqlalchemy.exc import OperationalError

from app.core.database import Session
from app.core.messages import Message
from app.features.connection.models import Connection, ConnectionStatus
from app.features.tickets.models import StateName, Ticket
from app.features.tickets.polling.poll_status import PollStatus
from app.features.tickets.polling.state_names import names_of
from app.features.tickets.sharing.held_tickets import HeldGroup
from app.features.tickets.types import (
    ABSENCE_NAMES,
    CLOSED_CATEGORIES,
    DELIVERY_NAMES,
    KINDS,
    Absence,
    Delivery,
    StateCategory,
    TicketKind,
    priority_name,
)
from app.features.tickets.views.list_facts import load_facts
from app.features.tickets.views.list_place import NEWEST, Direction, ListPlace
from app.features.tickets.views.ticket_classes import Filters, LineContext, choose_classes, total_of
from app.features.tickets.views.ticket_pages import (
    BOUNDS,
    LINE_COLUMNS,
    MOST_COUNTED,
    PAGE_SIZE,
    Bounds,
    FoundTickets,
    PageQuery,
    find_page,
    searched,
)

# Tickets that an address with a page number passes over, at most.
DEEPEST_NUMBERED = 10_000


@dataclass(frozen=True)
class TicketLine:
    """One ticket in a list. Before it is shared, `state_name` is the name of its delivery and the category is unknown.

    `absence` is a value of `Absence`, empty while ServiceNow shows the record; then the state is the last known one.
    `archived_at` names the instance of a ticket that belongs to one that is not connected any more, else it is empty.
    `verified_at` is when the record was last read, or was last missing from the answer to a request for it.
    """

    id: UUID
    kind: str
    number: str
    name: str
    state_name: str
    state_category: str
    delivery: str
    priority: str
    due_date: date | None
    created_at: datetime
    requested_by_name: str
    verified_at: datetime | None
    state_since: datetime | None = None
    absence: str = ""
    archived_at: str = ""

    @property
    def kind_name(self) -> Message:
        return KINDS[TicketKind(self.kind)].title

    @property
    def state_badge(self) -> str:
        """The badge's kind: by state once the ticket is shared, by delivery before."""
        return {"shared": self.state_category, "queued": "queued", "held": "held"}.get(self.delivery, "plain")

    @property
    def badge(self) -> str:
        """The kind of the badge with `shown_name`."""
        return "unknown" if self.absence else self.state_badge

    @property
    def shown_name(self) -> str:
        """The state, or that ServiceNow does not show the record: its last known state says nothing of the work."""
        return str(ABSENCE_NAMES[Absence(self.absence)]) if self.absence else self.state_name

    @property
    def is_open(self) -> bool:
        """Whether work is left to do, here or in ServiceNow, as far as can be known."""
        if self.absence or self.archived_at or self.delivery == Delivery.GIVEN_UP:
            return False
        return StateCategory(self.state_category) not in CLOSED_CATEGORIES

    @property
    def is_over(self) -> bool:
        """Whether a new ticket of the same action follows this one: no work is left, or its record is not shown any more."""
        is_closed = bool(self.absence) or StateCategory(self.state_category) in CLOSED_CATEGORIES
        return is_closed and not self.archived_at and self.delivery != Delivery.GIVEN_UP

    @property
    def is_done(self) -> bool:
        """Whether its work is done at the connected instance, where it might be reopened."""
        return self.state_category == StateCategory.DONE and not self.absence and not self.archived_at


@dataclass(frozen=True)
class TicketList:
    """One page of a list, newest first. `states` are the choices of the state filter: (value of the filter, label).

    `total` is exact unless `has_more`; then there are at least that many, and more if `is_beyond`. If `leaves_out`, a search
    has not looked at all tickets, and `is_too_slow` is a search that PostgreSQL gave up. `newer` and `older` are places
    (`Filters.at`) beside this page; None where there are no tickets, and "" for the newest page. `held` are the reasons for which
    tickets are held, in the list of those.
    """

    lines: list[TicketLine]
    total: int
    states: list[tuple[str, str]]
    polling: PollStatus
    has_more: bool = False
    is_beyond: bool = False
    leaves_out: bool = False
    is_too_slow: bool = False
    newer: str | None = None
    older: str | None = None
    held: list[HeldGroup] = field(default_factory=list)


async def list_tickets(session: Session, filters: Filters, bounds: Bounds = BOUNDS) -> TicketList:
    """PAGE_SIZE tickets from `filters.at` on, in two statements. A place where there are none gives the nearest page."""
    facts = await load_facts(session, with_held=filters.delivery == Delivery.HELD)
    classes, states = choose_classes(facts.classes, filters, facts.context)
    nothing = TicketList([], 0, [(state, state) for state in states], facts.polling, held=facts.held)
    batch_id = _uuid(filters.batch) if filters.batch else None
    # An id that is none belongs to no bulk share: the list is empty then, and says how to clear the filter.
    if not classes or (filters.batch and batch_id is None):
        return nothing
    total = total_of(classes)
    place = ListPlace.read(filters.at)
    skipped = (filters.page - 1) * PAGE_SIZE if place == NEWEST else 0
    query = PageQuery(
        classes=classes if len(classes) < len(facts.classes) else None,
        batch_id=batch_id,
        search=searched(filters.search),
        place=place,
        # Addresses of earlier versions number the pages. What lies deeper than a person pages is not counted up to.
        skipped=skipped if skipped <= DEEPEST_NUMBERED else 0,
    )
    try:
        found, query = await find_page(session, query, total, bounds)
    except OperationalError as error:
        if not query.search or not isinstance(error.orig, QueryCanceled):
            raise
        return replace(nothing, is_too_slow=True)
    lines = [line_of(row, facts.context) for row in found.rows]
    newer, older = _beside(lines, query, found)
    is_beyond = bool(query.search) and (found.total or 0) > MOST_COUNTED
    return replace(
        nothing,
        lines=lines,
        total=MOST_COUNTED if is_beyond else total if found.total is None else found.total,
        has_more=is_beyond or not found.is_counted,
        is_beyond=is_beyond,
        leaves_out=not found.is_whole,
        newer=newer,
        older=older,
    )


def _beside(lines: Sequence[TicketLine], query: PageQuery, found: FoundTickets) -> tuple[str | None, str | None]:
    """The places of the pages with newer and with older tickets."""
    if not lines:
        return None, None
    direction = query.place.direction
    has_newer = found.goes_on if query.place.is_ascending else direction is Direction.BEFORE or query.skipped > 0
    has_older = direction is Direction.AFTER if query.place.is_ascending else found.goes_on
    newer = ListPlace(Direction.AFTER, lines[0].created_at, lines[0].id).write()
    older = ListPlace(Direction.BEFORE, lines[-1].created_at, lines[-1].id).write()
    return newer if has_newer else None, older if has_older else None


async def lines_of(session: Session, ticket_ids: Sequence[UUID]) -> list[TicketLine]:
    """These tickets, newest first."""
    query = select(*LINE_COLUMNS).where(Ticket.id.in_(ticket_ids)).order_by(Ticket.created_at.desc(), Ticket.id.desc())
    context = await load_line_context(session)
    return [line_of(ticket, context) for ticket in await session.execute(query)]


async def load_line_context(session: Session) -> LineContext:
    """In one statement: names and instances are few, however many tickets there are."""
    query = select(Connection.id, Connection.instance_name, Connection.status, StateName).outerjoin(StateName)
    # Typed by hand: an outer join leaves out names, which the statement's own type does not say.
    rows: list[tuple[UUID, str, str, StateName | None]] = [
        (row[0], row[1], row[2], row[3]) for row in await session.execute(query)
    ]
    return LineContext(
        names=names_of(row[3] for row in rows if row[3] is not None),
        archived={row[0]: row[1] for row in rows if row[2] == ConnectionStatus.REMOVED},
    )


def line_of(ticket: Ticket | Row[*tuple[Any, ...]], context: LineContext) -> TicketLine:
    shared, names = ticket.delivery == Delivery.SHARED, context.names
    return TicketLine(
        id=ticket.id,
        kind=ticket.kind,
        number=ticket.number,
        name=ticket.name,
        state_name=names.label(ticket.connection_id, ticket.kind, ticket.state, ticket.state_label)
        if shared
        else str(DELIVERY_NAMES[Delivery(ticket.delivery)]),
        state_category=names.category(ticket.connection_id, ticket.kind, ticket.state)
        if shared
        else StateCategory.UNKNOWN,
        delivery=ticket.delivery,
        priority=str(priority_name(ticket.remote_priority or str(ticket.priority))),
        due_date=ticket.due_date,
        created_at=ticket.created_at,
        requested_by_name=ticket.requested_by_name,
        verified_at=ticket.verified_at,
        state_since=ticket.state_since,
        absence=ticket.absence,
        archived_at=context.archived.get(ticket.connection_id, ""),
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
