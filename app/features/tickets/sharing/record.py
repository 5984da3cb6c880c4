"""Decides the record that is sent for a ticket, from what a person asked. Pure: reads and writes nothing.

All seven data items the product promises to send (who asked, name, description, priority, due date, source, category)
stand in the record's text as labelled lines, so that they arrive on any instance, whatever its columns.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from uuid import UUID

from app.core.messages import Message, T
from app.features.tickets.types import MARKERS, TicketKind, TicketSource, priority_name
from app.integrations.servicenow.protocol import format_time

# What ServiceNow's own columns hold (facts/servicenow 4.3). Longer texts are cut here, visibly, and not there, silently.
LONGEST_NAME = 160
LONGEST_DESCRIPTION = 4000
CUT = "…"
# facts/servicenow 4.1: an incident's priority is looked up from impact and urgency; one sent alone is overwritten.
IMPACT_AND_URGENCY = {1: ("1", "1"), 2: ("1", "2"), 3: ("2", "2"), 4: ("2", "3"), 5: ("3", "3")}
# Noon UTC is the same day on the calendar almost everywhere on earth.
DUE_TIME = time(12, 0, tzinfo=UTC)

# What may not travel: control characters but tab and line feed, lone surrogates, non-characters, and marks that turn
# the direction of the text after them.
FORBIDDEN = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\u202a-\u202e\u2066-\u2069\ufeff]"
)


@dataclass(frozen=True)
class TicketRequest:
    """What the person decided in the form."""

    kind: TicketKind
    name: str
    description: str
    priority: int
    due_date: date
    source: TicketSource
    category: str


@dataclass(frozen=True)
class Requester:
    """Who shares."""

    person_id: UUID | None
    oid: str
    name: str
    email: str


@dataclass(frozen=True)
class Links:
    """Where the record leads back to: our ticket, and each action by its title."""

    ticket: str
    actions: Sequence[tuple[str, str]] = ()
    predecessor: str = ""


@dataclass(frozen=True)
class RecordPayload:
    """The record's fields as they are sent, and what a person should know about them."""

    fields: dict[str, str]
    warnings: list[Message] = field(default_factory=list)


def compose_record(asked: TicketRequest, sender: Requester, links: Links, correlation_id: str) -> RecordPayload:
    """The record. Raises nothing: any text becomes one that can be sent."""
    warnings: list[Message] = []
    name, description = clean(asked.name).replace("\n", " "), clean(asked.description)
    short = cut(name, LONGEST_NAME)
    if short != name:
        warnings.append(
            T("ServiceNow keeps %(limit)s characters of a name. The whole name is in the description.", limit=160)
        )
    below = _below(asked, name, sender, links)
    room = LONGEST_DESCRIPTION - _length(below) - 2
    told = cut(description, room)
    if told != description:
        warnings.append(
            T("ServiceNow keeps %(limit)s characters of a description. Its end was cut; it is whole here.", limit=4000)
        )
    fields = {
        "short_description": short,
        "description": f"{told}\n\n{below}",
        "due_date": format_time(datetime.combine(asked.due_date, DUE_TIME)),
        "correlation_id": correlation_id,
        "correlation_display": MARKERS[asked.kind],
        **_priority(asked),
    }
    return RecordPayload(fields, warnings)


def _priority(asked: TicketRequest) -> dict[str, str]:
    impact, urgency = IMPACT_AND_URGENCY[asked.priority]
    if asked.kind is TicketKind.INCIDENT:
        return {"impact": impact, "urgency": urgency}
    return {"priority": str(asked.priority)}


def _below(asked: TicketRequest, name: str, sender: Requester, links: Links) -> str:
    """The labelled lines; bounded, so that they always leave most of the room to the description."""
    who = cut(one_line(f"{sender.name} <{sender.email}>" if sender.email else sender.name), 200)
    lines = [
        f"{T('Requested by')}: {who}, {T('user ID')} {cut(one_line(sender.oid), 64)}",
        f"{T('Task name')}: {cut(name, 400)}",
        f"{T('Priority')}: {asked.priority} - {priority_name(str(asked.priority))}",
        f"{T('Due date')}: {asked.due_date.isoformat()}",
        f"{T('Recommendation source')}: {asked.source.value}",
        f"{T('Recommendation category')}: {asked.category}",
        f"{T('Ticket in the security center')}: {links.ticket}",
    ]
    if links.predecessor:
        lines.append(f"{T('Follows')}: {cut(one_line(links.predecessor), 60)}")
    lines.extend(_action_lines(links.actions))
    return "\n".join(lines)


def _action_lines(actions: Sequence[tuple[str, str]]) -> list[str]:
    """One line per action with its address, as many as fit into a quarter of the text; the rest is counted."""
    lines: list[str] = []
    room = LONGEST_DESCRIPTION // 4
    for done, (title, address) in enumerate(actions):
        line = f"{T('Improvement action')}: {cut(one_line(title), 160)} {address}"
        room -= _length(line) + 1
        if room < 0:
            lines.append(str(T("… and %(count)s more improvement actions", count=len(actions) - done)))
            break
        lines.append(line)
    return lines


def clean(text: str) -> str:
    """The text without what cannot travel, in one form for accented letters, with plain line ends."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = FORBIDDEN.sub("", plain)
    kept = "".join(letter for letter in kept if ord(letter) & 0xFFFE != 0xFFFE)
    return unicodedata.normalize("NFC", kept).strip()


def one_line(text: str) -> str:
    """The same on one line."""
    return " ".join(clean(text).split())


def cut(text: str, limit: int) -> str:
    """At most so many UTF-16 units, which is what ServiceNow counts, with `…` where something was cut.

    Never cuts between a letter and the marks that belong to it, nor inside a character of two units.
    """
    if _length(text) <= limit:
        return text
    if limit < 1:
        return ""
    units, end = 0, 0
    for end, letter in enumerate(text):  # noqa: B007 - the index where the room ends is what is asked for.
        units += _length(letter)
        if units > limit - 1:
            break
    while end > 0 and _belongs_to_the_one_before(text[end]):
        end -= 1
    return text[:end].rstrip() + CUT


def _belongs_to_the_one_before(letter: str) -> bool:
    return (
        bool(unicodedata.combining(letter)) or letter in "\u200d\ufe0e\ufe0f" or "\U0001f3fb" <= letter <= "\U0001f3ff"
    )


def _length(text: str) -> int:
    return len(text) + sum(1 for letter in text if ord(letter) > 0xFFFF)
