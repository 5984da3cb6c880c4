"""Which decisions are accepted."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, date, datetime

import pytest

from app.core.clock import SetClock
from app.core.database import Database
from app.core.errors import InvalidInput
from app.features.secure_score.actions.action_status import Status
from app.features.secure_score.actions.plan import PlanChange, decide
from tests.factories.graph_payloads import TENANT, days_before, keep, score, snapshot


@pytest.mark.fact("microsoft-graph edge-44")
@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (PlanChange(Status.PLANNED, None, ""), "planned_for"),
        (PlanChange(Status.PLANNED, days_before(30).replace(year=2020), ""), "planned_for"),
        (PlanChange(Status.COMPLETED, None, ""), "status"),
        (PlanChange(Status.OTHER, None, ""), "status"),
    ],
)
async def test_a_decision_must_make_sense(database: Database, wish: PlanChange, field: str) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A")])])
    async with database.transaction() as session:
        with pytest.raises(InvalidInput) as refused:
            await decide(session, TENANT, "A", wish, who="Alex", write_back=False)
    assert field in refused.value.fields


@pytest.mark.fact("microsoft-graph edge-44")
@pytest.mark.parametrize(("day", "passed"), [(20, False), (19, True)])
async def test_what_is_still_today_west_of_greenwich_can_be_planned(
    database: Database, still_clock: SetClock, day: int, passed: bool
) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A")])])
    evening = datetime(2026, 11, 21, 2, tzinfo=UTC)  # Still the 20th, 18:00, in Seattle.
    still_clock.move((evening - still_clock.now()).total_seconds())
    wish = PlanChange(Status.PLANNED, date(2026, 11, day), "")
    async with database.transaction() as session:
        with pytest.raises(InvalidInput) if passed else nullcontext():
            await decide(session, TENANT, "A", wish, who="Alex", write_back=False)
