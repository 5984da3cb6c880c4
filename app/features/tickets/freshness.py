"""Says how old what we show is, and why it is older than it should be. Calls nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.features.connection.access import active_connection
from app.features.tickets.models import Pace, RefreshCursor
from app.foundation import clock
from app.foundation.database import Session
from app.foundation.text import T, Text

# The refresh runs each minute; what is older than this needs an explanation.
STALE_AFTER = timedelta(minutes=6)


@dataclass(frozen=True)
class Freshness:
    """`as_of` is when ServiceNow last told us everything; `problem` why it is not fresher, None while it is fresh."""

    as_of: datetime | None
    problem: Text | None


async def freshness_of(session: Session, kind: str) -> Freshness:
    """How old the tickets of this kind are at the active connection."""
    connection = await active_connection(session)
    if connection is None:
        return Freshness(None, T("ServiceNow is not connected, so states are as they were last seen."))
    cursor = await session.get(RefreshCursor, (connection.id, kind))
    as_of = cursor.succeeded_at if cursor else None
    if connection.status == "needs_attention":
        needed = T("Somebody has to authorize the connection to ServiceNow again.")
        return Freshness(as_of, Text.from_json(connection.attention) if connection.attention else needed)
    pace = await session.get(Pace, connection.id)
    if pace and pace.paused_until and pace.paused_until > clock.now():
        return Freshness(as_of, Text.from_json(pace.reason) if pace.reason else None)
    if cursor is not None and cursor.problem:
        return Freshness(as_of, Text.from_json(cursor.problem))
    if as_of is not None and as_of < clock.now() - STALE_AFTER:
        return Freshness(as_of, T("The background worker has not asked ServiceNow since then. Check that it runs."))
    return Freshness(as_of, None)
