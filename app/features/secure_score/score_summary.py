"""The score as a card. A placeholder until the room's own reading of its tables is here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from app.foundation.database import Session


@dataclass(frozen=True)
class ScoreCard:
    """The newest score, its change against 30 days before, and the 90 days of the small plot."""

    percent: float | None
    points: float
    max_points: float
    day: date
    change_points: float | None
    days: list[str]
    values: list[float | None]
    regressed: int
    synced_at: datetime | None


async def score_card(session: Session, tenant_id: str) -> ScoreCard | None:  # noqa: ARG001
    """The card, or None before the first import."""
    return None
