"""Leases the few concurrency slots of one instance, counted over all processes. Decides who waits; calls nothing.

Docs: docs/decisions/0006-one-gateway.md
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from app.core import clock
from app.core.database import Session
from app.core.logging import get_logger
from app.core.notifications import NOTIFY
from app.features.connection.models import CallLease
from app.resources import Resources

log = get_logger(__name__)


class Pool(StrEnum):
    """A number of slots; a call never takes one of the other pool."""

    SHARED = "shared"
    INTERACTIVE = "interactive"


# How many calls may wait for an answer at once, over all our processes. Every node of an instance has 4 threads for API
# calls and a queue of 50: docs/facts/servicenow.md#5-limits-failures-sleeping-instances and #2-8-cookies-and-concurrency
# https://support.servicenow.com/kb?id=kb_article_view&sysparm_article=KB0564204
# One more for calls that a person waits for, so that a bulk share never holds up a check.
SLOTS = {Pool.SHARED: 4, Pool.INTERACTIVE: 1}
# A killed process gives nothing back: its slots are free after this long. A live one extends its lease in time.
LEASE_SECONDS = 60.0
EXTEND_EVERY_SECONDS = LEASE_SECONDS / 3


def wake_key(connection_id: UUID, pool: Pool) -> str:
    """What is notified when one of these slots becomes free."""
    return f"servicenow-slot {connection_id} {pool}"


async def acquire_slot(session: Session, connection_id: UUID, pool: Pool, lease_id: UUID) -> float | None:
    """Take a slot under this id; None when it was taken, otherwise the seconds until the next lease expires.

    The caller holds the lock of the connection's InstanceThrottle row, which makes counting and taking one step.
    """
    now = clock.now()
    query = select(CallLease.expires_at).where(CallLease.connection_id == connection_id, CallLease.pool == pool)
    ends = list((await session.execute(query)).scalars())
    live = [end for end in ends if end > now]
    if len(live) >= SLOTS[pool]:
        return (min(live) - now).total_seconds()
    if len(live) < len(ends):
        expired = CallLease.connection_id == connection_id, CallLease.pool == pool, CallLease.expires_at <= now
        await session.execute(delete(CallLease).where(*expired))
        log.warning(
            "gateway.slots.expired", connection=str(connection_id), pool=pool.value, slots=len(ends) - len(live)
        )
    end = now + timedelta(seconds=LEASE_SECONDS)
    session.add(CallLease(id=lease_id, connection_id=connection_id, pool=pool, expires_at=end))
    return None


async def release_slot(session: Session, connection_id: UUID, pool: Pool, lease_id: UUID) -> None:
    """Give the slot back; waiting callers of every process are woken when the transaction commits."""
    await session.execute(delete(CallLease).where(CallLease.id == lease_id))
    await session.execute(NOTIFY, {"key": wake_key(connection_id, pool)})


async def extend_lease(resources: Resources, lease_id: UUID) -> None:
    """Runs until it is cancelled: a call may take longer than a lease, because its token is renewed or it asks twice."""
    while True:
        await asyncio.sleep(EXTEND_EVERY_SECONDS)
        end = clock.now() + timedelta(seconds=LEASE_SECONDS)
        try:
            async with resources.database.transaction() as session:
                await session.execute(update(CallLease).where(CallLease.id == lease_id).values(expires_at=end))
        except SQLAlchemyError as error:
            log.warning("gateway.lease.not_extended", error=type(error).__name__)
