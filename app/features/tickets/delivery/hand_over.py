"""Who brings a ticket: the lanes, or a job of its own. Inserts the jobs, in the caller's transaction; sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from app.core import clock
from app.core.database import Session
from app.core.job_retry import backoff_seconds
from app.core.jobs import Queue
from app.features.tickets.delivery import outbound
from app.features.tickets.models import Ticket
from app.features.tickets.types import BULK_PRIORITY, Delivery
from app.resources import Resources

DELIVER = "tickets.deliver"
DRAIN = "tickets.drain_outbox"
DRAIN_LATER = "tickets.drain_outbox later"
# A ticket that was noted as sent and has no outcome after this part of an attempt's time belongs to a process that died,
# or is about to be answered: its own job then finds it delivered.
PART_OF_ATTEMPT = 3


async def start_lanes(session: Session, queue: Queue) -> None:
    """Tickets wait for lanes: they begin once the caller's transaction is committed."""
    await queue.wake(session, DRAIN)


async def start_lanes_in(session: Session, queue: Queue, seconds: float) -> None:
    """The lanes look again after so long, besides whenever a ticket is shared."""
    # One that waits already may wait for a longer pause, of another connection.
    await queue.wake_in(session, DRAIN, backoff_seconds(0, asked=seconds), queueing_lock=DRAIN_LATER)


async def give_own_job(resources: Resources, ticket_id: UUID, seconds: float) -> None:
    """From now on a job of its own brings this ticket, for the first time after so many seconds. One that it has stays."""
    async with resources.database.transaction() as session:
        ticket = await session.get(Ticket, ticket_id, with_for_update=True)
        if ticket is None or ticket.has_own_job:
            return
        ticket.has_own_job = True
        await resources.queue.defer(
            session,
            DELIVER,
            delay=backoff_seconds(0, asked=seconds),
            priority=priority_of(ticket),
            request_id=ticket.request_id,
            ticket_id=str(ticket.id),
        )


async def give_own_jobs(session: Session, queue: Queue, tickets: Sequence[Ticket]) -> None:
    """From now on a job of its own brings each of these locked tickets, as soon as a worker is free."""
    for ticket in tickets:
        ticket.has_own_job = True
    for priority in (0, BULK_PRIORITY):
        jobs = [
            {"ticket_id": str(ticket.id), "request_id": ticket.request_id}
            for ticket in tickets
            if priority_of(ticket) == priority
        ]
        await queue.defer_many(session, DELIVER, jobs, priority=priority)


def priority_of(ticket: Ticket) -> int:
    """The queue runs jobs of a higher priority first, so that a single share does not wait for a bulk share."""
    return BULK_PRIORITY if ticket.batch_id else 0


async def bring_again(session: Session, queue: Queue, tickets: Sequence[Ticket]) -> None:
    """Locked tickets that nothing brings: the lanes do, or a job of its own for one that may have been sent."""
    for_lanes = [ticket for ticket in tickets if ticket.sent_at is None and ticket.in_flight_since is None]
    for ticket in for_lanes:
        ticket.has_own_job, ticket.next_try_at = False, ticket.next_try_at or clock.now()
    if for_lanes:
        await start_lanes(session, queue)
    await give_own_jobs(session, queue, [ticket for ticket in tickets if ticket not in for_lanes])


async def give_orphans_own_jobs(session: Session, queue: Queue, connection_id: UUID) -> int:
    """Tickets that a dead process has left noted as sent are looked for, once its attempt cannot live any more."""
    now = clock.now()
    orphaned = now - timedelta(seconds=outbound.ATTEMPT_SECONDS / PART_OF_ATTEMPT)
    query = (
        select(Ticket)
        .where(
            Ticket.connection_id == connection_id,
            Ticket.delivery == Delivery.QUEUED,
            ~Ticket.has_own_job,
            Ticket.next_try_at.is_not(None),
            (Ticket.in_flight_since < orphaned) | (Ticket.in_flight_since.is_(None) & Ticket.sent_at.is_not(None)),
        )
        .order_by(Ticket.id)
        .with_for_update(skip_locked=True)
    )
    tickets = list((await session.execute(query)).scalars())
    # A job that runs before the attempt's time is over comes back when it is.
    await give_own_jobs(session, queue, tickets)
    return len(tickets)
