"""Spares ServiceNow questions whose answer is known: one missing role is not asked about five hundred times.

Nor is it believed for ever: of the tickets shared after the last refusal, one goes ahead and tries. Changes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select

from app.core import clock
from app.core.database import Session
from app.core.messages import Message, T
from app.features.connection.throttle import ATTEMPT_SECONDS
from app.features.tickets.delivery.visibility import cause_of
from app.features.tickets.models import Ticket
from app.features.tickets.types import Delivery

# So many tickets held for one reason within that time spare ServiceNow the question about the next ones.
ENOUGH_REFUSALS = 3
REFUSALS_COUNT_FOR = timedelta(minutes=10)
# While some are being tried, the others look so often how it went.
PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class OpenCircuit:
    """Others of the same kind were refused, all for `reason`; `half_open` while one of them has no outcome yet."""

    reason: Message
    half_open: bool

    @property
    def sentence(self) -> Message:
        """Why it is held without being sent."""
        return T("Not sent, because others were just refused for this reason: %(reason)s", reason=self.reason)

    @property
    def waiting(self) -> Message:
        """Why it waits."""
        return T(
            "Others were just refused (%(reason)s). They are being tried once more; this one waits for the outcome.",
            reason=self.reason,
        )


async def open_circuit(session: Session, ticket: Ticket) -> OpenCircuit | None:
    """None when nothing speaks against sending it: few were refused, one has got through since, or a person insists.

    Nor does anything, once the others have their outcome, when it was shared after that: somebody may have acted.
    """
    if ticket.sent_at is not None or ticket.force_retry:
        return None
    alike = (Ticket.connection_id == ticket.connection_id, Ticket.kind == ticket.kind, Ticket.id != ticket.id)
    query = select(Ticket.problem, Ticket.attempted_at, Ticket.delivery).where(
        *alike,
        Ticket.attempted_at > clock.now() - REFUSALS_COUNT_FOR,
        (Ticket.delivery == Delivery.HELD) | ((Ticket.delivery == Delivery.QUEUED) & (Ticket.refusals > 0)),
    )
    found = [(cause_of(Message.from_json(row[0])), row[1], row[2]) for row in await session.execute(query) if row[0]]
    if not found:
        return None
    reason, times = Counter(why for why, _, _ in found).most_common(1)[0]
    newest = max(at for why, at, _ in found if why == reason)
    got_through = select(func.count()).where(*alike, Ticket.shared_at > newest)
    if times < ENOUGH_REFUSALS or (await session.execute(got_through)).scalar_one():
        return None
    if any(why == reason and delivery == Delivery.QUEUED for why, _, delivery in found):
        return OpenCircuit(reason, half_open=True)
    still_alive = max(newest, clock.now() - timedelta(seconds=ATTEMPT_SECONDS))
    in_progress = select(func.count()).where(*alike, Ticket.in_flight_since > still_alive)
    if (await session.execute(in_progress)).scalar_one():
        return OpenCircuit(reason, half_open=True)
    return None if ticket.created_at > newest else OpenCircuit(reason, half_open=False)
