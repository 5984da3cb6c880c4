"""Stores which home cards a person wants, by name and in order. Knows no card, and reads and writes rows only."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from app.core.database import Session
from app.features.accounts.models import HomeLayout


async def kept_cards(session: Session, person_id: UUID) -> list[str] | None:
    """Card names in the person's order, possibly some of older versions; None while the person has changed nothing."""
    found = await session.execute(select(HomeLayout.cards).where(HomeLayout.person_id == person_id))
    return found.scalar_one_or_none()


async def keep_cards(session: Session, person_id: UUID, cards: Sequence[str]) -> None:
    """Store these cards in this order."""
    # Upsert: of two browsers at once, the later one counts.
    statement = insert(HomeLayout).values(person_id=person_id, cards=list(cards))
    chosen = {"cards": statement.excluded.cards}
    await session.execute(statement.on_conflict_do_update(index_elements=[HomeLayout.person_id], set_=chosen))


async def forget_cards(session: Session, person_id: UUID) -> None:
    """Delete the person's own order, so that the usual cards are shown."""
    await session.execute(delete(HomeLayout).where(HomeLayout.person_id == person_id))
