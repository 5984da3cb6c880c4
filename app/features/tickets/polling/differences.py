"""Compare the record that was sent with the one that ServiceNow stored. Does no I/O and changes nothing."""

from __future__ import annotations

from app.core.messages import Message, T
from app.core.text_limits import cut
from app.features.tickets.models import Ticket
from app.features.tickets.ticket_fields import column_labels
from app.features.tickets.types import KINDS, TicketKind, priority_name
from app.integrations.servicenow.schemas import RemoteTicket

FIELD_NAMES = column_labels()
# Of other values, a sentence names the beginning.
LONGEST_NAMED = 500
# Of these the sentence names no values: they are too long to stand in one.
LONG_TEXTS = frozenset({"description", "short_description"})


def differences(ticket: Ticket, remote: RemoteTicket) -> list[Message]:
    """One sentence for each field that ServiceNow stored otherwise than it was sent, or does not let us read."""
    # A create answers 201 although it ignored unknown fields or a write rule dropped a value, so only a comparison
    # tells what was stored (docs/facts/servicenow.md#2-6-error-envelope).
    found: list[Message] = []
    for name, sent in ticket.record.items():
        label = FIELD_NAMES.get(name, T("%(value)s", value=name))
        if name not in remote.values:
            found.append(_not_readable(label))
        elif _normalized(remote.values[name]) != _normalized(sent):
            found.append(_difference(name, label, sent, remote.values[name]))
    # An incident's priority is never sent: ServiceNow looks it up from impact and urgency, by rows that administrators
    # can edit, so that it may find none (docs/facts/servicenow.md#4-1-incident).
    if KINDS[TicketKind(ticket.kind)].priority_is_derived:
        found.extend(_derived_priority(str(ticket.priority), remote))
    return found


def _not_readable(label: Message) -> Message:
    return T("%(field)s: not readable, so we cannot tell what ServiceNow stored.", field=label)


def _derived_priority(asked: str, remote: RemoteTicket) -> list[Message]:
    if "priority" not in remote.values:
        return [_not_readable(FIELD_NAMES["priority"])]
    stored = remote.priority
    if stored == asked:
        return []
    if not stored:
        return [
            T(
                "Priority: asked for %(sent)s, ServiceNow left it empty (its lookup of impact and urgency found nothing).",
                sent=priority_name(asked),
            )
        ]
    return [
        T(
            "Priority: asked for %(sent)s, ServiceNow made it %(stored)s (its lookup of impact and urgency decides).",
            sent=priority_name(asked),
            stored=priority_name(stored),
        )
    ]


def _difference(name: str, label: Message, sent: str, stored: str) -> Message:
    if not stored:
        return T("%(field)s: ServiceNow did not keep it.", field=label)
    # Whether a text that is too long is cut or refused is not documented (docs/facts/servicenow.md#4-3-shared-task-fields).
    if len(stored) < len(sent) and _normalized(sent).startswith(_normalized(stored)):
        return T("%(field)s: ServiceNow cut it after %(count)s characters.", field=label, count=len(stored))
    if name == "priority":
        sent, stored = str(priority_name(sent)), str(priority_name(stored))
    if name in LONG_TEXTS:
        return T("%(field)s: ServiceNow stored another text.", field=label)
    return T(
        "%(field)s: sent %(sent)s, ServiceNow stored %(stored)s.",
        field=label,
        sent=cut(sent, LONGEST_NAMED),
        stored=cut(stored, LONGEST_NAMED),
    )


def _normalized(text: str) -> str:
    # Line ends and trailing blanks get lost on forms and in storage; neither changes what the text says.
    return text.replace("\r\n", "\n").rstrip()
