"""Reads from ServiceNow's own words what a held ticket was refused for. Pure; decides by codes and vendor's words only.

The words are those of docs/facts/servicenow.md#2-6-error-envelope, which name the rule or the fields in the way.
"""

from __future__ import annotations

import re
from hashlib import sha256

from app.core.messages import Message
from app.core.text_limits import one_line
from app.features.tickets.delivery.visibility import refusal_message
from app.features.tickets.models import Ticket

# "Data Policy Exception: The following fields are mandatory: Caller, Category". The labels are in the instance's language.
MANDATORY = re.compile(r"(?:fields? (?:is|are) mandatory|mandatory fields? (?:is|are) not filled in)\s*:\s*(.+)", re.S)
# What is kept of the instance's words: integrations/servicenow/parse_response.py.
LONGEST_ERROR_TEXT = 500
MOST_FIELDS = 20
LONGEST_LABEL = 80


def missing_fields(remote_text: str) -> list[str]:
    """The labels of the mandatory fields that this refusal asks for, cleaned; none for a refusal of another kind."""
    found = MANDATORY.search(remote_text)
    if found is None:
        return []
    named = found.group(1).split(",")
    # A text of the greatest length was cut, perhaps in the middle of the last label.
    if len(remote_text) >= LONGEST_ERROR_TEXT and len(named) > 1:
        named.pop()
    labels = (one_line(re.sub(r"<[^>]*>", "", label)).strip(" .;:\"'") for label in named)
    return list(dict.fromkeys(label for label in labels if 0 < len(label) <= LONGEST_LABEL))[:MOST_FIELDS]


def cause_of(ticket: Ticket) -> str:
    """What refused it, the same for every ticket with that cause, also for those that were held unsent because of it."""
    if ticket.refusal_cause or not ticket.problem:
        return ticket.refusal_cause or ""
    refusal = innermost(Message.from_json(ticket.problem))
    return f"{refusal.code or ''} {refusal.values.get('reason', '')}".strip()


def innermost(problem: Message) -> Message:
    """The refusal itself, out of the sentences that name it as their reason."""
    found = refusal_message(problem)
    # What has a code of its own is a refusal, whatever it names as its reason.
    while found.code is None and isinstance(reason := found.values.get("reason"), Message):
        found = refusal_message(reason)
    return found


def cause_key(ticket: Ticket) -> str:
    """A short name for the cause, the connection and the kind, for forms. The order of missing fields makes no difference."""
    cause = cause_of(ticket)
    named = ", ".join(sorted(missing_fields(cause))) or cause
    return sha256(f"{ticket.connection_id} {ticket.kind} {named}".encode()).hexdigest()[:20]
