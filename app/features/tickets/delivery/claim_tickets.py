"""Claim the next tickets for the lanes of this process: slots, pause, token and rows in one transaction. Sends nothing."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from sqlalchemy import select

from app.core.database import Session
from app.core.jobs import Queue
from app.features.connection.models import InstanceThrottle
from app.features.connection.slots import (
    SLOTS,
    CallUnderWay,
    Lane,
    Pool,
    is_slot_wanted,
    live_leases,
    take_slots,
    want_slot,
)
from app.features.connection.throttle import Deferral, check_allowed, count_request, pause_of, throttle_of
from app.features.connection.tokens import LiveToken, stored_token
from app.features.tickets.delivery.circuit_breaker import kinds_in_doubt
from app.features.tickets.delivery.hand_over import give_own_jobs, start_lanes_in
from app.features.tickets.delivery.own_sys_id import verdicts_of
from app.features.tickets.delivery.prepared import PreparedAttempt, next_rows, prepare, waits_for_lanes
from app.features.tickets.models import Ticket
from app.resources import Resources

# Who locks a waiting ticket only changes it, or is a worker that dies in the middle: both end within moments.
LOCKED_SECONDS = 1.0


@dataclass(frozen=True)
class Wanted:
    """What lanes have and could use. `held` are their slots; in those of `busy` (lease ids) a call waits.

    `ready` tickets are noted as sent and wait for a lane; `ahead` may do so beyond one for each free lane.
    """

    connection_id: UUID
    held: Sequence[CallUnderWay]
    busy: Set[UUID]
    ready: int
    ahead: int


@dataclass
class Claim:
    """What came of it. `ready` may be sent once the transaction is committed; `slots` were taken for it.

    `lost` are slots that are no longer ours, because this process was frozen. `is_wanted`: another caller waits for a slot.
    Without any slot, `is_full`. `deferral`: no call may be made now. `needs_token`: none is stored that can be used.
    `is_last`: no more tickets wait. `has_handed_over`: some were given jobs of their own.
    """

    live: LiveToken | None = None
    ready: list[PreparedAttempt] = field(default_factory=list)
    slots: list[CallUnderWay] = field(default_factory=list)
    lost: list[CallUnderWay] = field(default_factory=list)
    deferral: Deferral | None = None
    is_wanted: bool = False
    is_full: bool = False
    needs_token: bool = False
    is_last: bool = False
    has_handed_over: bool = False


async def claim(resources: Resources, session: Session, wanted: Wanted) -> Claim:
    """Raises NotConnected, and what a row raises that cannot be prepared."""
    made = Claim(live=await stored_token(resources, wanted.connection_id, session))
    verdicts = await verdicts_of(session, wanted.connection_id)
    doubtful = await kinds_in_doubt(session, wanted.connection_id)
    # Last of what is only read: other callers wait for this lock.
    throttle = await throttle_of(session, wanted.connection_id)
    made.deferral = pause_of(throttle)
    made.needs_token = made.deferral is None and made.live is None
    if made.deferral is not None or made.needs_token:
        return made
    new = await _slots_to_take(session, throttle, wanted, made)
    kept = [slot for slot in wanted.held if slot not in made.lost]
    if not kept and not new:
        made.is_full = True
        return made
    idle = sum(slot.lease_id not in wanted.busy for slot in kept)
    # The first call after a pause goes alone: throttle.check_allowed.
    is_probe = throttle.paused_until is not None and throttle.failures > 0
    most = 1 if is_probe else idle + new + wanted.ahead - wanted.ready
    found = await next_rows(session, wanted.connection_id, most) if most > 0 else []
    made.is_last = len(found) < most
    if made.is_last:
        await come_back_for_locked(session, resources.queue, wanted.connection_id, found)
    # Tickets of a kind that was refused are left to jobs of their own, which ask the circuit breaker.
    rows = [row for row in found if row.kind not in doubtful]
    made.has_handed_over = len(rows) < len(found)
    if made.has_handed_over:
        await give_own_jobs(session, resources.queue, [row for row in found if row.kind in doubtful])
    if not rows:
        return made
    before = throttle.probe_until
    check_allowed(throttle)
    made.ready = prepare(resources, rows, verdicts)
    count_request(throttle, len(rows))
    made.slots = [
        CallUnderWay(uuid4(), wanted.connection_id, Lane.DELIVERY)
        for _ in range(min(new, wanted.ready + len(rows) - idle))
    ]
    take_slots(session, made.slots)
    if throttle.probe_until != before:
        for attempt in made.ready:
            attempt.probe_until = throttle.probe_until
    return made


async def _slots_to_take(session: Session, throttle: InstanceThrottle, wanted: Wanted, made: Claim) -> int:
    """How many more may be taken. While another caller waits, the lanes of one process leave one slot to it."""
    leases = await live_leases(session, wanted.connection_id, Pool.SHARED)
    made.lost = [slot for slot in wanted.held if slot.lease_id not in leases]
    kept, free = len(wanted.held) - len(made.lost), SLOTS[Pool.SHARED] - len(leases)
    made.is_wanted = is_slot_wanted(throttle)
    if not kept and free <= 0:
        want_slot(throttle, wanted=True)
    elif not kept and made.is_wanted and free == SLOTS[Pool.SHARED]:
        want_slot(throttle, wanted=False)  # No call holds one, so none waits any more.
        made.is_wanted = False
    most = SLOTS[Pool.SHARED] - (1 if made.is_wanted else 0)
    return max(0, min(free, most - kept))


async def come_back_for_locked(session: Session, queue: Queue, connection_id: UUID, found: Sequence[Ticket]) -> None:
    """Others than these, the last that could be locked, may wait all the same: then the lanes look again soon."""
    locked = select(Ticket.id).where(
        *waits_for_lanes(), Ticket.connection_id == connection_id, Ticket.id.not_in([row.id for row in found])
    )
    if (await session.execute(locked.limit(1))).first() is not None:
        await start_lanes_in(session, queue, LOCKED_SECONDS)
