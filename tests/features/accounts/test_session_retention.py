"""Ended sessions go; open ones stay."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from app.core.clock import SetClock
from app.core.database import Session
from app.features.accounts.models import Person, WebSession
from app.features.accounts.session_retention import forget_ended_sessions


async def test_ended_sessions_go(db: Session, still_clock: SetClock) -> None:
    now = still_clock.now()
    person = Person(tid="t", oid="o", display_name="Lee", email="", last_signed_in_at=now)
    db.add(person)
    await db.flush()
    for hours in (-3, -2, -1, 1):
        ends = now + timedelta(hours=hours)
        db.add(
            WebSession(
                token_hash=str(hours), person_id=person.id, roles=[], created_at=now, expires_at=ends, last_used_at=now
            )
        )
    await db.flush()
    assert await forget_ended_sessions(db, now - timedelta(hours=1), limit=1) == 1
    assert await forget_ended_sessions(db, now - timedelta(hours=1), limit=10) == 1
    assert (await db.execute(select(func.count()).select_from(WebSession))).scalar_one() == 2
