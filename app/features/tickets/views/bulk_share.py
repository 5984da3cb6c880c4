"""What pages show of a bulk share: the preview before it, and the progress after it. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import func, select

from app.core.database import Session
from app.core.errors import NotFound
from app.core.messages import Message
from app.features.secure_score.actions.browse_actions import Action
from app.features.tickets.models import Ticket
from app.features.tickets.sharing.bulk import BulkChoice, request_for
from app.features.tickets.ticket_fields import TicketRequest
from app.features.tickets.types import Delivery, priority_name
from app.features.tickets.views.ticket_list import TicketLine, line_of, load_line_context

# The page lists this many tickets of a batch; the others are counted, and listed by the ticket list's filter.
SHOWN_AT_MOST = 50


@dataclass(frozen=True)
class Preview:
    """One action as it would be shared: its ticket, and the tickets that were made of it before."""

    action: Action
    request: TicketRequest
    tickets: list[TicketLine]

    @property
    def priority_name(self) -> Message:
        return priority_name(str(self.request.priority))

    @property
    def is_open(self) -> bool:
        """Whether an open ticket of it exists already."""
        return any(ticket.is_open for ticket in self.tickets)

    @property
    def is_done(self) -> bool:
        """Whether a ticket of it was done, which might be reopened."""
        return any(ticket.is_done for ticket in self.tickets)


@dataclass(frozen=True)
class Batch:
    """Progress of tickets that were shared at once. `lines` are at most 50, the held ones first."""

    total: int
    shared: int
    queued: int
    held: int
    given_up: int
    lines: list[TicketLine]

    @property
    def percent(self) -> int:
        """How many of 100 are no longer queued."""
        return (self.total - self.queued) * 100 // self.total


def preview(
    actions: Sequence[Action], tickets: Mapping[str, list[TicketLine]], choice: BulkChoice, today: date
) -> list[Preview]:
    """What would be shared of each action; `tickets` are those made before, by control ID."""
    return [
        Preview(action, request_for(action, choice, today), tickets.get(action.control_id, [])) for action in actions
    ]


async def batch_of(session: Session, batch_id: UUID) -> Batch:
    """The progress of a bulk share. Raises NotFound."""
    rows = await session.execute(
        select(Ticket.delivery, func.count()).where(Ticket.batch_id == batch_id).group_by(Ticket.delivery)
    )
    # Counted by the database: a batch holds up to 1,000 tickets, and the page asks every few seconds.
    counts = {row[0]: row[1] for row in rows}
    if not counts:
        raise NotFound
    # Held tickets need a person, and would be lost below 50 that need none.
    held_first = (Ticket.delivery != Delivery.HELD, Ticket.created_at, Ticket.id)
    query = select(Ticket).where(Ticket.batch_id == batch_id).order_by(*held_first).limit(SHOWN_AT_MOST)
    context = await load_line_context(session)
    return Batch(
        total=sum(counts.values()),
        shared=counts.get(Delivery.SHARED, 0),
        queued=counts.get(Delivery.QUEUED, 0),
        held=counts.get(Delivery.HELD, 0),
        given_up=counts.get(Delivery.GIVEN_UP, 0),
        lines=[line_of(ticket, context) for ticket in (await session.execute(query)).scalars()],
    )
