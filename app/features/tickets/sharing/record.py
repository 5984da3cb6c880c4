"""Composes the record that is sent for a ticket from what a person asked. Pure: reads and writes nothing.

All data items stand in the record's text as labelled lines, so that they arrive on any instance, with any columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.core.messages import Message, T
from app.core.text_limits import cut, one_line, utf16_length
from app.features.connection.preferences import Preferences
from app.features.tickets.sharing.custom_columns import custom_columns
from app.features.tickets.sharing.fixed_columns import composed_columns, fixed_columns
from app.features.tickets.ticket_fields import (
    FIELDS,
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    Requester,
    TicketField,
    TicketRequest,
    stored_values,
)
from app.features.tickets.types import KINDS


@dataclass(frozen=True)
class Links:
    """Where the record leads back to: our ticket's address, (title, address) of each action, the earlier ticket's number."""

    ticket: str
    actions: Sequence[tuple[str, str]] = ()
    predecessor: str = ""


@dataclass(frozen=True)
class RecordPayload:
    """A record as it is sent: `{"short_description": …, "correlation_id": …}`, and what a person should know about it."""

    fields: dict[str, str]
    warnings: list[Message] = field(default_factory=list)


def compose_record(
    request: TicketRequest,
    requester: Requester,
    links: Links,
    correlation_id: str,
    preferences: Preferences,
    fields: Sequence[TicketField] = FIELDS,
) -> RecordPayload:
    """The record with what this connection's preferences add. Any text becomes one that can be sent.

    Expects a request in which `problems_of` finds nothing.
    """
    spec, stored = KINDS[request.kind], stored_values(request, fields)
    if not preferences.names_sender:
        requester = replace(requester, name="", email="")
    warnings: list[Message] = []
    below = _lines_below(request, requester, links, fields)
    # Two units are for the empty line between the description and the lines below it.
    description = cut(stored["description"], LONGEST_DESCRIPTION - utf16_length(below) - 2)
    columns = {
        **{column: one.value(request, requester) for one in fields if one.fills_column for column in one.columns},
        "description": f"{description}\n\n{below}",
        # By these two a record is found again, and recognized as ours. docs/facts/servicenow.md#6-idempotency
        "correlation_id": correlation_id,
        "correlation_display": spec.marker,
        **spec.priority_columns[request.priority],
    }
    if columns["short_description"] != stored["name"]:
        warnings.append(
            T(
                "ServiceNow keeps %(limit)s characters of a name. The whole name is in the description.",
                limit=LONGEST_NAME,
            )
        )
    if description != stored["description"]:
        warnings.append(
            T(
                "ServiceNow keeps %(limit)s characters of a description. Its end was cut; it is whole here.",
                limit=LONGEST_DESCRIPTION,
            )
        )
    # What every record carries is never replaced by what an administrator decided.
    return RecordPayload(decided_columns(request, requester, preferences, fields) | columns, warnings)


def decided_columns(
    request: TicketRequest, requester: Requester, preferences: Preferences, fields: Sequence[TicketField] = FIELDS
) -> dict[str, str]:
    """What an administrator decided for new records: fixed values, change type, group, and copies in own columns."""
    return fixed_columns(request, preferences) | custom_columns(request, requester, preferences, fields)


def with_decisions(
    record: Mapping[str, str], request: TicketRequest, requester: Requester, preferences: Preferences
) -> dict[str, str]:
    """The composed part of this record, with what the administrator's preferences add today."""
    composed = composed_columns(request.kind)
    kept = {column: value for column, value in record.items() if column in composed}
    # A copy holds what the record does: delivery/due_date.py may have moved a due date on since it was composed.
    copies = preferences.columns.get(request.kind, {})
    moved = {
        copies[one.name]: kept[column]
        for one in FIELDS
        if one.fills_column and one.name in copies
        for column in one.columns
        if column in kept
    }
    return decided_columns(request, requester, preferences) | moved | kept


def _lines_below(request: TicketRequest, requester: Requester, links: Links, fields: Sequence[TicketField]) -> str:
    """The labelled lines; bounded, so that they always leave most of the text to the description."""
    # A stock form shows the description, and hardly ever `correlation_display`.
    lines = [KINDS[request.kind].marker]
    lines += [f"{one.line.label}: {one.line.value(request, requester)}" for one in fields if one.line is not None]
    lines.append(f"{T('Ticket in the security center')}: {links.ticket}")
    # By its number, which is what people search for in ServiceNow.
    if links.predecessor:
        lines.append(f"{T('Follows')}: {cut(one_line(links.predecessor), 60)}")
    lines.extend(_action_lines(links.actions))
    return "\n".join(lines)


def _action_lines(actions: Sequence[tuple[str, str]]) -> list[str]:
    """One line per action with its address, as many as fit into a quarter of the text; the rest is counted."""
    # A quarter, so that neither the description nor the list of actions can push the other out.
    lines: list[str] = []
    remaining = LONGEST_DESCRIPTION // 4
    for done, (title, address) in enumerate(actions):
        line = f"{T('Improvement action')}: {cut(one_line(title), 160)} {address}"
        remaining -= utf16_length(line) + 1
        if remaining < 0:
            lines.append(str(T("… and %(count)s more improvement actions", count=len(actions) - done)))
            break
        lines.append(line)
    return lines
