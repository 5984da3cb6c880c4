"""The job that sends all tickets that wait: one per process does it, and the others tell it to look again."""

from __future__ import annotations

from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import select

from app.core.keyed_locks import KeyedLocks
from app.features.connection.active_connection import NotConnected, usable_connection
from app.features.tickets.delivery.hand_over import give_orphans_own_jobs
from app.features.tickets.delivery.lanes import Lanes, bring_slowly
from app.features.tickets.delivery.prepared import waits_for_lanes
from app.features.tickets.models import Ticket
from app.resources import Resources

# One at a time, because none of them is sent.
ROWS_AT_ONCE = 50

# The lanes of each process, by what is one per process. Several of them are in one process only in tests.
_open: WeakKeyDictionary[KeyedLocks, dict[UUID, Lanes]] = WeakKeyDictionary()


async def drain_outbox(resources: Resources) -> None:
    """Send the tickets that wait and were never sent. Raises what the database raises; the job is then run again."""
    connection_id = await _connection_with_orphans(resources)
    if connection_id is not None:
        connection_id = await _drain(resources, connection_id)
    await _bring_those_without_connection(resources, connection_id)


async def _connection_with_orphans(resources: Resources) -> UUID | None:
    """The connection in use; what a dead process has left there has a job of its own now."""
    async with resources.database.transaction() as session:
        try:
            connection_id = (await usable_connection(session)).id
        except NotConnected:
            return None
        await give_orphans_own_jobs(session, resources.queue, connection_id)
    return connection_id


async def _drain(resources: Resources, connection_id: UUID) -> UUID | None:
    """The connection, or None when it is no longer usable."""
    of_process = _open.setdefault(resources.keyed_locks, {})
    lanes = of_process.get(connection_id)
    if lanes is not None and lanes.is_open:
        lanes.look_again()
        return connection_id
    of_process[connection_id] = lanes = Lanes(resources, connection_id)
    try:
        await lanes.run()
    except NotConnected:
        return None
    finally:
        if of_process.get(connection_id) is lanes:
            del of_process[connection_id]
    return connection_id


async def _bring_those_without_connection(resources: Resources, connection_id: UUID | None) -> None:
    """Their attempts write down what they wait for."""
    query = select(Ticket).where(*waits_for_lanes()).order_by(Ticket.created_at, Ticket.id).limit(ROWS_AT_ONCE)
    if connection_id is not None:
        query = query.where(Ticket.connection_id != connection_id)
    while not resources.queue.is_stopping:
        async with resources.database.transaction() as session:
            rows = list((await session.execute(query)).scalars())
        if not rows:
            return
        for row in rows:
            await bring_slowly(resources, row)
