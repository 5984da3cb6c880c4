"""Writing snapshots and profiles into the tables: raw JSON is kept, odd texts fit, many rows go in batches."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from app.core.database import Database
from app.features.secure_score.actions.action_list import PAGE_SIZE, View, list_actions
from tests.factories.graph_payloads import days_before, keep, profile, score, snapshot
from tests.factories.secure_score import lines_of
from tests.factories.statements import counted

pytestmark = pytest.mark.thorough


@pytest.mark.fact("microsoft-graph edge-11")
async def test_unknown_members_are_kept_raw_and_ignored(database: Database) -> None:
    odd: dict[str, Any] = {"newMember": {"deep": [1, None]}, "IsApplicable": "perhaps"}
    await keep(database, snapshots=[snapshot(controls=[score(**odd)], **odd)], profiles=[profile(**odd)])
    async with database.transaction() as session:
        raw = (await session.execute(text("SELECT raw FROM score_snapshot"))).scalar_one()
        kept = (await session.execute(text("SELECT profile_raw FROM improvement_action"))).scalar_one()
    assert raw["newMember"] == raw["controlScores"][0]["newMember"] == kept["newMember"] == odd["newMember"]


@pytest.mark.fact("microsoft-graph edge-20")
async def test_last_synced_may_be_later_than_the_day_or_weeks_old(database: Database) -> None:
    later, old = "2026-12-24T17:12:14.999999Z", "2026-10-01T00:00:00Z"
    report = await keep(
        database,
        snapshots=[
            snapshot(controls=[score("A", lastSynced=later), score("B", lastSynced=old), score("C", lastSynced=None)])
        ],
        profiles=[profile("A", lastModifiedDateTime=None)],
    )
    assert report.warnings == []
    lines = await lines_of(database)
    assert [lines[key].last_synced_at and lines[key].last_synced_at.month for key in "ABC"] == [12, 10, None]  # type: ignore[union-attr]


@pytest.mark.parametrize("odd", ["nul \x00 byte", "half \ud800 pair", "\u202eright to left", "emoji 🛡️"])
async def test_odd_texts_reach_the_database(database: Database, odd: str) -> None:
    await keep(
        database,
        snapshots=[snapshot(controls=[score(odd, description=odd)], enabledServices=[odd])],
        profiles=[profile("A", title=odd, threats=[odd], controlStateUpdates=[{"comment": odd, "state": odd}])],
    )
    lines = await lines_of(database)
    assert len(lines) == 2


@pytest.mark.thorough
@pytest.mark.fact("microsoft-graph edge-23")
async def test_a_large_tenant_imports_in_few_statements(database: Database) -> None:
    """Rows are inserted in batches, never one by one; `make bench` measures how long it takes."""
    controls = [score(f"Control{number}", number % 10, number % 10 * 10) for number in range(234)]
    days = [snapshot(days_before(number), controls) for number in range(90)]
    profiles = [profile(f"Control{number}") for number in range(462)]
    with counted(database) as statements:
        report = await keep(database, snapshots=days, profiles=profiles)
    assert (report.snapshots_new, report.profiles_new) == (90, 462)
    assert len(statements) < 90 + 462
    async with database.transaction() as session:
        count = (await session.execute(text("SELECT count(*) FROM control_score"))).scalar_one()
    assert count == 90 * 234
    listing = list_actions(list((await lines_of(database)).values()), View(), frozenset())
    assert (listing.total, len(listing.lines)) == (234, PAGE_SIZE)
