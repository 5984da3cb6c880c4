"""Everything that the page of one ticket shows. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import aliased

from app.core.database import Session
from app.core.errors import NotFound
from app.core.messages import Message, T
from app.features.connection.models import Connection
from app.features.tickets.delivery.refusals import cause_of, missing_fields
from app.features.tickets.delivery.visibility import is_in_doubt
from app.features.tickets.events import EventLine, events_of
from app.features.tickets.models import Ticket, TicketAction
from app.features.tickets.notes.split_journal import Entry
from app.features.tickets.notes.write_note import NoteLine, journal_lines, notes_of
from app.features.tickets.polling.apply_remote import why_not_visible
from app.features.tickets.polling.poll_status import Freshness, poll_status
from app.features.tickets.ticket_fields import ShownField, TicketRequest, shown_fields, stored_request
from app.features.tickets.types import KINDS, TABLES, Delivery, TicketKind
from app.features.tickets.views.ticket_list import TicketLine, line_of, load_line_context
from app.features.tickets.views.ticket_shares import (
    MOST_EVENTS,
    MOST_LINKED,
    actions_part,
    asked_part,
    differences_part,
    events_part,
    linked_part,
    problem_part,
    record_part,
    warnings_part,
)


@dataclass(frozen=True)
class LeftOut:
    """How many more lines each list of the page has than are shown."""

    actions: int
    differences: int
    events: int
    journal: int
    later: int
    notes: int
    sent: int


@dataclass(frozen=True)
class TicketDetails:
    """Texts and lists as far as a page shows them (ticket_shares.py); `left_out` is what else there is.

    `sent` is the record as (field, value), as it was sent. `is_archived`: its instance is not connected any more.

    `missing` are the labels of fields that ServiceNow wants filled, in its own words.

    `rated` are the actions that no later ticket is about: (control id, title, points when it was shared).
    `earlier` and `later` are tickets for the same work: the one that this one follows, and those that follow it.
    """

    line: TicketLine
    request: TicketRequest
    asked: list[ShownField]
    requested_by_oid: str
    sent: list[tuple[str, str]]
    correlation_id: str
    instance: str
    open_url: str
    is_archived: bool
    visible: bool
    why_not_visible: Message | None
    assigned_to: str
    remote_updated_at: datetime | None
    shared_at: datetime | None
    attempts: int
    attempted_at: datetime | None
    next_try_at: datetime | None
    problem: Message | None
    advice: Message | None
    missing: list[str]
    warnings: list[Message]
    differences: list[Message]
    actions: list[tuple[str, str]]
    rated: list[tuple[str, str, float | None]]
    state_since: datetime | None
    earlier: TicketLine | None
    later: list[TicketLine]
    events: Sequence[EventLine]
    notes: list[NoteLine]
    journal: list[Entry]
    journal_read_at: datetime | None
    journal_problem: Message | None
    fresh: Freshness
    left_out: LeftOut


async def ticket_details(session: Session, ticket_id: UUID) -> TicketDetails:
    """Raises NotFound."""
    found = await session.execute(
        select(Ticket, Connection).join(Connection, Connection.id == Ticket.connection_id).where(Ticket.id == ticket_id)
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound
    ticket, connection = row
    request = stored_request(ticket)
    context = await load_line_context(session)
    actions = list(await session.execute(_actions_of(ticket)))
    # Both directions in one query: the ticket that this one follows, and those that follow it.
    linked = select(Ticket).where((Ticket.id == ticket.predecessor_id) | (Ticket.predecessor_id == ticket_id))
    # One more than is shown, to know whether there are more; the earlier one comes first.
    linked = linked.order_by(Ticket.id != ticket.predecessor_id, Ticket.created_at.desc()).limit(MOST_LINKED + 2)
    others = list((await session.execute(linked)).scalars())
    later = linked_part([line_of(other, context) for other in others if other.predecessor_id == ticket_id])
    named = actions_part([(action.control_id, action.title) for action in actions])
    sent = record_part(list(_sent(ticket).items()))
    differences = differences_part([Message.from_json(stored) for stored in ticket.differences])
    events = events_part(await events_of(session, ticket_id, limit=MOST_EVENTS + 1))
    notes, journal = await notes_of(session, ticket_id), journal_lines(ticket.journal)
    status = await poll_status(session, connection)
    return TicketDetails(
        line=line_of(ticket, context),
        request=request,
        asked=asked_part(shown_fields(request)),
        requested_by_oid=ticket.requested_by_oid,
        sent=sent.items,
        correlation_id=ticket.correlation_id,
        instance=connection.instance_name,
        open_url=open_url(connection.origin, ticket.kind, ticket.sys_id) if ticket.sys_id else "",
        is_archived=connection.status == "removed",
        visible=ticket.visible,
        why_not_visible=await why_not_visible(session, ticket),
        assigned_to=ticket.assigned_to,
        remote_updated_at=ticket.remote_updated_at,
        shared_at=ticket.shared_at,
        attempts=ticket.attempts,
        attempted_at=ticket.attempted_at,
        # Only a queued ticket is tried again; the rows of others may still hold a time.
        next_try_at=ticket.next_try_at if ticket.delivery == Delivery.QUEUED else None,
        problem=problem_part(ticket.problem),
        advice=_advice(ticket),
        missing=_missing(ticket),
        warnings=warnings_part([Message.from_json(stored) for stored in ticket.warnings]),
        differences=differences.items,
        actions=named.items,
        rated=[(action.control_id, action.title, action.points) for action in actions if not action.followed],
        state_since=ticket.state_since,
        earlier=next((line_of(other, context) for other in others if other.id == ticket.predecessor_id), None),
        later=later.items,
        events=events.items,
        notes=notes.items,
        journal=journal.items,
        journal_read_at=ticket.journal_read_at,
        journal_problem=problem_part(ticket.journal_problem),
        fresh=status.fresh(ticket.kind),
        left_out=LeftOut(
            actions=named.left_out,
            differences=differences.left_out,
            events=events.left_out,
            journal=journal.left_out,
            later=later.left_out,
            notes=notes.left_out,
            sent=sent.left_out,
        ),
    )


def _actions_of(ticket: Ticket) -> Select[str, str, float | None, bool]:
    """The ticket's actions, each with `followed`: a later ticket at the same connection is about it as well."""
    # A later ticket counts only once it is shared: until then this one is what ServiceNow works on.
    other, newer = aliased(TicketAction), aliased(Ticket)
    later = (
        select(newer.id)
        .join(other, other.ticket_id == newer.id)
        .where(
            other.control_id == TicketAction.control_id,
            newer.connection_id == ticket.connection_id,
            newer.delivery == Delivery.SHARED,
            newer.created_at > ticket.created_at,
        )
    )
    return (
        select(TicketAction.control_id, TicketAction.title, TicketAction.points, later.exists().label("followed"))
        .where(TicketAction.ticket_id == ticket.id)
        .order_by(TicketAction.title)
    )


def _sent(ticket: Ticket) -> dict[str, str]:
    return (
        {**ticket.record, "sys_id": ticket.own_sys_id} if ticket.own_sys_id and not ticket.sent_plain else ticket.record
    )


def _advice(ticket: Ticket) -> Message | None:
    """What a person can do about a held ticket. The page shows it below the refusal, which names the rule or field."""
    if ticket.delivery != Delivery.HELD:
        return None
    # ServiceNow may have a record of it (docs/facts/servicenow.md#trap-4), so it must not be shared again yet.
    if is_in_doubt(ticket):
        return T(
            "In ServiceNow, look for a record with the correlation ID %(id)s, and let the integration user read such "
            "records and this field. Then retry: we look before we send anything. If it is not there, and cannot be "
            "shown to us, give this ticket up and share again.",
            id=ticket.correlation_id,
        )
    if _missing(ticket):
        return T(
            "ServiceNow wants these fields filled: %(fields)s. Give them a fixed value under ServiceNow, Configuration, Field "
            "values; then send all tickets that are held for it again.",
            fields=", ".join(_missing(ticket)),
        )
    spec = KINDS[TicketKind(ticket.kind)]
    # Least privilege by kind: docs/facts/servicenow.md#3-6-roles-for-the-integration-user.
    return T(
        "In ServiceNow, check that the integration user may create %(kind)s (role %(role)s, or itil) and that no rule or "
        "mandatory field named above stands in the way. Then retry, or change the ticket first.",
        kind=spec.plural,
        role=spec.least_role,
    )


def _missing(ticket: Ticket) -> list[str]:
    return missing_fields(cause_of(ticket)) if ticket.delivery == Delivery.HELD else []


def open_url(origin: str, kind: str, sys_id: str) -> str:
    """The classic link to a record. Newer UIs redirect it to their own (docs/facts/servicenow.md#4-5-links-to-a-record)."""
    target = quote(f"{TABLES[TicketKind(kind)]}.do?sys_id={sys_id}", safe="")
    return f"{origin}/nav_to.do?uri={target}"
