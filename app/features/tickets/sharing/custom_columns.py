"""Decides what an administrator's preferences add to a new record: group and copies in custom columns. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.features.connection.preferences import Preferences
from app.features.tickets.ticket_fields import FIELDS, Requester, TicketField, TicketRequest, copied_fields


def custom_columns(
    request: TicketRequest, requester: Requester, preferences: Preferences, fields: Sequence[TicketField] = FIELDS
) -> dict[str, str]:
    """Columns of the instance's own with the data items that are copied to them, and the assignment group."""
    chosen = preferences.columns.get(request.kind, {})
    copies = {
        chosen[name]: one.value(request, requester) for name, one in copied_fields(fields).items() if name in chosen
    }
    # The group's sys_id: a reference is written by id, because names are not unique.
    # docs/facts/servicenow.md#4-3-shared-task-fields
    return copies | ({"assignment_group": preferences.group_id} if preferences.group_id else {})
