"""What tickets are made of: kinds, deliveries, state categories, sources and priorities. Reads nothing.

Everything in which a change request and an incident differ is a field of `KindSpec`; nothing else decides by kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.core.messages import Message, T
from app.integrations.servicenow.schemas import Table


class TicketKind(StrEnum):
    """What a ticket is in ServiceNow. The value is stored, and part of addresses and form fields."""

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


class Absence(StrEnum):
    """Why a record that was shared is not shown to us. Its last known state says nothing of the work any more."""

    HIDDEN = "hidden"
    DELETED = "deleted"
    NOT_SHOWN = "not_shown"
    MOVED = "moved"


@dataclass(frozen=True)
class DefaultState:
    """A state as ServiceNow delivers it. `label` is None for codes that are kept for old records and never offered."""

    category: StateCategory
    label: Message | None = None


@dataclass(frozen=True)
class KindSpec:
    """All that a ticket kind decides.

    `priority_columns` maps each priority that exists to the columns and values that produce it in ServiceNow.
    `states` maps ServiceNow's state codes to their default meaning; an administrator may name them otherwise.
    `writer_roles` are the roles of which one allows creating records; `least_role` is the smallest of them.
    """

    kind: TicketKind
    table: Table
    marker: str
    title: Message
    plural: Message
    card_title: Message
    states_title: Message
    columns_title: Message
    values_title: Message
    step_title: Message
    table_title: Message
    priority_columns: Mapping[int, Mapping[str, str]]
    priority_problem: Message
    states: Mapping[str, DefaultState]
    writer_roles: frozenset[str]
    least_role: str

    @property
    def lowest_priority(self) -> int:
        """The least urgent priority of this kind; 1 is the most urgent."""
        return max(self.priority_columns)

    @property
    def priority_is_derived(self) -> bool:
        """Whether ServiceNow computes the priority from other columns, so that it may differ from the one asked for."""
        return all("priority" not in columns for columns in self.priority_columns.values())


KINDS: dict[TicketKind, KindSpec] = {
    TicketKind.CHANGE: KindSpec(
        kind=TicketKind.CHANGE,
        table="change_request",
        # The title that the retired connector gave its records. A marker is data: sent, searched for, never translated.
        # docs/facts/servicenow.md#9-microsoft-s-own-connector-what-we-mirror
        marker="Microsoft 365 Security and Configuration Change Request",
        title=T("Change request"),
        plural=T("change requests"),
        card_title=T("ServiceNow change management"),
        states_title=T("State names of change requests"),
        columns_title=T("Columns of change requests"),
        values_title=T("Field values of change requests"),
        step_title=T("Change requests: read, create, change"),
        table_title=T("Table of change requests"),
        # No lookup decides a change's priority, and there is no fifth one.
        # docs/facts/servicenow.md#4-2-change-request
        priority_columns={priority: {"priority": str(priority)} for priority in (1, 2, 3, 4)},
        priority_problem=T("A change request has no priority Planning. Choose Low, or make it an incident."),
        # 0 is Review, a real and open state that a truthiness test loses (docs/facts/servicenow.md#trap-10). 1, 2 and 7
        # are codes from before the state model; 3 was "Closed Complete" and 4 "Closed Incomplete" then.
        # docs/facts/servicenow.md#4-2-change-request
        states={
            "-5": DefaultState(StateCategory.NEW, T("New")),
            "-4": DefaultState(StateCategory.PROGRESS, T("Assess")),
            "-3": DefaultState(StateCategory.WAITING, T("Authorize")),
            "-2": DefaultState(StateCategory.WAITING, T("Scheduled")),
            "-1": DefaultState(StateCategory.PROGRESS, T("Implement")),
            "0": DefaultState(StateCategory.PROGRESS, T("Review")),
            "1": DefaultState(StateCategory.NEW),
            "2": DefaultState(StateCategory.PROGRESS),
            "3": DefaultState(StateCategory.DONE, T("Closed")),
            "4": DefaultState(StateCategory.CANCELED, T("Canceled")),
            "7": DefaultState(StateCategory.CANCELED),
        },
        # docs/facts/servicenow.md#3-6-roles-for-the-integration-user
        writer_roles=frozenset({"admin", "itil", "sn_change_write", "change_manager"}),
        least_role="sn_change_write",
    ),
    TicketKind.INCIDENT: KindSpec(
        kind=TicketKind.INCIDENT,
        table="incident",
        marker="Microsoft 365 Security and Configuration Incident",
        title=T("Incident"),
        plural=T("incidents"),
        card_title=T("ServiceNow incident management"),
        states_title=T("State names of incidents"),
        columns_title=T("Columns of incidents"),
        values_title=T("Field values of incidents"),
        step_title=T("Incidents: read, create, change"),
        table_title=T("Table of incidents"),
        # ServiceNow looks an incident's priority up from impact and urgency, and overwrites one that is sent alone. Of
        # the pairs that lead to a priority, these are the even ones. docs/facts/servicenow.md#4-1-incident
        priority_columns={
            1: {"impact": "1", "urgency": "1"},
            2: {"impact": "1", "urgency": "2"},
            3: {"impact": "2", "urgency": "2"},
            4: {"impact": "2", "urgency": "3"},
            5: {"impact": "3", "urgency": "3"},
        },
        priority_problem=T("Choose one of the list."),
        # docs/facts/servicenow.md#4-1-incident
        states={
            "1": DefaultState(StateCategory.NEW, T("New")),
            "2": DefaultState(StateCategory.PROGRESS, T("In Progress")),
            "3": DefaultState(StateCategory.WAITING, T("On Hold")),
            # Resolved ends the work, although the caller may still reopen it before it closes by itself.
            "6": DefaultState(StateCategory.DONE, T("Resolved")),
            "7": DefaultState(StateCategory.DONE, T("Closed")),
            "8": DefaultState(StateCategory.CANCELED, T("Canceled")),
        },
        # docs/facts/servicenow.md#3-6-roles-for-the-integration-user
        writer_roles=frozenset({"admin", "itil", "sn_incident_write"}),
        least_role="sn_incident_write",
    ),
}
# Proposed unless an administrator decided otherwise: the retired connector made change requests.
DEFAULT_KIND = TicketKind.CHANGE

# Columns of KINDS that are read most, by kind.
TABLES: dict[TicketKind, Table] = {kind: spec.table for kind, spec in KINDS.items()}
MARKERS: dict[TicketKind, str] = {kind: spec.marker for kind, spec in KINDS.items()}
KIND_NAMES: dict[TicketKind, Message] = {kind: spec.title for kind, spec in KINDS.items()}

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
ABSENCE_NAMES: dict[Absence, Message] = {
    Absence.HIDDEN: T("Hidden in ServiceNow"),
    Absence.DELETED: T("Deleted in ServiceNow"),
    Absence.NOT_SHOWN: T("Not shown by ServiceNow"),
    Absence.MOVED: T("Moved in ServiceNow"),
}
CLOSED_CATEGORIES = frozenset({StateCategory.DONE, StateCategory.CANCELED})

# ServiceNow's own five names. docs/facts/servicenow.md#4-1-incident
PRIORITY_NAMES: dict[int, Message] = {
    1: T("Critical"),
    2: T("High"),
    3: T("Moderate"),
    4: T("Low"),
    5: T("Planning"),
}


def priority_name(value: str) -> Message:
    """One of our priorities, or of ServiceNow's, in words; an unknown one by its value."""
    known = PRIORITY_NAMES.get(int(value)) if value.isascii() and value.isdigit() else None
    return known or T("%(value)s", value=value or "–")


# Own jobs of a bulk share's tickets run after single shares and polls: the queue takes higher priorities first.
BULK_PRIORITY = -10
