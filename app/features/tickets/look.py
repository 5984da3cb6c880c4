"""Tells "not there" from "not shown to us": only a look that could have seen the record proves that it is missing.

Asks, and writes nothing. ServiceNow leaves out rows that access rules hide without a word, so an empty answer alone is
no proof, and a create is repeated only after one.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from app.features.tickets.models import Ticket
from app.features.tickets.ticket import Delivery
from app.foundation.database import Session
from app.foundation.text import T, Text
from app.remote.errors import NotWhatWasAsked
from app.remote.servicenow.client import ServiceNowClient
from app.remote.servicenow.shapes import Table

# So many of the newest records that are surely there are asked for by the same question; one of them has to be shown.
KNOWN_RECORDS = 3
BLIND = T(
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


async def prove_sight(client: ServiceNowClient, table: Table, known: Sequence[str]) -> None:
    """Raises NotWhatWasAsked unless ServiceNow shows us what is there. Without known records, any record will do."""
    for correlation_id in known:
        if await client.find_by_correlation(table, correlation_id):
            return
    if known or not await client.shows_correlation_ids(table):
        raise NotWhatWasAsked(BLIND)


def cannot_tell(reason: Text, before: Text | None) -> Text:
    """The sentence of a ticket that may have arrived; `before` is what its create was answered, where that is known."""
    if before is None or before == reason:
        return Text(CANNOT_TELL.message, {"reason": reason})
    return Text(CANNOT_TELL_AFTER.message, {"reason": reason, "before": before})


def cause_of(sentence: Text) -> Text:
    """Why tickets like that one do not go, without what is true of that one only."""
    for name in ("before", "reason"):
        inner = sentence.values.get(name)
        if sentence.message in (CANNOT_TELL.message, CANNOT_TELL_AFTER.message) and isinstance(inner, Text):
            return inner
    return sentence


def is_in_doubt(ticket: Ticket) -> bool:
    """Whether a ticket that nobody sends any more may be in ServiceNow all the same."""
    return ticket.delivery in (Delivery.HELD, Delivery.GIVEN_UP) and ticket.landing_until is not None
