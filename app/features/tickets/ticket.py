"""The words for tickets that every other file here uses: kinds, deliveries, groups, priorities. Reads nothing."""

from __future__ import annotations

from enum import StrEnum

from app.foundation.text import T, Text
from app.remote.servicenow.shapes import Table


class Kind(StrEnum):
    """What a ticket is in ServiceNow."""

    CHANGE = "change"
    INCIDENT = "incident"


class Delivery(StrEnum):
    """`QUEUED` is on its way, `HELD` waits for a person, `GIVEN_UP` is kept and never sent."""

    QUEUED = "queued"
    SHARED = "shared"
    HELD = "held"
    GIVEN_UP = "given_up"


class Group(StrEnum):
    """What a state means for the work; only `DONE` and `CANCELED` end it, and `UNKNOWN` never counts as done."""

    NEW = "new"
    PROGRESS = "progress"
    WAITING = "waiting"
    DONE = "done"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


class Source(StrEnum):
    """Who recommends the task; the value is what is sent."""

    MICROSOFT = "Microsoft recommendation"
    USER = "User recommendation"


TABLES: dict[Kind, Table] = {Kind.CHANGE: "change_request", Kind.INCIDENT: "incident"}
# What ServiceNow shows beside the record, and what the refresh asks for. Never translated.
MARKERS = {
    Kind.CHANGE: "Microsoft 365 Security and Configuration Change Request",
    Kind.INCIDENT: "Microsoft 365 Security and Configuration Incident",
}
KIND_NAMES: dict[Kind, Text] = {Kind.CHANGE: T("Change request"), Kind.INCIDENT: T("Incident")}
GROUP_NAMES: dict[Group, Text] = {
    Group.NEW: T("New"),
    Group.PROGRESS: T("In progress"),
    Group.WAITING: T("Waiting"),
    Group.DONE: T("Done"),
    Group.CANCELED: T("Canceled"),
    Group.UNKNOWN: T("Unknown"),
}
DELIVERY_NAMES: dict[Delivery, Text] = {
    Delivery.QUEUED: T("On its way"),
    Delivery.SHARED: T("Shared"),
    Delivery.HELD: T("Held"),
    Delivery.GIVEN_UP: T("Given up"),
}
CLOSED_GROUPS = frozenset({Group.DONE, Group.CANCELED})

# ServiceNow's own priorities. A change request has no fifth (facts/servicenow 4.2).
PRIORITY_NAMES: dict[int, Text] = {
    1: T("Critical"),
    2: T("High"),
    3: T("Moderate"),
    4: T("Low"),
    5: T("Planning"),
}
LOWEST_CHANGE_PRIORITY = 4


def priority_name(value: str) -> Text:
    """A priority of ours, or of ServiceNow, in words; one we do not know by its own value."""
    known = PRIORITY_NAMES.get(int(value)) if value.isascii() and value.isdigit() else None
    return known or T("%(value)s", value=value or "–")
