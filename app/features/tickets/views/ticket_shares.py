"""How much of a ticket's page each of its parts may take, so that the page stays below a megabyte. Pure.

ServiceNow's texts, and those of people, decide how long the parts are. What people write and administrators decide in earnest
is shown whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from app.core.messages import Message, T
from app.core.page_share import Portion, fits, fitting, portion, shortened
from app.features.tickets.events import EventLine
from app.features.tickets.ticket_fields import ShownField
from app.features.tickets.views.ticket_list import TicketLine

# In bytes of HTML. Those of the journal and of our notes are in notes/journal_field.py and notes/write_note.py. All of them
# together leave 100,000 for a note of the longest form field, which is shown again (web/forms.py).
DESCRIPTION_BYTES = 160_000
RECORD_BYTES = 100_000
EVENTS_BYTES = 100_000
ACTIONS_BYTES = 60_000
DIFFERENCES_BYTES = 40_000
LINKED_BYTES = 20_000
WARNINGS_BYTES = 15_000
MOST_EVENTS = 200
MOST_LINKED = 20
# Of a value inside a sentence. The words of a refusal have 500: integrations/servicenow/error_envelope.py.
LONGEST_VALUE = 500
TOO_LONG = T("The rest is too long for this page.")


def problem_part(stored: Mapping[str, Any] | None) -> Message | None:
    """What stands in the way, from its stored form."""
    return shortened(Message.from_json(stored), LONGEST_VALUE) if stored else None


def asked_part(fields: Sequence[ShownField]) -> list[ShownField]:
    """What was asked; a text that is too long ends with a sentence that says so."""
    return [_shown_in_part(field) for field in fields]


def _shown_in_part(field: ShownField) -> ShownField:
    if not isinstance(field.value, str) or fits(field.value, DESCRIPTION_BYTES):
        return field
    return replace(field, value=f"{fitting(field.value, DESCRIPTION_BYTES)}\n\n{TOO_LONG}")


def record_part(record: Sequence[tuple[str, str]]) -> Portion[tuple[str, str]]:
    """The columns by name; where all are too long for the page, the shortest."""
    found = portion(sorted(record, key=lambda one: len(one[1])), lambda one: one, most_bytes=RECORD_BYTES)
    # By name: JSONB does not keep the order in which a record was decided.
    return Portion(sorted(found.items), found.left_out)


def events_part(events: Sequence[EventLine]) -> Portion[EventLine]:
    shorter = [replace(event, message=shortened(event.message, LONGEST_VALUE)) for event in events]
    return portion(shorter, lambda event: (event.message, event.actor), most_bytes=EVENTS_BYTES, most=MOST_EVENTS)


def differences_part(differences: Sequence[Message]) -> Portion[Message]:
    shorter = [shortened(difference, LONGEST_VALUE) for difference in differences]
    return portion(shorter, lambda difference: [difference], most_bytes=DIFFERENCES_BYTES)


def warnings_part(warnings: Sequence[Message]) -> list[Message]:
    """The newest, which come last."""
    shorter = [shortened(warning, LONGEST_VALUE) for warning in reversed(warnings)]
    return portion(shorter, lambda warning: [warning], most_bytes=WARNINGS_BYTES).items[::-1]


def linked_part(newest_first: Sequence[TicketLine]) -> Portion[TicketLine]:
    """The newest of the tickets that follow this one, the oldest of them first."""
    found = portion(
        newest_first,
        lambda line: (line.number or line.name, line.shown_name, line.archived_at, line.archived_at),
        most_bytes=LINKED_BYTES,
        most=MOST_LINKED,
    )
    return Portion(found.items[::-1], found.left_out)


def actions_part(actions: Sequence[tuple[str, str]]) -> Portion[tuple[str, str]]:
    """(control id, title) of the actions; the address of one holds its id."""
    return portion(actions, lambda one: (quote(one[0], safe=""), one[1]), most_bytes=ACTIONS_BYTES)
