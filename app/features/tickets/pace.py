"""How gently one instance is treated by all processes together. Calls nothing."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from app.features.tickets.models import Pace
from app.foundation.database import Session


async def pace_of(session: Session, connection_id: UUID) -> Pace:
    """The connection's row, locked until the transaction ends; made when there is none."""
    await session.execute(insert(Pace).values(connection_id=connection_id).on_conflict_do_nothing())
    return await session.get_one(Pace, connection_id, with_for_update=True)
