"""Find improvement actions for tickets and pages, by tenant and Graph's control id. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from app.core.database import Session
from app.core.errors import NotFound
from app.core.messages import T
from app.features.secure_score.actions.action_rows import ActionLine, Row, load_lines
from app.features.secure_score.html_text import plain_text
from app.features.secure_score.vocabulary import Category

NO_SUCH_ACTION = T("There is no improvement action with this id. It may not have been imported yet.")


@dataclass(frozen=True)
class Action:
    """What a ticket is made from. Points are None when unknown; `category` is None when Graph's is none of the five.

    `description`, `remediation` and `remediation_impact` (what users notice; empty where Microsoft says "None.") are
    plain text, made from Graph's HTML. `score_impact` is in per cent of the tenant's maximum.
    """

    control_id: str
    title: str
    product: str
    category: Category | None
    points: float | None
    max_points: float | None
    score_impact: float | None
    rank: int | None
    description: str
    remediation: str
    remediation_impact: str
    threats: tuple[str, ...]


async def find_action(session: Session, tenant_id: str, control_id: str) -> Action:
    """Raises NotFound. The id has to match exactly, because some differ by case alone.

    Source: docs/facts/microsoft-graph.md#edge-27
    """
    found = await find_actions(session, tenant_id, [control_id])
    if not found:
        raise NotFound(NO_SUCH_ACTION)
    return found[0]


async def find_actions(session: Session, tenant_id: str, control_ids: Sequence[str]) -> list[Action]:
    """The actions of these ids that exist, each once, in the given order."""
    wanted = list(dict.fromkeys(control_ids))
    lines = {line.control_id: line for line in await load_lines(session, tenant_id, wanted)}
    texts = await session.execute(
        select(Row.control_id, Row.description, Row.remediation, Row.remediation_impact).where(
            Row.tenant_id == tenant_id, Row.control_id.in_(wanted)
        )
    )
    by_id = {row.control_id: row for row in texts}
    # A thousand may be shared at once, and their texts are parsed while others go on.
    return await asyncio.to_thread(
        lambda: [
            _action(lines[key], by_id[key].description, by_id[key].remediation, by_id[key].remediation_impact)
            for key in wanted
            if key in lines and key in by_id
        ]
    )


def _action(line: ActionLine, description: str, remediation: str, remediation_impact: str) -> Action:
    impact = plain_text(remediation_impact)
    return Action(
        control_id=line.control_id,
        title=line.title,
        product=line.product,
        category=line.category,
        points=line.points,
        max_points=line.max_points,
        score_impact=line.score_impact,
        rank=line.rank,
        description=plain_text(description),
        remediation=plain_text(remediation),
        # Most profiles say "None." instead of nothing: docs/facts/microsoft-graph.md#1-4-securescorecontrolprofile
        remediation_impact="" if impact.strip(" .").lower() == "none" else impact,
        threats=line.threats,
    )
