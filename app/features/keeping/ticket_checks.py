"""What has to be true of every ticket and note at any moment, as queries that count the rows where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, String, cast, func, or_, select

from app.core.database import Session
from app.core.messages import Message, T
from app.features.tickets.models import Ticket, TicketNote
from app.features.tickets.types import Delivery, TicketKind

Rules = Mapping[str, tuple[Message, ColumnElement[bool]]]


@dataclass(frozen=True)
class BrokenRule:
    """How many rows break a rule, and the id of one of them."""

    name: str
    sentence: Message
    count: int
    example: str


def _outbound(table: type[Ticket] | type[TicketNote]) -> Rules:
    shared = table.delivery == Delivery.SHARED
    left_over = (table.in_flight_since, table.next_try_at, table.uncertain_until)
    return {
        "delivery": (
            T("Its delivery is of no kind that exists."),
            table.delivery.not_in([known.value for known in Delivery]),
        ),
        "shared_is_over": (
            T("It is shared, and still on its way or in doubt."),
            shared & or_(*(column.is_not(None) for column in left_over)),
        ),
        "shared_at": (T("It is shared, and it is not known since when."), shared & table.shared_at.is_(None)),
        "held_why": (T("It is held without a reason."), (table.delivery == Delivery.HELD) & table.problem.is_(None)),
        "sent_at": (
            T("It may have arrived, though it was never sent."),
            table.uncertain_until.is_not(None) & table.sent_at.is_(None),
        ),
        "attempts": (T("Its attempts are counted wrongly."), table.attempts < 0),
    }


TICKETS: Rules = {
    **_outbound(Ticket),
    "kind": (T("It is of a kind that does not exist."), Ticket.kind.not_in([kind.value for kind in TicketKind])),
    "sys_id": (
        T("It is shared without the id of its record."),
        (Ticket.delivery == Delivery.SHARED) & (func.coalesce(Ticket.sys_id, "") == ""),
    ),
    "unsent_sys_id": (
        T("It has the id of a record, and is not shared."),
        (Ticket.delivery != Delivery.SHARED) & Ticket.sys_id.is_not(None),
    ),
    "correlation_id": (T("It has no correlation ID."), Ticket.correlation_id == ""),
    "record": (T("It has nothing to send."), func.jsonb_typeof(Ticket.record) != "object"),
}
NOTES: Rules = _outbound(TicketNote)


async def broken_rules(session: Session) -> list[BrokenRule]:
    """Every rule that rows break, tickets first."""
    found: list[BrokenRule] = []
    for table, rules in ((Ticket, TICKETS), (TicketNote, NOTES)):
        for name, (sentence, broken) in rules.items():
            query = select(func.count(), func.min(cast(table.id, String))).where(broken)
            count, example = (await session.execute(query)).one()
            if count:
                found.append(BrokenRule(f"{table.__tablename__}.{name}", sentence, count, example))
    return found
