"""The two ticket cards of the home page: counts by state, the newest tickets, their freshness. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, select

from app.core.nested_rows import nested
from app.features.connection.models import Connection
from app.features.tickets.models import Ticket, TicketTally
from app.features.tickets.polling.poll_status import Freshness, PollStatus
from app.features.tickets.polling.state_names import StateNames
from app.features.tickets.types import Delivery, StateCategory, TicketKind
from app.features.tickets.views.ticket_classes import LineContext
from app.features.tickets.views.ticket_list import TicketLine, line_of
from app.features.tickets.views.ticket_pages import LINE_COLUMNS

NEWEST = 5
# The order of the categories on a card: as work proceeds, with unknown ones last.
CATEGORY_ORDER = list(StateCategory)


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
    # When `fresh` will say something else by itself.
    true_until: datetime | None = None


def tally_column(kinds: Sequence[TicketKind]) -> ColumnElement[list[dict[str, Any]]]:
    """Of the connection of the statement around it: how many tickets of these kinds there are, for `card_of`."""
    # A ticket that was given up is in no count: no work is left, and none was done.
    of_card = (
        TicketTally.connection_id == Connection.id,
        TicketTally.kind.in_(kinds),
        TicketTally.delivery != Delivery.GIVEN_UP,
    )
    counted = TicketTally.kind, TicketTally.delivery, TicketTally.state, TicketTally.state_label, TicketTally.shown
    return nested(select(*counted, TicketTally.n).where(*of_card))


def newest_column(kind: TicketKind) -> ColumnElement[list[dict[str, Any]]]:
    """Of the connection of the statement around it: the newest tickets of a kind, for `card_of`."""
    # Read off ix_ticket_newest_of_kind, however many tickets there are.
    of_card = Ticket.connection_id == Connection.id, Ticket.kind == kind, Ticket.delivery != Delivery.GIVEN_UP
    newest = select(*LINE_COLUMNS).where(*of_card).order_by(Ticket.created_at.desc(), Ticket.id)
    return nested(newest.limit(NEWEST))


def card_of(
    kind: TicketKind,
    connection_id: UUID,
    context: LineContext,
    status: PollStatus,
    counted: Sequence[Mapping[str, Any]],
    newest: Sequence[Mapping[str, Any]],
) -> TicketCard:
    """One kind's card; `counted` and `newest` are what the two columns above brought."""
    own = [row for row in counted if row["kind"] == kind]
    shared = [row for row in own if row["delivery"] == Delivery.SHARED]

    def total(rows: Sequence[Mapping[str, Any]]) -> int:
        return sum(row["n"] for row in rows)

    return TicketCard(
        kind=kind,
        total=total(own),
        counts=_count_by_label(context.names, connection_id, kind, [row for row in shared if row["shown"]]),
        queued=total([row for row in own if row["delivery"] == Delivery.QUEUED]),
        held=total([row for row in own if row["delivery"] == Delivery.HELD]),
        absent=total([row for row in shared if not row["shown"]]),
        newest=[line_of(_ticket(row), context) for row in newest],
        fresh=status.fresh(kind),
        true_until=status.true_until(kind),
    )


def _ticket(row: Mapping[str, Any]) -> Ticket:
    """A row as JSON tells it, with the attributes that a line is made of."""
    moments = {
        name: row[name] and datetime.fromisoformat(row[name]) for name in ("created_at", "verified_at", "state_since")
    }
    ids = {name: UUID(row[name]) for name in ("id", "connection_id")}
    return cast("Ticket", SimpleNamespace(**{**row, **moments, **ids, "due_date": date.fromisoformat(row["due_date"])}))


def _count_by_label(
    names: StateNames, connection_id: UUID, kind: str, rows: Sequence[Mapping[str, Any]]
) -> list[StateCount]:
    """Values with the same label and category are one line: people cannot tell them apart."""
    # A state that was renamed there has two labels until its tickets are read again: one line, as in the list.
    labels: dict[str, str] = {}
    for row in rows:
        labels[row["state"]] = max(labels.get(row["state"], ""), row["state_label"])
    counted: dict[tuple[str, StateCategory], int] = {}
    for row in rows:
        state = row["state"]
        key = names.label(connection_id, kind, state, labels[state]), names.category(connection_id, kind, state)
        counted[key] = counted.get(key, 0) + row["n"]
    lines = [StateCount(label, category, count) for (label, category), count in counted.items()]
    return sorted(lines, key=lambda line: (CATEGORY_ORDER.index(StateCategory(line.category)), line.label))
