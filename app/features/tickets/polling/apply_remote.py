"""Copies what ServiceNow says of a record into its ticket, and writes down what that changes. Calls nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from app.core import clock
from app.core.database import Session
from app.core.messages import Message, T
from app.features.connection.throttle import throttle_of
from app.features.tickets.events import EventType, record_event
from app.features.tickets.models import Ticket, TicketEvent
from app.features.tickets.polling.state_names import Names, load_names
from app.features.tickets.types import CLOSED_GROUPS, TABLES, TicketKind, priority_name
from app.integrations.servicenow.schemas import Listed, RemoteTicket

FIELD_NAMES: dict[str, Message] = {
    "short_description": T("Name"),
    "description": T("Description"),
    "due_date": T("Due date"),
    "impact": T("Impact"),
    "urgency": T("Urgency"),
    "priority": T("Priority"),
    "correlation_display": T("Marker"),
}


# What is said of a record that was asked for by its id and did not come. Which of them, the instance's count tells.
HIDDEN = T(
    "The record is still in ServiceNow, but the integration user may no longer see it. Check its roles and the access "
    "rules there. Last known state kept."
)
DELETED = T(
    "Deleted in ServiceNow: it counts no such record any more. (A rule that hides records even from being counted would "
    "look the same.) Last known state kept."
)
UNCLEAR = T(
    "ServiceNow no longer shows this record to us: it was deleted, or an access rule hides it. Last known state kept."
)


async def link_record(session: Session, ticket: Ticket, found: Sequence[RemoteTicket], *, just_made: bool) -> None:
    """The record is there: the oldest, should there be several. Compares it with what was sent."""
    remote, now = found[0], clock.now()
    ticket.sys_id = remote.sys_id
    if len(found) > 1:
        numbers = ", ".join(twin.number for twin in found[1:])
        sentence = T(
            "ServiceNow holds more than one record of this ticket. We follow the oldest, %(number)s; close %(others)s "
            "there as duplicates.",
            number=remote.number,
            others=numbers,
        )
        ticket.warnings = [*ticket.warnings, sentence.to_json()]
        record_event(session, ticket, EventType.CHANGED, sentence)
    record_event(
        session, ticket, EventType.ARRIVED, T("Arrived in ServiceNow as %(number)s.", number=remote.number or "–")
    )
    ticket.differences = [sentence.to_json() for sentence in differences(ticket, remote)]
    apply_record(session, ticket, remote, await load_names(session))
    if just_made and remote.created_at is not None:
        # The record is a moment old, so the instance's clock is ahead of ours by this much, or a little more.
        throttle = await throttle_of(session, ticket.connection_id)
        throttle.clock_ahead_seconds = (remote.created_at - now).total_seconds()


def apply_record(session: Session, ticket: Ticket, remote: RemoteTicket, names: Names) -> bool:
    """Take over what was read. True when something moved."""
    now, kind = clock.now(), TicketKind(ticket.kind)
    if remote.table and remote.table != TABLES[kind]:
        ticket.verified_at = now
        if not ticket.visible:
            return False
        moved_to = T("The record was moved to another table of ServiceNow (%(table)s).", table=remote.table)
        _mark_vanished(session, ticket, moved_to)
        return True
    moved = False
    if not ticket.visible:
        ticket.visible, moved = True, True
        record_event(session, ticket, EventType.STATE, T("The record is visible again."))
    if remote.state != ticket.state or ticket.state_since is None:
        _record_state(session, ticket, remote, names)
        ticket.state, ticket.state_since, moved = remote.state, now, True
    if ticket.remote_priority and remote.priority != ticket.remote_priority:
        moved = True
        change = T(
            "Priority changed in ServiceNow from %(before)s to %(after)s.",
            before=priority_name(ticket.remote_priority),
            after=priority_name(remote.priority),
        )
        record_event(session, ticket, EventType.CHANGED, change)
    if remote.assigned_to != ticket.assigned_to:
        moved = True
        record_event(session, ticket, EventType.CHANGED, T("Assigned to %(name)s.", name=remote.assigned_to or "–"))
    ticket.number = remote.number or ticket.number
    ticket.state_label, ticket.remote_priority = remote.state_label, remote.priority
    ticket.assigned_to, ticket.remote_updated_at, ticket.verified_at = remote.assigned_to, remote.updated_at, now
    return moved


def why_gone(found: Listed, asked: Sequence[str]) -> Message:
    """What became of those that were asked for and did not come: it counts also what it does not show (facts 2.5)."""
    if found.total == len(found.rows):
        return DELETED
    return HIDDEN if found.total == len(asked) else UNCLEAR


async def mark_hidden(session: Session, ticket: Ticket, why: Message) -> bool:
    """The record was asked for and not among the answer. Its last known state is kept. True when that is news."""
    ticket.verified_at = clock.now()
    if not ticket.visible and (why == UNCLEAR or why == await why_not_visible(session, ticket)):
        return False
    _mark_vanished(session, ticket, why)
    return True


async def why_not_visible(session: Session, ticket: Ticket) -> Message | None:
    """What was last said of a record that we do not see; None of one that we see."""
    if ticket.visible:
        return None
    query = select(TicketEvent.message).where(
        TicketEvent.ticket_id == ticket.id, TicketEvent.event_type == EventType.HIDDEN
    )
    stored = (await session.execute(query.order_by(TicketEvent.id.desc()).limit(1))).scalar_one_or_none()
    return Message.from_json(stored) if stored else UNCLEAR


def _mark_vanished(session: Session, ticket: Ticket, why: Message) -> None:
    ticket.visible = False
    record_event(session, ticket, EventType.HIDDEN, why)


def warn_duplicate(session: Session, ticket: Ticket, twin: RemoteTicket) -> None:
    """Another record of this ticket has turned up: say so on its page, once."""
    sentence = T(
        "ServiceNow holds more than one record of this ticket. We follow %(number)s; close %(other)s there as a duplicate.",
        number=ticket.number or "–",
        other=twin.number or "–",
    )
    known = [str(Message.from_json(stored)) for stored in ticket.warnings]
    if not any(twin.number in warning for warning in known):
        ticket.warnings = [*ticket.warnings, sentence.to_json()]
        record_event(session, ticket, EventType.CHANGED, sentence)


def _record_state(session: Session, ticket: Ticket, remote: RemoteTicket, names: Names) -> None:
    connection_id, kind = ticket.connection_id, ticket.kind
    after = names.label(connection_id, kind, remote.state, remote.state_label)
    if ticket.state_since is None:
        record_event(session, ticket, EventType.STATE, T("State: %(after)s.", after=after))
        return
    before = names.label(connection_id, kind, ticket.state, ticket.state_label)
    was_closed = names.group(connection_id, kind, ticket.state) in CLOSED_GROUPS
    is_closed = names.group(connection_id, kind, remote.state) in CLOSED_GROUPS
    sentence = (
        T("Reopened: from %(before)s to %(after)s.", before=before, after=after)
        if was_closed and not is_closed
        else T("State changed from %(before)s to %(after)s.", before=before, after=after)
    )
    record_event(session, ticket, EventType.STATE, sentence)


def differences(ticket: Ticket, remote: RemoteTicket) -> list[Message]:
    """What ServiceNow stored otherwise than it was sent, in sentences."""
    found: list[Message] = []
    for name, sent in ticket.record.items():
        label = FIELD_NAMES.get(name, T("%(value)s", value=name))
        if name not in remote.values:
            found.append(T("%(field)s: not readable, so we cannot tell what ServiceNow stored.", field=label))
        elif _plain(remote.values[name]) != _plain(sent):
            found.append(_difference(name, label, sent, remote.values[name]))
    if ticket.kind == TicketKind.INCIDENT and remote.priority and remote.priority != str(ticket.priority):
        found.append(
            T(
                "Priority: asked for %(sent)s, ServiceNow made it %(stored)s (its lookup of impact and urgency decides).",
                sent=priority_name(str(ticket.priority)),
                stored=priority_name(remote.priority),
            )
        )
    return found


def _difference(name: str, label: Message, sent: str, stored: str) -> Message:
    if not stored:
        return T("%(field)s: ServiceNow did not keep it.", field=label)
    if len(stored) < len(sent) and _plain(sent).startswith(_plain(stored)):
        return T("%(field)s: ServiceNow cut it after %(count)s characters.", field=label, count=len(stored))
    if name == "priority":
        sent, stored = str(priority_name(sent)), str(priority_name(stored))
    if name in ("description", "short_description"):
        return T("%(field)s: ServiceNow stored another text.", field=label)
    return T("%(field)s: sent %(sent)s, ServiceNow stored %(stored)s.", field=label, sent=sent, stored=stored)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").rstrip()
