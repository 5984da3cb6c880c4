"""Delete the records of imports that have been kept long enough, without those that later imports ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, or_, select
from sqlalchemy.orm import aliased

from app.core.database import Session
from app.features.secure_score.models import ImportRun
from app.features.secure_score.sync.runs import RunStatus

# The wait for the next import grows with the failures in a row, and no longer after fewer than these.
KEPT_FAILURES = 10
ENDED = (RunStatus.DONE, RunStatus.PARTIAL, RunStatus.FAILED)


async def forget_old_runs(session: Session, moment: datetime, *, limit: int) -> int:
    """Delete at most `limit` runs from before `moment`, and return how many.

    One stays while no later one tells the same: the newest complete one, the newest failures after it (from which the
    wait for the next import follows), and the one that says up to which day all is known.
    """
    later = aliased(ImportRun)
    after = select(later.id).where(
        later.tenant_id == ImportRun.tenant_id,
        later.source == ImportRun.source,
        later.asked_at > ImportRun.asked_at,
    )
    complete = after.where(later.status == RunStatus.DONE).exists()
    many_alike = after.where(later.status == ImportRun.status).offset(KEPT_FAILURES - 1).limit(1).exists()
    known = or_(ImportRun.known_until.is_(None), after.where(later.known_until >= ImportRun.known_until).exists())
    old = (
        select(ImportRun.id)
        .where(ImportRun.asked_at < moment, ImportRun.status.in_(ENDED), or_(complete, many_alike), known)
        .order_by(ImportRun.asked_at)
        .limit(limit)
    )
    deleted = await session.execute(delete(ImportRun).where(ImportRun.id.in_(old)))
    return cast(CursorResult[Any], deleted).rowcount
