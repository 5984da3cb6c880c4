"""Spares ServiceNow questions whose answer is known: one missing role is not asked about five hundred times.

Nor is it believed for ever: of the tickets shared after the last refusal, one goes ahead and tries. Changes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select

from app.features.tickets.look import cause_of
from app.features.tickets.models import Ticket
from app.features.tickets.pace import ATTEMPT_SECONDS
from app.features.tickets.ticket import Delivery
from app.foundation import clock
from app.foundation.database import Session
from app.foundation.text import T, Text

# So many tickets held for one reason within that time spare ServiceNow the question about the next ones.
ENOUGH_REFUSALS = 3
REFUSALS_COUNT_FOR = timedelta(minutes=10)
# While one of the new ones tries, the others look so often how it went.
TRIAL_SECONDS = 5.0


@dataclass(frozen=True)
class RefusedLately:
    """Others of the same kind were refused, all for `reason`.

    `may_have_passed` when this ticket was shared since: somebody may have mended the cause in the meantime.
    `is_being_tried` while another one is finding out.
    """

    reason: Text
    may_have_passed: bool
    is_being_tried: bool

    @property
    def sentence(self) -> Text:
        """Why it is held without being sent."""
        return T("Not sent, because others were just refused for this reason: %(reason)s", reason=self.reason)

    @property
    def waiting(self) -> Text:
        """Why it waits."""
        return T(
            "Others were just refused (%(reason)s). One ticket is being tried again; this one waits for its outcome.",
            reason=self.reason,
        )


async def refused_lately(session: Session, ticket: Ticket) -> RefusedLately | None:
    """None when nothing speaks against sending it: few were refused, one has got through since, or a person insists."""
    if ticket.sent_at is not None or ticket.insisted:
        return None
    alike = (Ticket.connection_id == ticket.connection_id, Ticket.kind == ticket.kind, Ticket.id != ticket.id)
    query = select(Ticket.problem, Ticket.attempted_at).where(
        *alike, Ticket.delivery == Delivery.HELD, Ticket.attempted_at > clock.now() - REFUSALS_COUNT_FOR
    )
    found = [(cause_of(Text.from_json(row[0])), row[1]) for row in await session.execute(query) if row[0]]
    reasons = Counter(reason for reason, _ in found)
    if not reasons:
        return None
    reason, times = reasons.most_common(1)[0]
    newest = max(at for why, at in found if why == reason)
    got_through = select(func.count()).where(*alike, Ticket.shared_at > newest)
    if times < ENOUGH_REFUSALS or (await session.execute(got_through)).scalar_one():
        return None
    may_have_passed = ticket.created_at > newest
    return RefusedLately(reason, may_have_passed, may_have_passed and await _another_tries(session, ticket, newest))


async def _another_tries(session: Session, ticket: Ticket, since: datetime) -> bool:
    """Whether one that began after the last of those refusals has no outcome yet."""
    still_alive = clock.now() - timedelta(seconds=ATTEMPT_SECONDS)
    query = (
        select(func.count())
        .where(Ticket.connection_id == ticket.connection_id, Ticket.kind == ticket.kind, Ticket.id != ticket.id)
        .where(Ticket.delivery == Delivery.QUEUED, Ticket.attempted_at > since)
        .where(or_(Ticket.refusals > 0, Ticket.in_flight_since > still_alive))
    )
    return bool((await session.execute(query)).scalar_one())
