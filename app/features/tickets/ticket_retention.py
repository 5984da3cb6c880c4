"""Delete tickets that ServiceNow closed long ago, with their notes and history. Never one with work left, here or there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import product
from uuid import UUID

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import aliased

from app.core.database import Session
from app.features.connection.models import Connection
from app.features.tickets.delivery.visibility import KNOWN_RECORDS
from app.features.tickets.models import Ticket, TicketNote
from app.features.tickets.polling.state_names import load_names
from app.features.tickets.types import Delivery, TicketKind


async def forget_closed_tickets(session: Session, moment: datetime, *, limit: int) -> int:
    """Delete at most `limit` tickets that have been closed since before `moment`, and return how many."""
    ids = await closed_before(session, moment, limit=limit)
    # Notes, events and actions go with them, by their foreign keys.
    await session.execute(delete(Ticket).where(Ticket.id.in_(ids)))
    return len(ids)


async def closed_before(session: Session, moment: datetime, *, limit: int) -> list[UUID]:
    """Tickets that were shared, that ServiceNow still shows, and whose state has ended the work since before `moment`; locked.

    One stays while another ticket names it as its predecessor, while a note of it is not delivered, and while it is one of
    the records that have to be visible before an empty lookup is believed.
    """
    names = await load_names(session)
    connections = list((await session.execute(select(Connection.id))).scalars())
    closed = [
        and_(
            Ticket.connection_id == connection_id,
            Ticket.kind == kind,
            Ticket.state.in_(names.closed_values(connection_id, kind)),
        )
        for connection_id, kind in product(connections, TicketKind)
    ]
    if not closed:
        return []
    successor = aliased(Ticket)
    undelivered = (TicketNote.ticket_id == Ticket.id) & (TicketNote.delivery.in_((Delivery.QUEUED, Delivery.HELD)))
    query = (
        select(Ticket.id)
        .where(
            Ticket.state_since < moment,
            Ticket.delivery == Delivery.SHARED,
            Ticket.visible,
            or_(*closed),
            ~select(successor.id).where(successor.predecessor_id == Ticket.id).exists(),
            ~select(TicketNote.id).where(undelivered).exists(),
            Ticket.id.not_in(await _proofs(session, connections)),
        )
        .order_by(Ticket.state_since)
        .limit(limit)
        .with_for_update(of=Ticket, skip_locked=True)
    )
    return list((await session.execute(query)).scalars())


async def _proofs(session: Session, connections: Sequence[UUID]) -> list[UUID]:
    """Of each table, the records that ServiceNow showed last: `visibility.load_sight` needs a few that are known to be there."""
    found: list[UUID] = []
    for connection_id, kind in product(connections, TicketKind):
        # As the partial index says it, so that its last entries are all that is read.
        query = (
            select(Ticket.id)
            .where(Ticket.connection_id == connection_id, Ticket.kind == kind, Ticket.sys_id != "")
            .where(Ticket.verified_at.is_not(None), Ticket.visible)
            .order_by(Ticket.verified_at.desc())
            .limit(KNOWN_RECORDS)
        )
        found += (await session.execute(query)).scalars()
    return found
