"""Decides what an administrator's fixed values and the type of a change add to a new record. Pure.

Also says which columns are not for an administrator to fix, because the product or the instance fills them.
"""

from __future__ import annotations

from app.core.errors import InvalidInput
from app.core.messages import Message, T
from app.features.connection.preferences import Preferences
from app.features.tickets.ticket_fields import FIELDS, TicketRequest, column_labels
from app.features.tickets.types import KINDS, TicketKind

# What decides the process of a change request. docs/facts/servicenow.md#4-2-change-request
CHANGE_TYPE_COLUMNS = ("type", "chg_model")
# By these two a record is found again, and recognized as ours. docs/facts/servicenow.md#6-idempotency
OUR_MARKS = ("correlation_id", "correlation_display")
# Filled by the instance itself. Of a state we never write one: business rules refuse illegal transitions, and a closing
# state asks for fields that differ from site to site. docs/facts/servicenow.md#4-2-change-request
INSTANCE_COLUMNS = frozenset({"number", "state", "incident_state", "active", "opened_at", "opened_by", "closed_at"})


def fixed_columns(request: TicketRequest, preferences: Preferences) -> dict[str, str]:
    """The fixed values of this kind, and the type or model of a change request."""
    values = {column: one.value for column, one in preferences.field_values.get(request.kind, {}).items()}
    return values | _change_type_column(request, preferences)


def _change_type_column(request: TicketRequest, preferences: Preferences) -> dict[str, str]:
    if request.kind is not TicketKind.CHANGE:
        return {}
    # One that is no longer offered gives way to the administrator's.
    chosen = preferences.change_type_of(request.change_type) or preferences.change_type
    return {chosen.column: chosen.value}


def check_change_type(request: TicketRequest, preferences: Preferences) -> None:
    """Raises InvalidInput for a type that is not offered to those who share."""
    if request.kind is TicketKind.CHANGE and preferences.change_type_of(request.change_type) is None:
        raise InvalidInput(fields={"change_type": T("Choose one of the list.")})


def composed_columns(kind: TicketKind) -> frozenset[str]:
    """The columns that a ticket of this kind fills with what was asked for, and with our marks."""
    asked = {column for one in FIELDS if one.name != "priority" for column in one.columns}
    priorities = {column for columns in KINDS[kind].priority_columns.values() for column in columns}
    return frozenset(asked | priorities | set(OUR_MARKS))


def why_not_fixed(kind: TicketKind, column: str, preferences: Preferences) -> Message | None:
    """Why this column cannot have a fixed value; None when it can, as far as its name tells."""
    name = column_labels().get(column) or column
    if column in composed_columns(kind):
        return T("The security center sends %(column)s with every ticket, so it cannot be fixed.", column=name)
    # ServiceNow overwrites it: docs/facts/servicenow.md#4-1-incident
    if column == "priority":
        return T("ServiceNow works the priority out from impact and urgency, so it cannot be fixed.")
    if column == "assignment_group":
        return T("Choose the assignment group under Defaults for new tickets.")
    if column in CHANGE_TYPE_COLUMNS and kind is TicketKind.CHANGE:
        return T("Choose the type or model under Change type.")
    if column in preferences.columns.get(kind, {}).values():
        return T("This column takes a copy of a data item, so it cannot be fixed as well.")
    if column in INSTANCE_COLUMNS or column.startswith("sys_"):
        return T("ServiceNow fills %(column)s itself.", column=name)
    return None
