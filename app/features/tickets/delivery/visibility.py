"""Distinguish *missing* from *hidden by an ACL* before a create is repeated. Asks ServiceNow, and writes nothing.

ServiceNow leaves out rows and fields that access rules hide, and reports no error. So an empty answer proves nothing,
unless the same query returns other records that are known to exist.
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

# One of these has to be shown. More than one is asked for, because a single record may have been deleted meanwhile.
KNOWN_RECORDS = 3
# The code of messages that name another message as their cause.
IN_DOUBT = "delivery.in_doubt"
NOT_VISIBLE = T(
    "ServiceNow shows the integration user no records of this kind (or not their correlation id), so not finding one "
    "proves nothing.",
    code="delivery.not_visible",
)


async def known_records(session: Session, ticket: Ticket) -> list[str]:
    """The correlation IDs of the newest other records in the same table that we have seen ourselves."""
    query = (
        select(Ticket.correlation_id)
        .where(Ticket.connection_id == ticket.connection_id, Ticket.kind == ticket.kind, Ticket.id != ticket.id)
        # A record that was hidden from us before proves nothing now.
        .where(Ticket.sys_id.is_not(None), Ticket.visible)
        .order_by(Ticket.shared_at.desc(), Ticket.id)
        .limit(KNOWN_RECORDS)
    )
    return list((await session.execute(query)).scalars())


async def assert_visible(client: ServiceNowClient, table: Table, known: Sequence[str]) -> None:
    """Raises QueryIgnored unless ServiceNow shows one of the `known` records, or any record where none is known.

    Row and field rules hide without an error: docs/facts/servicenow.md#trap-14, docs/facts/servicenow.md#trap-15.
    """
    for correlation_id in known:
        if await client.find_by_correlation(table, correlation_id):
            return
    if known or not await client.shows_correlation_ids(table):
        raise QueryIgnored(NOT_VISIBLE)


def in_doubt_message(reason: Message, before: Message | None) -> Message:
    """Why a ticket is held that may have arrived. `before` is what its create was answered, where that is another cause."""
    if before is None:
        return T("We cannot tell whether this ticket arrived. %(reason)s", code=IN_DOUBT, reason=reason)
    return T(
        "We cannot tell whether this ticket arrived. %(reason)s Before that: %(before)s",
        code=IN_DOUBT,
        reason=reason,
        before=before,
    )


def refusal_message(problem: Message) -> Message:
    """What the create was refused with, for people: the problem itself, or what a ticket in doubt names as its cause."""
    if problem.code == IN_DOUBT:
        for name in ("before", "reason"):
            refusal = problem.values.get(name)
            if isinstance(refusal, Message):
                return refusal
    return problem


def is_in_doubt(ticket: Ticket) -> bool:
    """Whether a ticket that is not being sent may nevertheless have a record in ServiceNow."""
    return ticket.delivery in (Delivery.HELD, Delivery.GIVEN_UP) and ticket.uncertain_until is not None
