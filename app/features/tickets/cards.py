"""The home page's two ticket cards: counts by state, the newest tickets, and how old that is. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from app.features.connection.access import active_connection
from app.features.tickets.browse_tickets import TicketLine, line_of
from app.features.tickets.freshness import Freshness, freshness_of
from app.features.tickets.models import Ticket
from app.features.tickets.state_names import Names, load_names
from app.features.tickets.ticket import Delivery, Group
from app.foundation.database import Session

NEWEST = 5
# The order in which a card lists states: as the work goes, then what nobody described.
GROUP_ORDER = list(Group)


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


async def ticket_card(session: Session, kind: str) -> TicketCard:
    """The card of this kind, for the active connection only; another instance's tickets are in the archive."""
    connection = await active_connection(session)
    fresh = await freshness_of(session, kind)
    if connection is None:
        return TicketCard(kind, 0, [], 0, 0, [], fresh)
    names = await load_names(session)
    here = (Ticket.connection_id == connection.id, Ticket.kind == kind)
    rows = await session.execute(
        select(Ticket.delivery, Ticket.state, func.max(Ticket.state_label), func.count())
        .where(*here, Ticket.delivery != Delivery.GIVEN_UP)
        .group_by(Ticket.delivery, Ticket.state)
    )
    found = [(delivery, state, label, count) for delivery, state, label, count in rows]
    newest = select(Ticket).where(*here).order_by(Ticket.created_at.desc(), Ticket.id).limit(NEWEST)
    return TicketCard(
        kind=kind,
        total=sum(count for *_, count in found),
        counts=_by_name(names, connection.id, kind, [row[1:] for row in found if row[0] == Delivery.SHARED]),
        queued=sum(count for delivery, *_, count in found if delivery == Delivery.QUEUED),
        held=sum(count for delivery, *_, count in found if delivery == Delivery.HELD),
        newest=[line_of(ticket, names) for ticket in (await session.execute(newest)).scalars()],
        fresh=fresh,
    )


def _by_name(names: Names, connection_id: UUID, kind: str, rows: list[tuple[str, str, int]]) -> list[StateCount]:
    """States that people call the same are counted together."""
    counted: dict[tuple[str, Group], int] = {}
    for state, label, count in rows:
        key = (names.label(connection_id, kind, state, label), names.group(connection_id, kind, state))
        counted[key] = counted.get(key, 0) + count
    lines = [StateCount(label, group, count) for (label, group), count in counted.items()]
    return sorted(lines, key=lambda line: (GROUP_ORDER.index(Group(line.group)), line.label))
