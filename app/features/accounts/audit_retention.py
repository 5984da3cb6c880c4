"""Delete audit entries that have been kept long enough. The only place where any are deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select

from app.core.database import Session
from app.features.accounts.models import AuditEntry


async def prune_before(session: Session, moment: datetime, *, limit: int) -> int:
    """Delete at most `limit` entries from before `moment`, the oldest first, and return how many."""
    # By their ids: what stays is then everything from one entry on, whatever the clock said when each was written.
    oldest = select(AuditEntry.id).where(AuditEntry.at < moment).order_by(AuditEntry.at, AuditEntry.id).limit(limit)
    deleted = await session.execute(delete(AuditEntry).where(AuditEntry.id.in_(oldest)))
    return cast(CursorResult[Any], deleted).rowcount
