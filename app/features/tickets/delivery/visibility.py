"""Distinguish *missing* from *hidden by an ACL* before a create is repeated. Asks ServiceNow, and writes nothing.

ServiceNow leaves out rows and fields that access rules hide, and reports no error. So an empty answer proves nothing,
unless the same query returns other records that are known to exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from app.core.database import Session
from app.core.messages import Message, T
from app.features.connection.gateway import ServiceNowClient
from app.features.connection.models import Connection
from app.features.tickets.models import Ticket
from app.features.tickets.types import MARKERS, Delivery, TicketKind
from app.integrations.http.errors import Forbidden, QueryIgnored
from app.integrations.servicenow.parse_lookup import HIDDEN_OWNER, hides_its_owner, is_emptied
from app.integrations.servicenow.schemas import RemoteTicket, Table

# One of these has to be shown. More than one is asked for, because a single record may have been deleted meanwhile.
KNOWN_RECORDS = 3
# The code of messages that name another message as their cause.
IN_DOUBT = "delivery.in_doubt"
# A record's stamp is the instance's, the ticket's is ours.
CLOCKS_APART = timedelta(days=1)
NOT_VISIBLE = T(
    "ServiceNow shows the integration user no records of this kind (or not their correlation id), so not finding one "
    "proves nothing.",
    code="delivery.not_visible",
)
EMPTIED = T(
    "ServiceNow does not keep the correlation id of records that we make, so not finding one by it proves nothing.",
    code="delivery.correlation_id_dropped",
)


@dataclass(frozen=True)
class Sight:
    """What has to be visible before an empty lookup is believed, all of it from our own rows.

    `correlation_ids` and `sys_ids` are those of the newest other records in the same table that we have seen. `sys_ids` is
    empty unless every create of the ticket carried a sys_id that the table keeps. `made_by` is the login name of our
    account, `not_before` a time before which the ticket cannot have been sent, by any clock.
    """

    correlation_ids: Sequence[str]
    sys_ids: Sequence[str]
    marker: str
    title: str
    made_by: str
    not_before: datetime


async def load_sight(session: Session, ticket: Ticket, *, by_sys_id: bool) -> Sight:
    query = (
        select(Ticket.correlation_id, Ticket.sys_id, Ticket.own_sys_id)
        .where(Ticket.connection_id == ticket.connection_id, Ticket.kind == ticket.kind, Ticket.id != ticket.id)
        # A record that was hidden from us before proves nothing now.
        .where(Ticket.sys_id.is_not(None), Ticket.visible)
        .order_by(Ticket.shared_at.desc(), Ticket.id)
        .limit(KNOWN_RECORDS)
    )
    known = (await session.execute(query)).all()
    connection = await session.get_one(Connection, ticket.connection_id)
    return Sight(
        correlation_ids=[row.correlation_id for row in known],
        sys_ids=[row.sys_id for row in known if by_sys_id and row.sys_id == row.own_sys_id],
        marker=MARKERS[TicketKind(ticket.kind)],
        title=str(ticket.record.get("short_description", "")),
        made_by=connection.user_name,
        not_before=ticket.created_at - CLOCKS_APART,
    )


async def assert_visible(client: ServiceNowClient, table: Table, sight: Sight) -> None:
    """Raises QueryIgnored unless the record would surely have been found, if it were there.

    Row and field rules hide without an error: docs/facts/servicenow.md#trap-14, docs/facts/servicenow.md#trap-15.
    """
    # The lookup asked for the record's own sys_id, which no rule can have dropped: the table keeps it.
    if sight.sys_ids and await client.find_by_sys_ids(table, sight.sys_ids):
        return
    await _assert_shown(client, table, sight.correlation_ids)
    await _assert_not_emptied(client, table, sight)


async def _assert_shown(client: ServiceNowClient, table: Table, known: Sequence[str]) -> None:
    """ServiceNow shows one of the `known` records, or any record where none is known."""
    for correlation_id in known:
        if await client.find_by_correlation(table, correlation_id):
            return
    if known or not await client.shows_correlation_ids(table):
        raise QueryIgnored(NOT_VISIBLE)


async def _assert_not_emptied(client: ServiceNowClient, table: Table, sight: Sight) -> None:
    """No record that may be the ticket's has lost its correlation ID: a write rule drops a value without an error.

    Where no record of ours is known, any that our account made since is suspected. Where some are, the instance keeps the
    ID as a rule, and others may use the account: then it has to carry our marker or the ticket's title.
    """
    # docs/facts/servicenow.md#2-6-error-envelope
    counted = None
    try:
        page = await client.emptied(table, sight.marker, sight.made_by)
        emptied, counted = page.rows, page.total
    except (Forbidden, QueryIgnored):
        if sight.correlation_ids:
            return
        # The query names columns that the account may not ask by. The newest records tell as well.
        newest = _recent(await client.newest(table), sight)
        if any(map(hides_its_owner, newest)):
            raise QueryIgnored(HIDDEN_OWNER) from None
        emptied = [row for row in newest if is_emptied(row, sight.marker, sight.made_by)]
    recent = _recent(emptied, sight)
    if sight.correlation_ids:
        suspected = any(_looks_like(row, sight) for row in recent)
    else:
        suspected = bool(recent) or (counted or 0) > len(emptied)
    if suspected:
        raise QueryIgnored(EMPTIED)


def _recent(rows: Sequence[RemoteTicket], sight: Sight) -> list[RemoteTicket]:
    return [row for row in rows if row.created_at is None or row.created_at >= sight.not_before]


def _looks_like(row: RemoteTicket, sight: Sight) -> bool:
    return row.correlation_display == sight.marker or row.values.get("short_description") == sight.title


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
