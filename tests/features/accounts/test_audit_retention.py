"""Old entries go, the oldest first; the rest stays as it was."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from app.core.clock import SetClock
from app.core.database import Session
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.accounts.audit_retention import prune_before
from app.features.accounts.models import AuditEntry


async def _numbers(db: Session) -> list[str]:
    return [row.facts["number"] for row in (await db.execute(select(AuditEntry).order_by(AuditEntry.id))).scalars()]


async def test_entries_go_by_age_and_no_more_than_asked(db: Session, still_clock: SetClock) -> None:
    for number in range(5):
        await log_action(db, None, T("Counted"), number=number)
        await db.flush()
        still_clock.move(86_400)
    third_day = still_clock.now() - timedelta(days=2)
    assert await prune_before(db, third_day, limit=2) == 2
    assert await _numbers(db) == ["2", "3", "4"]
    assert await prune_before(db, third_day, limit=2) == 1
    assert await prune_before(db, third_day, limit=2) == 0
    assert await _numbers(db) == ["3", "4"]
