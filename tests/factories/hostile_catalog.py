"""A catalog as large and as different as Graph's answer may be: every control has names of its own, long and to be escaped."""

from __future__ import annotations

from typing import Any

from app.core.database import Database
from app.features.secure_score.sync.json_values import MOST_OBJECTS
from tests.factories.graph_payloads import days_before, keep, profile, score, snapshot

LONG = 244


def long_name(kind: str, number: int) -> str:
    """A name of LONG characters that no other kind or number has."""
    return f'{kind} {number:05} <b>"&" {"word " * LONG}'[: LONG - 1] + "."


def hostile_snapshots(count: int, tenant_id: str) -> list[dict[str, Any]]:
    """Two days on which every control, license and comparison differs."""
    return [
        snapshot(
            days_before(ago),
            [
                score(f"C{number}", number % 7 + ago, 10, controlCategory=long_name("category", number))
                for number in range(count)
            ],
            azureTenantId=tenant_id,
            maxScore=20 * count,
            enabledServices=[long_name(f"service{ago}", number) for number in range(count)],
            averageComparativeScores=[
                {"basis": long_name(f"basis{ago}", number), "averageScore": 50} for number in range(count)
            ],
        )
        for ago in (1, 0)
    ]


def hostile_profiles(count: int, tenant_id: str) -> list[dict[str, Any]]:
    """The profile of each of these controls."""
    return [
        profile(
            f"C{number}",
            azureTenantId=tenant_id,
            title=long_name("title", number),
            controlCategory=long_name("category", number),
            service=long_name("product", number),
            tier=long_name("tier", number),
            actionType=long_name("kind", number),
            threats=[long_name("threat", number)],
            maxScore=number % 7 + 10,
        )
        for number in range(count)
    ]


async def keep_hostile_catalog(database: Database, tenant_id: str, count: int = MOST_OBJECTS) -> None:
    """Import such a catalog of `count` controls."""
    await keep(
        database,
        snapshots=hostile_snapshots(count, tenant_id),
        profiles=hostile_profiles(count, tenant_id),
        tenant_id=tenant_id,
    )
