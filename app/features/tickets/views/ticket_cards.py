"""The home page's two ticket cards: counts by state, the newest tickets, and how old that is. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from app.core.database import Session
from app.features.connection.models import Connection
from app.features.tickets.models import Ticket
from app.features.tickets.polling.poll_status import Freshness, PollStatus
from app.features.tickets.polling.state_names import Names, load_names
from app.features.tickets.types import Delivery, StateCategory, TicketKind
from app.features.tickets.views.ticket_list import TicketLine, line_of

NEWEST = 5
# The order in which a card lists states: as the work goes, then what nobody described.
GROUP_ORDER = list(StateCategory)

Counted = tuple[str, str, str, str, int]


@dataclass(frozen=True)
class StateCount:
    """How many tickets are in one state."""

    label: str
    group: str
    count: int


@dataclass(frozen=True)
class TicketCard:
    """One kind's card. `queued` and `held` are tickets that ServiceNow does not have yet."""

    kind: str
    total: int
    counts: list[StateCount]
    queued: int
    held: int
    newest: list[TicketLine]
    fresh: Freshness


async def ticket_cards(
    session: Session, connection: Connection, seen: PollStatus, kinds: Sequence[TicketKind] = tuple(TicketKind)
) -> list[TicketCard]:
    """The cards of these kinds, for this connection only, in three statements whatever they hold."""
    names = await load_names(session)
    here = (Ticket.connection_id == connection.id, Ticket.kind.in_(kinds), Ticket.delivery != Delivery.GIVEN_UP)
    counts = select(Ticket.kind, Ticket.delivery, Ticket.state, func.max(Ticket.state_label), func.count())
    rows = await session.execute(counts.where(*here).group_by(Ticket.kind, Ticket.delivery, Ticket.state))
    found: list[Counted] = [(row[0], row[1], row[2], row[3], row[4]) for row in rows]
    place = func.row_number().over(partition_by=Ticket.kind, order_by=(Ticket.created_at.desc(), Ticket.id))
    ranked = select(Ticket.id, place.label("place")).where(*here).subquery()
    newest = select(Ticket).join(ranked, ranked.c.id == Ticket.id).where(ranked.c.place <= NEWEST)
    newest = newest.order_by(Ticket.created_at.desc(), Ticket.id)
    lines = [line_of(ticket, names) for ticket in (await session.execute(newest)).scalars()]
    return [_card(names, connection.id, kind, found, lines, seen) for kind in kinds]


def _card(
    names: Names,
    connection_id: UUID,
    kind: TicketKind,
    found: Sequence[Counted],
    lines: Sequence[TicketLine],
    seen: PollStatus,
) -> TicketCard:
    own = [row for row in found if row[0] == kind]
    return TicketCard(
        kind=kind,
        total=sum(row[4] for row in own),
        counts=_by_name(names, connection_id, kind, [row for row in own if row[1] == Delivery.SHARED]),
        queued=sum(row[4] for row in own if row[1] == Delivery.QUEUED),
        held=sum(row[4] for row in own if row[1] == Delivery.HELD),
        newest=[line for line in lines if line.kind == kind],
        fresh=seen.fresh(kind),
    )


def _by_name(names: Names, connection_id: UUID, kind: str, rows: Sequence[Counted]) -> list[StateCount]:
    """States that people call the same are counted together."""
    counted: dict[tuple[str, StateCategory], int] = {}
    for _, _, state, label, count in rows:
        key = (names.label(connection_id, kind, state, label), names.group(connection_id, kind, state))
        counted[key] = counted.get(key, 0) + count
    lines = [StateCount(label, group, count) for (label, group), count in counted.items()]
    return sorted(lines, key=lambda line: (GROUP_ORDER.index(StateCategory(line.group)), line.label))
