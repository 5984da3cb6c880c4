"""Keeps the newest calls to ServiceNow for support: where to, how they ended, both sides' numbers. Never their content."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from app.core import clock
from app.core.database import Session
from app.core.logging import get_logger
from app.features.connection.models import CallRecord
from app.integrations.http.http_types import CallLogEntry
from app.resources import Resources

log = get_logger(__name__)

KEPT_DAYS = 7
KEPT_CALLS = 10_000


async def keep_calls(resources: Resources) -> None:
    """Write down the calls that this process has made since the last time.

    Never raises: whoever just made a record at ServiceNow must not take a log that failed for a call that failed.
    """
    waiting = resources.servicenow.recent
    notes = [waiting.popleft() for _ in range(len(waiting))]
    if not notes:
        return
    try:
        async with resources.database.transaction() as session:
            await session.execute(insert(CallRecord), [asdict(note) for note in notes])
    except SQLAlchemyError as error:
        waiting.extendleft(reversed(notes))
        log.warning("calls could not be written down", calls=len(notes), why=type(error).__name__)


async def newest_calls(session: Session, limit: int = 1000) -> list[CallLogEntry]:
    """The newest first."""
    rows = await session.execute(select(CallRecord).order_by(CallRecord.id.desc()).limit(limit))
    names = CallLogEntry.__dataclass_fields__
    return [CallLogEntry(**{name: getattr(row, name) for name in names}) for row in rows.scalars()]


async def forget_old_calls(session: Session) -> None:
    """Delete what is older than a week, and all but the newest ten thousand."""
    oldest_kept = select(CallRecord.id).order_by(CallRecord.id.desc()).offset(KEPT_CALLS).limit(1).scalar_subquery()
    await session.execute(delete(CallRecord).where(CallRecord.at < clock.now() - timedelta(days=KEPT_DAYS)))
    await session.execute(delete(CallRecord).where(CallRecord.id <= oldest_kept))
