"""Delete sessions and sign-in attempts that are over. The moment says how long ago."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select

from app.core.database import Session
from app.features.accounts.models import SignInAttempt, WebSession


# Retention: a session outlives its end, so that what is posted with its cookie afterwards is known to be this person's.
async def forget_ended_sessions(session: Session, moment: datetime, *, limit: int) -> int:
    """Delete at most `limit` sessions that ended before `moment`, and return how many."""
    ended = select(WebSession.id).where(WebSession.expires_at < moment).order_by(WebSession.expires_at).limit(limit)
    return _count(await session.execute(delete(WebSession).where(WebSession.id.in_(ended))))


async def forget_sign_in_attempts(session: Session, moment: datetime, *, limit: int) -> int:
    """Delete at most `limit` attempts that expired before `moment`, and return how many."""
    expired = (
        select(SignInAttempt.id)
        .where(SignInAttempt.expires_at < moment)
        .order_by(SignInAttempt.expires_at)
        .limit(limit)
    )
    return _count(await session.execute(delete(SignInAttempt).where(SignInAttempt.id.in_(expired))))


def _count(deleted: object) -> int:
    return cast(CursorResult[Any], deleted).rowcount
