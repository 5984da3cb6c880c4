"""The words for tickets that every other file here uses: kinds, deliveries, groups, priorities. Reads nothing."""

from __future__ import annotations

from enum import StrEnum

from app.core.messages import Message, T
from app.integrations.servicenow.schemas import Table


class TicketKind(StrEnum):
    """What a ticket is in ServiceNow."""

    CHANGE = "change"
    INCIDENT = "incident"


class Delivery(StrEnum):
    """`QUEUED` is on its way, `HELD` waits for a person, `GIVEN_UP` is kept and never sent."""

    QUEUED = "queued"
    SHARED = "shared"
    HELD = "held"
    GIVEN_UP = "given_up"


class StateCategory(StrEnum):
    """What a state means for the work; only `DONE` and `CANCELED` end it, and `UNKNOWN` never counts as done."""

    NEW = "new"
    PROGRESS = "progress"
    WAITING = "waiting"
    DONE = "done"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


class TicketSource(StrEnum):
    """Who recommends the task; the value is what is sent."""

    MICROSOFT = "Microsoft recommendation"
    USER = "User recommendation"


TABLES: dict[TicketKind, Table] = {TicketKind.CHANGE: "change_request", TicketKind.INCIDENT: "incident"}
# What ServiceNow shows beside the record, and what the refresh asks for. Never translated.
MARKERS = {
    TicketKind.CHANGE: "Microsoft 365 Security and Configuration Change Request",
    TicketKind.INCIDENT: "Microsoft 365 Security and Configuration Incident",
}
KIND_NAMES: dict[TicketKind, Message] = {TicketKind.CHANGE: T("Change request"), TicketKind.INCIDENT: T("Incident")}
STATE_CATEGORY_NAMES: dict[StateCategory, Message] = {
    StateCategory.NEW: T("New"),
    StateCategory.PROGRESS: T("In progress"),
    StateCategory.WAITING: T("Waiting"),
    StateCategory.DONE: T("Done"),
    StateCategory.CANCELED: T("Canceled"),
    StateCategory.UNKNOWN: T("Unknown"),
}
DELIVERY_NAMES: dict[Delivery, Message] = {
    Delivery.QUEUED: T("On its way"),
    Delivery.SHARED: T("Shared"),
    Delivery.HELD: T("Held"),
    Delivery.GIVEN_UP: T("Given up"),
}
CLOSED_CATEGORIES = frozenset({StateCategory.DONE, StateCategory.CANCELED})

# ServiceNow's own priorities. A change request has no fifth (facts/servicenow 4.2).
PRIORITY_NAMES: dict[int, Message] = {
    1: T("Critical"),
    2: T("High"),
    3: T("Moderate"),
    4: T("Low"),
    5: T("Planning"),
}
LOWEST_CHANGE_PRIORITY = 4


def priority_name(value: str) -> Message:
    """A priority of ours, or of ServiceNow, in words; one we do not know by its own value."""
    known = PRIORITY_NAMES.get(int(value)) if value.isascii() and value.isdigit() else None
    return known or T("%(value)s", value=value or "–")


# Jobs of a bulk share run after single shares and polls: the queue takes higher priorities first.
BULK_PRIORITY = -10
