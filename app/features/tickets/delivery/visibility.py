"""Tells "not there" from "not shown to us": only a look that could have seen the record proves that it is missing.

Asks, and writes nothing. ServiceNow leaves out rows that access rules hide without a word, so an empty answer alone is
no proof, and a create is repeated only after one.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from app.core.database import Session
from app.core.messages import Message, T
from app.features.connection.gateway import ServiceNowClient
from app.features.tickets.models import Ticket
from app.features.tickets.types import Delivery
from app.integrations.http.errors import QueryIgnored
from app.integrations.servicenow.schemas import Table

# So many of the newest records that are surely there are asked for by the same question; one of them has to be shown.
KNOWN_RECORDS = 3
NOT_VISIBLE = T(
    "ServiceNow shows the integration user no records of this kind (or not their correlation id), so not finding one "
    "proves nothing."
)
CANNOT_TELL = T("We cannot tell whether this ticket arrived. %(reason)s")
CANNOT_TELL_AFTER = T("We cannot tell whether this ticket arrived. %(reason)s Before that: %(before)s")


async def known_records(session: Session, ticket: Ticket) -> list[str]:
    """The correlation ids of the newest records beside this one that we saw ourselves, in the same table."""
    query = (
        select(Ticket.correlation_id)
        .where(Ticket.connection_id == ticket.connection_id, Ticket.kind == ticket.kind, Ticket.id != ticket.id)
        .where(Ticket.sys_id.is_not(None), Ticket.visible)
        .order_by(Ticket.shared_at.desc(), Ticket.id)
        .limit(KNOWN_RECORDS)
    )
    return list((await session.execute(query)).scalars())


async def assert_visible(client: ServiceNowClient, table: Table, known: Sequence[str]) -> None:
    """Raises NotWhatWasAsked unless ServiceNow shows us what is there. Without known records, any record will do."""
    for correlation_id in known:
        if await client.find_by_correlation(table, correlation_id):
            return
    if known or not await client.shows_correlation_ids(table):
        raise QueryIgnored(NOT_VISIBLE)


def in_doubt_message(reason: Message, before: Message | None) -> Message:
    """The sentence of a ticket that may have arrived; `before` is what its create was answered, where that is known."""
    if before is None or before == reason:
        return Message(CANNOT_TELL.message, {"reason": reason})
    return Message(CANNOT_TELL_AFTER.message, {"reason": reason, "before": before})


def cause_of(sentence: Message) -> Message:
    """Why tickets like that one do not go, without what is true of that one only."""
    for name in ("before", "reason"):
        inner = sentence.values.get(name)
        if sentence.message in (CANNOT_TELL.message, CANNOT_TELL_AFTER.message) and isinstance(inner, Message):
            return inner
    return sentence


def is_in_doubt(ticket: Ticket) -> bool:
    """Whether a ticket that nobody sends any more may be in ServiceNow all the same."""
    return ticket.delivery in (Delivery.HELD, Delivery.GIVEN_UP) and ticket.uncertain_until is not None
