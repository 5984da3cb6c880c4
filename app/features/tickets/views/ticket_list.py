"""Find tickets for pages: the list with its filters, and the tickets of improvement actions. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, false, func, or_, select, tuple_

from app.core.database import Session
from app.core.messages import Message
from app.features.connection.models import Connection, ConnectionStatus
from app.features.tickets.models import StateName, Ticket, TicketAction
from app.features.tickets.polling.state_names import StateNames, names_of
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

PAGE_SIZE = 50
# Values of the progress filter that are no category of states.
OPEN, ABSENT, ARCHIVED = "open", "absent", "archived"


@dataclass(frozen=True)
class LineContext:
    """What the lines of all tickets need. `archived` are the instances that are not connected any more: {connection: name}."""

    names: StateNames
    archived: Mapping[UUID, str]


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
class Filters:
    """What a list shows; empty means all. `batch` is the id of a bulk share.

    `state_category` is a StateCategory or one of OPEN, ABSENT and ARCHIVED.
    """

    kind: str = ""
    state_category: str = ""
    state: str = ""
    delivery: str = ""
    search: str = ""
    batch: str = ""
    page: int = 1


@dataclass(frozen=True)
class TicketList:
    """One page of a list. `states` are the choices of the state filter: (value of the filter, label)."""

    lines: list[TicketLine]
    total: int
    page: int
    pages: int
    states: list[tuple[str, str]]


@dataclass(frozen=True)
class _State:
    connection_id: UUID
    kind: str
    value: str
    category: StateCategory
    label: str


async def list_tickets(session: Session, filters: Filters) -> TicketList:
    """Newest first, PAGE_SIZE to a page. A page number beyond the last gives the last."""
    context = await load_line_context(session)
    states = await _states(session, context.names)
    where = _conditions(filters, states, context)
    total = (await session.execute(select(func.count()).select_from(Ticket).where(*where))).scalar_one()
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(max(filters.page, 1), pages)
    query = (
        select(Ticket)
        .where(*where)
        .order_by(Ticket.created_at.desc(), Ticket.id)
        .limit(PAGE_SIZE)
        .offset((page - 1) * PAGE_SIZE)
    )
    lines = [line_of(ticket, context) for ticket in (await session.execute(query)).scalars()]
    return TicketList(lines, total, page, pages, sorted({(state.label, state.label) for state in states}))


async def tickets_of_action(session: Session, control_id: str) -> list[TicketLine]:
    """Every ticket made of this action, newest first."""
    return (await tickets_by_action(session, [control_id])).get(control_id, [])


async def tickets_by_action(session: Session, control_ids: Iterable[str]) -> dict[str, list[TicketLine]]:
    """{control id: tickets, newest first}, in two queries however many actions; without those that have no ticket."""
    query = (
        select(TicketAction.control_id, Ticket)
        .join(Ticket, Ticket.id == TicketAction.ticket_id)
        .where(TicketAction.control_id.in_(list(control_ids)))
        .order_by(Ticket.created_at.desc(), Ticket.id)
    )
    context = await load_line_context(session)
    found: dict[str, list[TicketLine]] = {}
    for control_id, ticket in await session.execute(query):
        found.setdefault(control_id, []).append(line_of(ticket, context))
    return found


async def numbers_by_action(session: Session) -> dict[str, list[str]]:
    """{control id: ticket numbers}; a number is empty until the ticket is shared."""
    # Two columns of all tickets, not whole rows: the actions list and its export need nothing else.
    query = (
        select(TicketAction.control_id, Ticket.number)
        .join(Ticket, Ticket.id == TicketAction.ticket_id)
        .order_by(Ticket.created_at.desc(), Ticket.id)
    )
    found: dict[str, list[str]] = {}
    for control_id, number in await session.execute(query):
        found.setdefault(control_id, []).append(number)
    return found


async def lines_of(session: Session, ticket_ids: Sequence[UUID]) -> list[TicketLine]:
    """These tickets, newest first."""
    query = select(Ticket).where(Ticket.id.in_(ticket_ids)).order_by(Ticket.created_at.desc(), Ticket.id)
    context = await load_line_context(session)
    return [line_of(ticket, context) for ticket in (await session.execute(query)).scalars()]


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


def line_of(ticket: Ticket, context: LineContext) -> TicketLine:
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


async def _states(session: Session, names: StateNames) -> list[_State]:
    """Every state that shared tickets are in: a few dozen at most, however many tickets there are."""
    rows = await session.execute(
        select(Ticket.connection_id, Ticket.kind, Ticket.state, func.max(Ticket.state_label))
        .where(Ticket.delivery == Delivery.SHARED, Ticket.absence == "")
        .group_by(Ticket.connection_id, Ticket.kind, Ticket.state)
    )
    return [
        _State(
            connection_id,
            kind,
            value,
            names.category(connection_id, kind, value),
            names.label(connection_id, kind, value, label),
        )
        for connection_id, kind, value, label in rows
    ]


def _conditions(filters: Filters, states: Sequence[_State], context: LineContext) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if filters.kind in {kind.value for kind in TicketKind}:
        where.append(Ticket.kind == filters.kind)
    if filters.delivery in {delivery.value for delivery in Delivery}:
        where.append(Ticket.delivery == filters.delivery)
    # Categories are no column, because an administrator may rename a state at any time. They become conditions on the
    # raw values, which are few.
    if filters.state_category == OPEN:
        closed = _in_states([state for state in states if state.category in CLOSED_CATEGORIES])
        where.extend([~closed, Ticket.delivery != Delivery.GIVEN_UP, Ticket.absence == ""])
        where.append(Ticket.connection_id.not_in(context.archived))
    elif filters.state_category == ABSENT:
        where.append(Ticket.absence != "")
    elif filters.state_category == ARCHIVED:
        where.append(Ticket.connection_id.in_(context.archived))
    elif filters.state_category in {category.value for category in StateCategory}:
        where.append(_in_states([state for state in states if state.category == filters.state_category]))
    # By label: several raw values of both kinds may have the same one, and people mean them all.
    if filters.state:
        where.append(_in_states([state for state in states if state.label == filters.state]))
    if filters.batch:
        batch_id = _uuid(filters.batch)
        # An id that is none belongs to no bulk share: the list is empty then, and says how to clear the filter.
        where.append(Ticket.batch_id == batch_id if batch_id else false())
    if filters.search:
        where.append(_matches(filters.search))
    return where


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _in_states(states: Sequence[_State]) -> ColumnElement[bool]:
    wanted = [(state.connection_id, state.kind, state.value) for state in states]
    # With the connection: another instance may use the same value for something else.
    matches = tuple_(Ticket.connection_id, Ticket.kind, Ticket.state).in_(wanted)
    return (Ticket.delivery == Delivery.SHARED) & matches & (Ticket.absence == "")


def _matches(search: str) -> ColumnElement[bool]:
    """The search text in the name, the number, the requester's name or the title of an action."""
    # autoescape: % and _ are characters to find here, not patterns. The length is that of the search field.
    wanted = search[:200]
    of_actions = select(TicketAction.ticket_id).where(TicketAction.title.icontains(wanted, autoescape=True))
    return or_(
        Ticket.name.icontains(wanted, autoescape=True),
        Ticket.number.icontains(wanted, autoescape=True),
        Ticket.requested_by_name.icontains(wanted, autoescape=True),
        Ticket.id.in_(of_actions),
    )
