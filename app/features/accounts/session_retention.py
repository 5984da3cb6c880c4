"""Delete sessions that ended before a moment. Ends none."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select

from app.core.database import Session
from app.features.accounts.models import WebSession


# Retention: a session outlives its end, so that what is posted with its cookie afterwards is known to be this person's.
async def forget_ended_sessions(session: Session, moment: datetime, *, limit: int) -> int:
    """Delete at most `limit` sessions that ended before `moment`, and return how many."""
    ended = select(WebSession.id).where(WebSession.expires_at < moment).order_by(WebSession.expires_at).limit(limit)
    deleted = await session.execute(delete(WebSession).where(WebSession.id.in_(ended)))
    return cast(CursorResult[Any], deleted).rowcount
