"""A sys_id of our own choice as an idempotency key, on tables that keep one. Learns which do from their answers; calls nothing.

Why, and what is known of real instances: docs/decisions/0009-own-sys-id.md
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.core import clock
from app.core.database import Session
from app.features.connection.models import Connection
from app.features.tickets.models import OwnSysIdRule, Ticket
from app.integrations.servicenow.schemas import RemoteTicket

# So many creates in a row that were refused with a sys_id and taken without one. A single one may be chance, since
# ServiceNow also refuses intermittently (docs/facts/servicenow.md#sandbox-49).
BELIEVED_REFUSALS = 2


class Verdict(StrEnum):
    """What a table does with a sys_id that the caller chose: docs/facts/servicenow.md#6-idempotency."""

    UNKNOWN = "unknown"
    KEPT = "kept"
    NOT_KEPT = "not_kept"
    REFUSED = "refused"


def new_sys_id() -> str:
    """32 lowercase hexadecimal digits, as ServiceNow makes them."""
    return uuid4().hex


async def verdict_of(session: Session, ticket: Ticket) -> Verdict:
    """What is known of the ticket's table. A new consent forgets it, since the account may have other rights."""
    query = (
        select(OwnSysIdRule.verdict)
        .join(Connection, Connection.id == OwnSysIdRule.connection_id)
        .where(OwnSysIdRule.connection_id == ticket.connection_id, OwnSysIdRule.kind == ticket.kind)
        .where(OwnSysIdRule.learned_at >= Connection.connected_at)
    )
    return Verdict((await session.execute(query)).scalar_one_or_none() or Verdict.UNKNOWN)


async def verdicts_of(session: Session, connection_id: UUID) -> dict[str, Verdict]:
    """The same for each table of this connection of which something is known, by kind."""
    query = (
        select(OwnSysIdRule.kind, OwnSysIdRule.verdict)
        .join(Connection, Connection.id == OwnSysIdRule.connection_id)
        .where(OwnSysIdRule.connection_id == connection_id, OwnSysIdRule.learned_at >= Connection.connected_at)
    )
    return {row.kind: Verdict(row.verdict) for row in await session.execute(query)}


def sys_id_to_send(ticket: Ticket, verdict: Verdict) -> str:
    """The sys_id that the next create of this ticket carries; empty when it carries none."""
    if verdict is Verdict.REFUSED:
        return ""
    # It may be the sys_id that was refused, so the next create of this ticket goes without it.
    if verdict is Verdict.UNKNOWN and (ticket.refusals or ticket.failures):
        return ""
    return ticket.own_sys_id


async def learn(
    session: Session, ticket: Ticket, verdict: Verdict, found: Sequence[RemoteTicket], sent: str | None
) -> None:
    """Remember what the ticket's records say. `sent` is the sys_id that was just sent, None for a lookup's result."""
    own = ticket.own_sys_id
    if not own:
        return
    if any(record.sys_id == own for record in found):
        await _remember(session, ticket, verdict, Verdict.KEPT)
    elif sent or (sent is None and not ticket.sent_plain):
        await _remember(session, ticket, verdict, Verdict.NOT_KEPT)
    elif sent == "" and verdict is Verdict.UNKNOWN:
        await _count_refusal(session, ticket)


async def forget(session: Session, ticket: Ticket, verdict: Verdict) -> None:
    """A create was refused with a sys_id although the table took one before: that may have become the reason."""
    if verdict in (Verdict.KEPT, Verdict.NOT_KEPT):
        await _remember(session, ticket, verdict, Verdict.UNKNOWN)


async def _remember(session: Session, ticket: Ticket, before: Verdict, verdict: Verdict) -> None:
    if verdict is not before:
        await _store(session, ticket, verdict, refusals=0)


async def _count_refusal(session: Session, ticket: Ticket) -> None:
    rule = await session.get(OwnSysIdRule, (ticket.connection_id, ticket.kind))
    refusals = 1 if rule is None or rule.verdict != Verdict.UNKNOWN else rule.refusals + 1
    verdict = Verdict.REFUSED if refusals >= BELIEVED_REFUSALS else Verdict.UNKNOWN
    await _store(session, ticket, verdict, refusals=refusals)


async def _store(session: Session, ticket: Ticket, verdict: Verdict, *, refusals: int) -> None:
    values = {"verdict": verdict.value, "refusals": refusals, "learned_at": clock.now()}
    # Two tickets may be the first ones at once.
    await session.execute(
        insert(OwnSysIdRule)
        .values(connection_id=ticket.connection_id, kind=ticket.kind, **values)
        .on_conflict_do_update(index_elements=["connection_id", "kind"], set_=values)
    )
