"""Copy a record that was read from ServiceNow into its ticket and record the changes as events. Calls nothing remote."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from sqlalchemy import select

from app.core import clock
from app.core.database import Session
from app.core.messages import Message, T
from app.features.connection.models import InstanceThrottle
from app.features.tickets.events import EventType, record_event
from app.features.tickets.models import Ticket, TicketEvent
from app.features.tickets.polling.differences import differences
from app.features.tickets.polling.state_names import StateNames, load_names
from app.features.tickets.types import MARKERS, TABLES, Absence, TicketKind, priority_name
from app.integrations.servicenow.schemas import Listed, RemoteTicket
from app.integrations.servicenow.text_comparison import is_same_text

# Why a record that was requested by its id is not in the answer. ServiceNow's 404 and an empty list say the same of a
# deleted record and of a hidden one (docs/facts/servicenow.md#trap-38); only its count of matches can tell them apart.
HIDDEN = T(
    "The record is still in ServiceNow, but the integration user may no longer see it. Check its roles and the access "
    "rules there. Last known state kept.",
    code="ticket.record_hidden",
)
DELETED = T(
    "Deleted in ServiceNow: it counts no such record any more. (A rule that hides records even from being counted would "
    "look the same.) Last known state kept.",
    code="ticket.record_deleted",
)
NOT_SHOWN = T(
    "ServiceNow no longer shows this record to us: it was deleted, or an access rule hides it. Last known state kept.",
    code="ticket.record_not_shown",
)
RECORD_MOVED = "ticket.record_moved"
ABSENCES: dict[str | None, Absence] = {
    HIDDEN.code: Absence.HIDDEN,
    DELETED.code: Absence.DELETED,
    NOT_SHOWN.code: Absence.NOT_SHOWN,
    RECORD_MOVED: Absence.MOVED,
}
DUPLICATE_RECORDS = "ticket.duplicate_records"
# More of one ticket are no accident of a create, and each would add a line to its page at every poll.
MOST_DUPLICATES = 10


async def link_record(
    session: Session,
    ticket: Ticket,
    found: Sequence[RemoteTicket],
    throttle: InstanceThrottle | None,
    names: StateNames | None = None,
) -> None:
    """Follow the oldest of the records `found` from now on, and compare it with what was sent.

    The caller marks the ticket as shared (delivery/outbound.py). `throttle`, locked before the ticket was, is given when
    the record is the answer to a create, and None when it is the result of a lookup. `names` are read unless given.
    """
    remote, now = found[0], clock.now()
    ticket.sys_id = remote.sys_id
    # ServiceNow does not make correlation_id unique, so a create that was committed behind an error can leave two
    # records (docs/facts/servicenow.md#6-idempotency, docs/facts/other-connectors.md#bug-24).
    if len(found) > 1:
        sentence = T(
            "ServiceNow holds more than one record of this ticket. We follow the oldest, %(number)s; close %(others)s "
            "there as duplicates.",
            code=DUPLICATE_RECORDS,
            number=remote.number,
            others=", ".join(duplicate.number for duplicate in found[1:]),
        )
        ticket.warnings = [*ticket.warnings, sentence.to_json()]
        record_event(session, ticket, EventType.CHANGED, sentence)
    record_event(
        session, ticket, EventType.ARRIVED, T("Arrived in ServiceNow as %(number)s.", number=remote.number or "–")
    )
    ticket.differences = [sentence.to_json() for sentence in differences(ticket, remote)]
    apply_record(session, ticket, remote, names or await load_names(session))
    # A record that was just created is a moment old, so its stamp shows by how much, at least, the instance's clock is
    # ahead of ours. The stamp of a record that was looked up says nothing of the clock.
    if throttle is not None and remote.created_at is not None:
        throttle.clock_ahead_seconds = (remote.created_at - now).total_seconds()


async def apply_page(
    session: Session,
    connection_id: UUID,
    kind: TicketKind,
    names: StateNames,
    page: Listed,
    requested: Collection[str] = (),
) -> bool:
    """Copy the rows of a page into their tickets. True when a ticket changed.

    `requested` are the sys_ids that the page was asked for, if it was asked for by id: those without a row are missing.
    """
    rows = {row.sys_id: row for row in page.rows}
    wanted = rows.keys() | set(requested)
    if not wanted:
        return False
    changed = False
    # In the order of the primary key: two transactions that lock the same tickets cannot wait for each other.
    query = (
        select(Ticket)
        .where(Ticket.connection_id == connection_id, Ticket.kind == kind, Ticket.sys_id.in_(wanted))
        .order_by(Ticket.id)
        .with_for_update()
    )
    for ticket in (await session.execute(query)).scalars():
        row = rows.pop(ticket.sys_id or "", None)
        if row is not None:
            changed |= apply_record(session, ticket, row, names)
        # A row that could not be read may be this record's, so that it is not missing.
        elif not page.unreadable:
            changed |= mark_hidden(session, ticket, why_missing(page, requested))
    await _warn_of_duplicates(session, connection_id, kind, rows.values())
    return changed


def apply_record(session: Session, ticket: Ticket, remote: RemoteTicket, names: StateNames) -> bool:
    """Copy one record into its ticket. True when something that people see changed."""
    # A record may be reclassified, and then the parent table lists it with the states of another process
    # (docs/facts/other-connectors.md#bug-29). Its values mean something else, so none is copied.
    if remote.table and remote.table != TABLES[TicketKind(ticket.kind)]:
        return _apply_move(session, ticket, remote.table)
    changed = False
    if not ticket.visible:
        ticket.absence, changed = "", True
        record_event(session, ticket, EventType.STATE, T("The record is visible again."))
    if remote.state != ticket.state or ticket.state_since is None:
        changed = True
        _record_state(session, ticket, remote, names)
        ticket.state, ticket.state_since = remote.state, clock.now()
    for change in _other_changes(ticket, remote):
        changed = True
        record_event(session, ticket, EventType.CHANGED, change)
    ticket.number = remote.number or ticket.number
    ticket.has_marker = is_same_text(remote.correlation_display, MARKERS[TicketKind(ticket.kind)])
    ticket.state_label, ticket.remote_priority = remote.state_label, remote.priority
    ticket.assigned_to, ticket.remote_updated_at = remote.assigned_to, remote.updated_at
    ticket.verified_at = clock.now()
    return changed


def _apply_move(session: Session, ticket: Ticket, table: str) -> bool:
    ticket.verified_at = clock.now()
    if ticket.absence == Absence.MOVED:
        return False
    moved = T("The record was moved to another table of ServiceNow (%(table)s).", code=RECORD_MOVED, table=table)
    _set_hidden(session, ticket, moved)
    return True


def _record_state(session: Session, ticket: Ticket, remote: RemoteTicket, names: StateNames) -> None:
    change = names.change(
        ticket.connection_id,
        ticket.kind,
        before=(ticket.state, ticket.state_label),
        after=(remote.state, remote.state_label),
    )
    if ticket.state_since is None:
        sentence = T("State: %(after)s.", after=change.after)
    elif change.reopened:
        sentence = T("Reopened: from %(before)s to %(after)s.", before=change.before, after=change.after)
    else:
        sentence = T("State changed from %(before)s to %(after)s.", before=change.before, after=change.after)
    record_event(session, ticket, EventType.STATE, sentence)


def _other_changes(ticket: Ticket, remote: RemoteTicket) -> list[Message]:
    found: list[Message] = []
    # No priority before the first read: then the difference to what was sent is shown, which is no change.
    if ticket.remote_priority and remote.priority != ticket.remote_priority:
        found.append(
            T(
                "Priority changed in ServiceNow from %(before)s to %(after)s.",
                before=priority_name(ticket.remote_priority),
                after=priority_name(remote.priority),
            )
        )
    if remote.assigned_to != ticket.assigned_to:
        found.append(T("Assigned to %(name)s.", name=remote.assigned_to or "–"))
    return found


def why_missing(page: Listed, requested: Collection[str]) -> Message:
    """Why requested records have no row, by the count of matches; NOT_SHOWN when the count does not tell.

    X-Total-Count includes rows that the caller may not read (docs/facts/servicenow.md#2-5-pagination-headers), so a
    deleted record is missing from the count and a hidden one is not. Nothing tells which of several records is which.
    """
    if page.total == len(page.rows):
        return DELETED
    return HIDDEN if page.total == len(requested) else NOT_SHOWN


def mark_hidden(session: Session, ticket: Ticket, reason: Message) -> bool:
    """Mark a record as not visible; its last known state stays. True when this was not known before.

    `reason` is HIDDEN, DELETED or NOT_SHOWN.
    """
    ticket.verified_at = clock.now()
    # NOT_SHOWN says less than any other reason, so it never replaces a recorded one.
    if ticket.absence and (reason.code == NOT_SHOWN.code or ABSENCES[reason.code] == ticket.absence):
        return False
    _set_hidden(session, ticket, reason)
    return True


async def why_not_visible(session: Session, ticket: Ticket) -> Message | None:
    """The last recorded reason why the record is not visible; None while it is."""
    if ticket.visible:
        return None
    query = select(TicketEvent.message).where(
        TicketEvent.ticket_id == ticket.id, TicketEvent.event_type == EventType.HIDDEN
    )
    stored = (await session.execute(query.order_by(TicketEvent.id.desc()).limit(1))).scalar_one_or_none()
    return Message.from_json(stored) if stored else NOT_SHOWN


def _set_hidden(session: Session, ticket: Ticket, reason: Message) -> None:
    ticket.absence = ABSENCES[reason.code]
    record_event(session, ticket, EventType.HIDDEN, reason)


async def _warn_of_duplicates(
    session: Session, connection_id: UUID, kind: TicketKind, others: Collection[RemoteTicket]
) -> None:
    """Warn of records that are not followed but carry the correlation ID of a ticket that has another record."""
    by_correlation = {row.correlation_id: row for row in others if row.correlation_id}
    if not by_correlation:
        return
    query = (
        select(Ticket)
        .where(Ticket.connection_id == connection_id, Ticket.kind == kind, Ticket.sys_id.is_not(None))
        .where(Ticket.correlation_id.in_(by_correlation))
        .order_by(Ticket.id)
        .with_for_update()
    )
    for ticket in (await session.execute(query)).scalars():
        warn_of_duplicate(session, ticket, by_correlation[ticket.correlation_id])


def warn_of_duplicate(session: Session, ticket: Ticket, duplicate: RemoteTicket) -> None:
    """Add a warning about another record of this ticket, once for each of the first ten records."""
    number = duplicate.number or "–"
    known = known_duplicates(Message.from_json(stored) for stored in ticket.warnings)
    if number in known or len(known) >= MOST_DUPLICATES:
        return
    sentence = T(
        "ServiceNow holds more than one record of this ticket. We follow %(number)s; close %(other)s there as a duplicate.",
        code=DUPLICATE_RECORDS,
        number=ticket.number or "–",
        other=number,
    )
    ticket.warnings = [*ticket.warnings, sentence.to_json()]
    record_event(session, ticket, EventType.CHANGED, sentence)


def known_duplicates(warnings: Iterable[Message]) -> set[str]:
    """The numbers of the records that these warnings name as duplicates."""
    found: set[str] = set()
    for warning in warnings:
        if warning.code == DUPLICATE_RECORDS:
            found.update(str(warning.values.get("others", warning.values.get("other", ""))).split(", "))
    return found
