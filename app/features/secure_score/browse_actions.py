"""Finds improvement actions for other rooms. A placeholder until the room's own reading of its tables is here."""

from __future__ import annotations

from collections.abc import Sequence

from app.features.secure_score.action import Action
from app.foundation.database import Session
from app.foundation.errors import NotFound


async def find_action(session: Session, tenant_id: str, control_id: str) -> Action:  # noqa: ARG001
    """One action. Raises NotFound."""
    raise NotFound


async def find_actions(session: Session, tenant_id: str, control_ids: Sequence[str]) -> list[Action]:  # noqa: ARG001
    """Those of these that there are."""
    return []
