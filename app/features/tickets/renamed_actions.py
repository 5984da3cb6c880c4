"""Let tickets follow an action whose control Microsoft gave a new id. Sends nothing: ServiceNow's records keep their text."""

from __future__ import annotations

from sqlalchemy import text

from app.core.database import Session

# A ticket that names both ids keeps its row of the new one.
MOVES = (
    "UPDATE ticket_action moved SET control_id = :new WHERE control_id = :old AND NOT EXISTS (SELECT 1 FROM ticket_action other"
    " WHERE other.ticket_id = moved.ticket_id AND other.control_id = :new)",
    "DELETE FROM ticket_action WHERE control_id = :old",
)


async def follow_rename(session: Session, old_id: str, new_id: str) -> None:
    for statement in MOVES:
        await session.execute(text(statement), {"old": old_id, "new": new_id})
