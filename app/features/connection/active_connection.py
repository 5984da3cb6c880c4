"""Finds the one connection in use, and says why none is usable. Reads rows only."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from app.core.database import Session
from app.core.errors import NeedsAttention
from app.core.messages import Message, T
from app.features.connection.models import Connection, ConnectionStatus


class NotConnected(NeedsAttention):
    """There is no connection, or it waits for a person."""

    default = T("ServiceNow is not connected. An administrator connects it on the ServiceNow page.")


async def active_connection(session: Session) -> Connection | None:
    """The one connection that is not removed, healthy or not. A partial unique index keeps it the only one."""
    found = await session.execute(select(Connection).where(Connection.status != ConnectionStatus.REMOVED))
    return found.scalar_one_or_none()


async def usable_connection(session: Session, connection_id: UUID | None = None, *, lock: bool = False) -> Connection:
    """The active connection, if calls may be made with it; with `connection_id`, only if it is that one.

    `lock` holds its row until the transaction ends. Raises NotConnected, with what a person must do where that is known.
    """
    query = select(Connection).where(Connection.status != ConnectionStatus.REMOVED)
    if connection_id is not None:
        query = query.where(Connection.id == connection_id)
    if lock:
        query = query.with_for_update()
    connection = (await session.execute(query)).scalar_one_or_none()
    # Removed, or replaced by a connection to another instance, since the caller read its id.
    if connection is None:
        raise NotConnected
    if connection.status != ConnectionStatus.CONNECTED:
        raise NotConnected(Message.from_json(connection.attention) if connection.attention else None)
    return connection
