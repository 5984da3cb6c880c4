"""The score as the home page shows it, in columns that any statement can read along: days, last import, why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, select

from app.core import clock
from app.core.database import Session
from app.core.nested_rows import nested, number_of
from app.features.secure_score.reports.day_scores import day_query, days_of
from app.features.secure_score.reports.freshness import RECENT_IMPORT
from app.features.secure_score.reports.no_score import NoScore, newest_unreadable_day, reason
from app.features.secure_score.reports.score_summary import PLOT_DAYS, ScoreCard, card_of, count_regressed
from app.features.secure_score.sync.runs import (
    HEARTBEAT_TIMEOUT,
    RunLine,
    RunStatus,
    last_sync,
    newest_run,
    run_line,
    stored_run,
)
from app.resources import ProductConfig


@dataclass(frozen=True)
class HomeScore:
    """`card` is None while there is no score; `why_none` says why then. `run` is the newest import.

    `true_until` is when it will be another although nothing was written; None is midnight.
    """

    card: ScoreCard | None
    run: RunLine | None
    why_none: NoScore
    true_until: datetime | None = None


def score_columns(tenant_id: str) -> tuple[ColumnElement[Any], ...]:
    """What `score_of` is made of. They need no table of the statement around them."""
    return (
        nested(day_query(tenant_id, PLOT_DAYS)),
        count_regressed(tenant_id),
        last_sync(tenant_id),
        nested(newest_run(tenant_id)),
        newest_unreadable_day(tenant_id),
    )


def score_of(config: ProductConfig, values: Sequence[Any]) -> HomeScore:
    """From the values of `score_columns`."""
    days, regressed, synced, runs, unreadable = values
    stored = next(map(stored_run, runs), None)
    run = run_line(stored) if stored is not None else None
    card = card_of(days_of(map(_day, days)), regressed=regressed, synced=synced)
    # When an old score is not Microsoft's doing any more, and when a running import is taken for dead.
    ends = [synced + RECENT_IMPORT] if synced is not None else []
    if stored is not None and stored.status == RunStatus.RUNNING and stored.heard_at is not None:
        ends.append(stored.heard_at + HEARTBEAT_TIMEOUT)
    true_until = min((end for end in ends if end >= clock.now()), default=None)
    return HomeScore(card, run, reason(config, run, unreadable), true_until)


async def home_score(session: Session, config: ProductConfig) -> HomeScore:
    """The same in a statement of its own."""
    row = (await session.execute(select(*score_columns(config.shown_tenant_id)))).one()
    return score_of(config, row)


def _day(row: Mapping[str, Any]) -> SimpleNamespace:
    """A row as JSON tells it."""
    points = {name: number_of(row[name]) for name in ("points", "max_points")}
    return SimpleNamespace(**{**row, **points, "day": date.fromisoformat(row["day"])})
