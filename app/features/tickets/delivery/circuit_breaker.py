"""Circuit breaker: after three tickets were refused for one cause, hold new ones unsent, and let one probe through.

So one missing role does not cause five hundred refused requests (docs/facts/other-connectors.md#bug-69). The refusal is
not believed for ever: of the tickets shared after the last one, one is tried, and the others wait for its outcome.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text

from app.core import clock
from app.core.database import Session
from app.core.errors import RetryLater
from app.core.messages import Message, T
from app.features.tickets.delivery import outbound
from app.features.tickets.delivery.visibility import refusal_message
from app.features.tickets.models import Ticket
from app.features.tickets.types import Delivery

# Tickets refused for one cause within this time open the circuit. Two could be an accident of their own data.
ENOUGH_REFUSALS = 3
REFUSALS_COUNT_FOR = timedelta(minutes=10)
# While the one ticket that is tried again (the probe) has no outcome, the jobs of the others look for it this often.
PROBE_CHECK_INTERVAL_SECONDS = 5.0
# Attempts of one kind are let through one by one, or several would each take themselves for the one probe.
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


@dataclass(frozen=True)
class OpenCircuit:
    """Other tickets of this kind were refused for `reason`. `half_open` while one of them has no outcome yet."""

    reason: Message
    half_open: bool

    @property
    def sentence(self) -> Message:
        """Why the ticket is held without being sent."""
        return T("Not sent, because others were just refused for this reason: %(reason)s", reason=self.reason)

    @property
    def waiting(self) -> Message:
        """What a ticket that waits for the probe's outcome says."""
        return T(
            "Others were just refused (%(reason)s). They are being tried once more; this one waits for the outcome.",
            reason=self.reason,
        )


class _Refused(NamedTuple):
    """A ticket that was refused. `cause` is compared, `problem` is only shown."""

    cause: str
    problem: Message
    refused_at: datetime
    delivery: str


async def open_circuit(session: Session, ticket: Ticket) -> OpenCircuit | None:
    """None when the ticket may be sent: few were refused, one got through since, or a person asked for this try.

    Also None for a ticket shared after the last refusal, once no other probe is under way: a person may have fixed the cause.
    """
    # One that was sent before is looked up first, which costs ServiceNow a read and may find it.
    if ticket.sent_at is not None or ticket.force_retry:
        return None
    await session.execute(ONE_AT_A_TIME, {"name": f"circuit {ticket.connection_id} {ticket.kind}"})
    alike = (Ticket.connection_id == ticket.connection_id, Ticket.kind == ticket.kind, Ticket.id != ticket.id)
    found = await _refused_lately(session, *alike)
    if not found:
        return None
    cause, times = Counter(row.cause for row in found).most_common(1)[0]
    refused = [row for row in found if row.cause == cause]
    newest = max(row.refused_at for row in refused)
    got_through = select(func.count()).where(*alike, Ticket.shared_at > newest)
    if times < ENOUGH_REFUSALS or (await session.execute(got_through)).scalar_one():
        return None
    # The problem of a held ticket is its refusal; that of a queued one may be a pause since then.
    held = [row for row in refused if row.delivery == Delivery.HELD]
    reason = refusal_message((held or refused)[0].problem)
    # Refused once and queued again: ServiceNow refuses intermittently, so the second answer decides.
    if len(held) < len(refused):
        return OpenCircuit(reason, half_open=True)
    still_alive = max(newest, clock.now() - timedelta(seconds=outbound.ATTEMPT_SECONDS))
    in_progress = select(func.count()).where(*alike, Ticket.in_flight_since > still_alive)
    if (await session.execute(in_progress)).scalar_one():
        return OpenCircuit(reason, half_open=True)
    return None if ticket.created_at > newest else OpenCircuit(reason, half_open=False)


async def kinds_in_doubt(session: Session, connection_id: UUID) -> set[str]:
    """The kinds whose circuit may be open: for each of their tickets `open_circuit` has to be asked."""
    query = (
        select(Ticket.kind)
        .where(
            Ticket.connection_id == connection_id,
            Ticket.refusal_cause.is_not(None),
            Ticket.refused_at > clock.now() - REFUSALS_COUNT_FOR,
            Ticket.delivery.in_((Delivery.HELD, Delivery.QUEUED)),
        )
        .group_by(Ticket.kind, Ticket.refusal_cause)
        .having(func.count() >= ENOUGH_REFUSALS)
    )
    return set((await session.execute(query)).scalars())


async def _refused_lately(session: Session, *alike: ColumnElement[bool]) -> list[_Refused]:
    query = select(Ticket.refusal_cause, Ticket.problem, Ticket.refused_at, Ticket.delivery).where(
        *alike,
        Ticket.refusal_cause.is_not(None),
        Ticket.refused_at > clock.now() - REFUSALS_COUNT_FOR,
        Ticket.delivery.in_((Delivery.HELD, Delivery.QUEUED)),
    )
    return [
        _Refused(cause, Message.from_json(problem), refused_at, delivery)
        for cause, problem, refused_at, delivery in await session.execute(query.order_by(Ticket.refused_at.desc()))
        if problem
    ]


def wait_for_probe(ticket: Ticket, circuit: OpenCircuit) -> RetryLater:
    """Write down that the ticket waits, and until when."""
    ticket.problem = circuit.waiting.to_json()
    ticket.next_try_at = clock.now() + timedelta(seconds=PROBE_CHECK_INTERVAL_SECONDS)
    return RetryLater(PROBE_CHECK_INTERVAL_SECONDS, circuit.waiting)
