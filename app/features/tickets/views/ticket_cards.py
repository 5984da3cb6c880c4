"""The two ticket cards of the home page: counts by state, the newest tickets, their freshness. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from app.core.database import Session
from app.features.connection.models import Connection
from app.features.tickets.models import Ticket
from app.features.tickets.polling.poll_status import Freshness, PollStatus
from app.features.tickets.polling.state_names import StateNames
from app.features.tickets.types import Delivery, StateCategory, TicketKind
from app.features.tickets.views.ticket_list import TicketLine, line_of, load_line_context

NEWEST = 5
# The order of the categories on a card: as work proceeds, with unknown ones last.
CATEGORY_ORDER = list(StateCategory)

# Kind, delivery, raw state, the instance's label of it, number of tickets, whether ServiceNow shows them.
Counted = tuple[str, str, str, str, int, bool]


@dataclass(frozen=True)
class StateCount:
    label: str
    category: str
    count: int


@dataclass(frozen=True)
class TicketCard:
    """One kind's card. `counts` are of shared tickets, `queued` and `held` of those that ServiceNow does not have yet.

    `absent` are shared ones whose records ServiceNow does not show any more: they are in no state.
    """

    kind: str
    total: int
    counts: list[StateCount]
    queued: int
    held: int
    absent: int
    newest: list[TicketLine]
    fresh: Freshness


async def ticket_cards(
    session: Session, connection: Connection, status: PollStatus, kinds: Sequence[TicketKind] = tuple(TicketKind)
) -> list[TicketCard]:
    """The cards of these kinds at this connection, in three statements however many tickets there are."""
    context = await load_line_context(session)
    names = context.names
    # A ticket that was given up is in no count: no work is left, and none was done.
    of_card = (Ticket.connection_id == connection.id, Ticket.kind.in_(kinds), Ticket.delivery != Delivery.GIVEN_UP)
    shown = Ticket.absence == ""
    counts = select(Ticket.kind, Ticket.delivery, Ticket.state, func.max(Ticket.state_label), func.count(), shown)
    rows = await session.execute(counts.where(*of_card).group_by(Ticket.kind, Ticket.delivery, Ticket.state, shown))
    found: list[Counted] = [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows]
    # The newest of each kind in one statement, ranked within its kind.
    place = func.row_number().over(partition_by=Ticket.kind, order_by=(Ticket.created_at.desc(), Ticket.id))
    ranked = select(Ticket.id, place.label("place")).where(*of_card).subquery()
    newest = select(Ticket).join(ranked, ranked.c.id == Ticket.id).where(ranked.c.place <= NEWEST)
    newest = newest.order_by(Ticket.created_at.desc(), Ticket.id)
    lines = [line_of(ticket, context) for ticket in (await session.execute(newest)).scalars()]
    return [_card(names, connection.id, kind, found, lines, status) for kind in kinds]


def _card(
    names: StateNames,
    connection_id: UUID,
    kind: TicketKind,
    found: Sequence[Counted],
    lines: Sequence[TicketLine],
    status: PollStatus,
) -> TicketCard:
    own = [row for row in found if row[0] == kind]
    shared = [row for row in own if row[1] == Delivery.SHARED]
    return TicketCard(
        kind=kind,
        total=sum(row[4] for row in own),
        counts=_count_by_label(names, connection_id, kind, [row for row in shared if row[5]]),
        queued=sum(row[4] for row in own if row[1] == Delivery.QUEUED),
        held=sum(row[4] for row in own if row[1] == Delivery.HELD),
        absent=sum(row[4] for row in shared if not row[5]),
        newest=[line for line in lines if line.kind == kind],
        fresh=status.fresh(kind),
    )


def _count_by_label(names: StateNames, connection_id: UUID, kind: str, rows: Sequence[Counted]) -> list[StateCount]:
    """Values with the same label and category are one line: people cannot tell them apart."""
    counted: dict[tuple[str, StateCategory], int] = {}
    for _, _, state, label, count, _ in rows:
        key = (names.label(connection_id, kind, state, label), names.category(connection_id, kind, state))
        counted[key] = counted.get(key, 0) + count
    lines = [StateCount(label, category, count) for (label, category), count in counted.items()]
    return sorted(lines, key=lambda line: (CATEGORY_ORDER.index(StateCategory(line.category)), line.label))
