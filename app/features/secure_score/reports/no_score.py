"""Explain why there is no score to show, and what to do about it. Reads rows, changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import ScalarSelect, case, or_, select

from app.core.database import Session
from app.core.messages import Message, T
from app.features.secure_score.models import ScoreSnapshot
from app.features.secure_score.sync.runs import RunLine, RunStatus, run_line, run_query
from app.resources import ProductConfig


@dataclass(frozen=True)
class NoScore:
    """What is missing, why, and what to do. `problem` is that of the last import, None unless it failed.

    `can_wait` is true where the score will come by itself, and false where a manager has to act.
    """

    title: Message
    why: Message
    problem: Message | None = None
    can_wait: bool = True


NOT_YET = T("No score yet")


async def why_no_score(session: Session, config: ProductConfig) -> NoScore:
    """Decided by the newest import. To be called only while there is no score. One statement."""
    tenant_id = config.shown_tenant_id
    query = run_query(tenant_id, 1).add_columns(newest_unreadable_day(tenant_id))
    row = (await session.execute(query)).one_or_none()
    run, unreadable = (run_line(row[0]), row[1]) if row is not None else (None, None)
    return reason(config, run, unreadable)


def reason(config: ProductConfig, run: RunLine | None, unreadable: date | None) -> NoScore:
    """Why there is no score, by the newest import and the day that cannot be read."""
    if unreadable is not None:
        return NoScore(
            T("No readable score"),
            T(
                "Microsoft’s score of %(day)s came without a readable total, so it cannot be shown. The next import may bring"
                " one; the warnings of the imports say what stood there.",
                day=unreadable,
            ),
        )
    if config.shown_tenant_id != config.tenant_id:
        return NoScore(
            NOT_YET,
            T(
                "These pages show the tenant %(tenant)s, whose scores come from files (SECURE_SCORE_TENANT_ID), and none was"
                " imported. Run “python -m app import” with Graph’s answers.",
                tenant=config.shown_tenant_id,
            ),
            can_wait=False,
        )
    if run is None:
        return NoScore(
            NOT_YET,
            T(
                "Nothing was imported from Microsoft Graph so far. The first import begins by itself within a minute after"
                " the background worker starts."
            ),
        )
    if run.in_progress:
        return NoScore(NOT_YET, T("The import from Microsoft Graph is under way. Load this page again in a moment."))
    if run.problem is not None:
        return NoScore(
            NOT_YET,
            T("The last import from Microsoft Graph did not bring a score. It is tried again by itself."),
            problem=run.problem,
            can_wait=run.status != RunStatus.FAILED,
        )
    # A tenant without a score answers `{"value": []}`, which is no error and not 0 %: docs/facts/microsoft-graph.md#edge-4
    return NoScore(
        NOT_YET,
        T(
            "Microsoft Graph answered, and has no score for your organisation. A new tenant gets its first one within a day;"
            " it is asked for every six hours."
        ),
    )


def newest_unreadable_day(tenant_id: str) -> ScalarSelect[date | None]:
    """The newest day, if its total could not be read: docs/facts/microsoft-graph.md#1-2-securescore."""
    is_unreadable = or_(ScoreSnapshot.points.is_(None), ScoreSnapshot.max_points.is_(None))
    newest = select(case((is_unreadable, ScoreSnapshot.day))).where(ScoreSnapshot.tenant_id == tenant_id)
    return newest.order_by(ScoreSnapshot.created_at.desc()).limit(1).scalar_subquery()
