"""Say when the newest score is old, unreadable or left out. Judges the score's day, not the import's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import func, select

from app.core.database import Session
from app.core.messages import Message, T
from app.features.secure_score.models import ScoreSnapshot
from app.features.secure_score.reports.day_scores import DayScore
from app.features.secure_score.sync.runs import last_sync

# Days. Microsoft makes one score a day, after the day has ended, and one can be a day late.
# docs/facts/microsoft-graph.md#1-8-freshness-change-history-outlook
OLDEST_CURRENT_SCORE = 3
# The import runs every six hours; one that succeeded within this time would have brought a newer score.
RECENT_IMPORT = timedelta(hours=36)


def age_in_days(day: date, now: datetime) -> int:
    return (now.date() - day).days


def is_stale(day: date, now: datetime) -> bool:
    """Whether Microsoft should have made a newer score by now."""
    return age_in_days(day, now) > OLDEST_CURRENT_SCORE


def staleness(day: date, synced_at: datetime | None, now: datetime) -> Message | None:
    """That the newest score is old, and whether that is Microsoft's doing or ours; None while it is not."""
    if not is_stale(day, now):
        return None
    days = age_in_days(day, now)
    if synced_at is not None and now - synced_at <= RECENT_IMPORT:
        return T("Microsoft’s newest score is %(days)s days old. It normally makes one a day.", days=days)
    if synced_at is None:
        return T("The newest score is %(days)s days old.", days=days)
    return T(
        "The newest score is %(days)s days old: nothing has been imported since %(day)s.",
        days=days,
        day=synced_at.date(),
    )


async def newest_staleness(session: Session, tenant_id: str, now: datetime) -> Message | None:
    """`staleness` of what is stored; None also while there is no score."""
    newest = select(func.max(ScoreSnapshot.day)).where(
        ScoreSnapshot.tenant_id == tenant_id, ScoreSnapshot.points.is_not(None), ~ScoreSnapshot.is_gap
    )
    found = await session.execute(select(newest.scalar_subquery(), last_sync(tenant_id)))
    day: date | None
    day, synced_at = found.one()
    if day is None:
        return None
    return staleness(day, synced_at, now)


def notices(days: Sequence[DayScore], shown: date, synced_at: datetime | None, now: datetime) -> tuple[Message, ...]:
    """What a reader of the score of the day `shown` has to know. `days` are all days, oldest first."""
    found: list[Message] = []
    newer = [day for day in days if day.day > shown]
    if unreadable := [day for day in newer if not day.is_gap]:
        found.append(
            T(
                "The score of %(newest)s came without a readable total, so this is the one of %(shown)s.",
                newest=unreadable[-1].day,
                shown=shown,
            )
        )
    found += [
        T(
            "On %(day)s every action came with 0 points. That is probably a gap in Microsoft’s data, so the day is left out.",
            day=day.day,
        )
        for day in newer
        if day.is_gap
    ]
    if (stale := staleness(shown, synced_at, now)) is not None and not newer:
        found.append(stale)
    return tuple(found)
