"""Call log for support: address, outcome and both sides' correlation numbers of the newest calls. Never their content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import delete, insert, select

from app.core import clock
from app.core.database import Session
from app.core.database_trouble import DATABASE_ERRORS
from app.core.logging import get_logger
from app.features.connection.models import CallRecord
from app.integrations.http.http_types import CallLogEntry
from app.resources import Resources

log = get_logger(__name__)

# Retention: a support case is opened within days, and a busy hour makes about a thousand calls.
KEPT_DAYS = 7
KEPT_CALLS = 10_000


async def keep_calls(resources: Resources) -> None:
    """Store the calls that this process has made since the last time. Never raises for the database."""
    # A record just made at ServiceNow must not be taken for a call that failed because its log could not be written.
    entries = taken_calls(resources)
    if not entries:
        return
    try:
        async with resources.database.transaction() as session:
            await store_calls(session, entries)
    except DATABASE_ERRORS as error:
        put_back_calls(resources, entries)
        log.warning("call_log.not_written", calls=len(entries), error=type(error).__name__)


def taken_calls(resources: Resources) -> list[CallLogEntry]:
    """The calls that wait to be stored, taken off the list."""
    waiting = resources.servicenow.recent
    return [waiting.popleft() for _ in range(len(waiting))]


def put_back_calls(resources: Resources, entries: Sequence[CallLogEntry]) -> None:
    resources.servicenow.recent.extendleft(reversed(entries))


async def store_calls(session: Session, entries: Sequence[CallLogEntry]) -> None:
    if entries:
        await session.execute(insert(CallRecord), [asdict(entry) for entry in entries])


async def newest_calls(session: Session, limit: int = 1000) -> list[CallLogEntry]:
    rows = await session.execute(select(CallRecord).order_by(CallRecord.id.desc()).limit(limit))
    names = CallLogEntry.__dataclass_fields__
    return [CallLogEntry(**{name: getattr(row, name) for name in names}) for row in rows.scalars()]


async def forget_old_calls(session: Session) -> None:
    oldest_kept = select(CallRecord.id).order_by(CallRecord.id.desc()).offset(KEPT_CALLS).limit(1).scalar_subquery()
    await session.execute(delete(CallRecord).where(CallRecord.at < clock.now() - timedelta(days=KEPT_DAYS)))
    await session.execute(delete(CallRecord).where(CallRecord.id <= oldest_kept))
