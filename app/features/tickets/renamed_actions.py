"""Let tickets follow actions whose controls Microsoft gave new ids. Sends nothing: ServiceNow's records keep their text."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from app.core.database import Session

# All tickets of all renames first, in the order in which everyone locks tickets: a delivery of some of them locks their rows of
# actions as well, each with its ticket (table_triggers.DATE_ACTIONS), and would wait for the rename that waits for it.
LOCK = (
    "SELECT id FROM ticket WHERE id IN (SELECT ticket_id FROM ticket_action WHERE control_id = ANY(:old_ids))"
    " ORDER BY id FOR NO KEY UPDATE"
)
# A ticket that names both ids keeps its row of the new one.
MOVES = (
    "UPDATE ticket_action moved SET control_id = :new WHERE control_id = :old AND NOT EXISTS (SELECT 1 FROM ticket_action other"
    " WHERE other.ticket_id = moved.ticket_id AND other.control_id = :new)",
    "DELETE FROM ticket_action WHERE control_id = :old",
)


async def follow_renames(session: Session, renames: Sequence[tuple[str, str]]) -> None:
    """From each old id to the new one. Keeps their tickets locked, so it comes last in its transaction."""
    await session.execute(text(LOCK), {"old_ids": [old_id for old_id, _ in renames]})
    for old_id, new_id in renames:
        for statement in MOVES:
            await session.execute(text(statement), {"old": old_id, "new": new_id})
