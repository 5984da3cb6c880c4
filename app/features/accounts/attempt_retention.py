"""Deletes begun sign-ins that are of no use any more, and keeps their number bounded. Begins and ends none."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select

from app.core import clock
from app.core.database import Session
from app.features.accounts.models import SignInAttempt

# Retention: an attempt outlives its use, so that a late or second answer is told which of the two it is, and still finds the
# page that was wanted.
KEPT_MINUTES = 60
# Anyone may begin a sign-in, and each is a row of under a kilobyte. The oldest go first, which were given up.
MOST_ATTEMPTS = 10_000


async def sweep_attempts(session: Session) -> None:
    """At each beginning and each sign-in, so that no job is needed for it."""
    oldest_kept = clock.now() - timedelta(minutes=KEPT_MINUTES)
    await forget_sign_in_attempts(session, oldest_kept, limit=MOST_ATTEMPTS)
    too_many = select(SignInAttempt.id).order_by(SignInAttempt.expires_at.desc()).offset(MOST_ATTEMPTS)
    await session.execute(delete(SignInAttempt).where(SignInAttempt.id.in_(too_many)))


async def forget_sign_in_attempts(session: Session, moment: datetime, *, limit: int) -> int:
    """Delete at most `limit` attempts that expired before `moment`, and return how many."""
    expired = (
        select(SignInAttempt.id)
        .where(SignInAttempt.expires_at < moment)
        .order_by(SignInAttempt.expires_at)
        .limit(limit)
    )
    deleted = await session.execute(delete(SignInAttempt).where(SignInAttempt.id.in_(expired)))
    return cast(CursorResult[Any], deleted).rowcount
