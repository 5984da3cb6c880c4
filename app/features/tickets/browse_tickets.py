"""Reads tickets for the pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from app.foundation.database import Session


@dataclass(frozen=True)
class TicketLine:
    """A ticket in a list."""

    id: UUID
    kind: str
    number: str
    name: str
    state_name: str
    state_group: str
    delivery: str
    priority: str
    due_date: date | None
    created_at: datetime
    sender_name: str
    verified_at: datetime | None


async def tickets_of_action(_session: Session, _control_id: str) -> list[TicketLine]:
    """The tickets made of one action."""
    return []


async def tickets_by_action(_session: Session, _control_ids: Sequence[str]) -> dict[str, list[TicketLine]]:
    """The tickets made of these actions."""
    return {}
