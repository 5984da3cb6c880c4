"""What an administrator wants a new record to carry besides: the assignment group, and copies in columns of their own."""

from __future__ import annotations

from uuid import UUID

from app.core.database import Session
from app.features.connection.preferences import load_preferences
from app.features.tickets.sharing.record import LONGEST_DESCRIPTION, Requester, TicketRequest, clean, cut, one_line


async def with_own_columns(
    session: Session, connection_id: UUID, asked: TicketRequest, sender: Requester, fields: dict[str, str]
) -> dict[str, str]:
    """The fields of a record, with what this connection's preferences add; nothing that is there already is replaced."""
    preferences = await load_preferences(session, connection_id)
    items = {
        "requested_by": one_line(sender.oid),
        "name": fields["short_description"],
        "description": cut(clean(asked.description), LONGEST_DESCRIPTION),
        "priority": str(asked.priority),
        "due_date": fields["due_date"],
        "source": asked.source.value,
        "category": asked.category,
    }
    return preferences.extra_fields(asked.kind.value, items) | fields
