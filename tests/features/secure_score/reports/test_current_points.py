"""What tickets are compared with: points now, regressions, delays."""

from __future__ import annotations

from app.core.database import Database
from app.features.secure_score.reports.current_points import current_points, regressions
from tests.factories.graph_payloads import DAY, TENANT, days_before, keep, profile, score, snapshot


async def import_points(database: Database) -> None:
    points = {10: (2, 20, None, 8), 9: (2, 20, 5, 8), 5: (6, 60, 5, 8), 0: (10, 100, 5, 3)}
    days = [
        snapshot(
            days_before(ago),
            [score("Won", won, percent), score("Lost", lost, lost * 10)] + ([score("New", new, 50)] if new else []),
        )
        for ago, (won, percent, new, lost) in points.items()
    ]
    await keep(database, snapshots=days, profiles=[profile("Won", service="MS Teams"), profile("Lost", service="EXO")])


async def test_current_points(database: Database) -> None:
    await import_points(database)
    async with database.transaction() as session:
        found = await current_points(session, TENANT, ["Won", "Lost", "New", "x"])
    assert set(found) == {"Won", "Lost", "New"}
    assert (found["Won"].points, found["Won"].is_full, found["Won"].as_of) == (10, True, DAY)
    assert (found["Lost"].regressed_on, found["Lost"].regressed_from, found["Lost"].is_full) == (DAY, 8, False)
    assert (found["Won"].usual_delay.days, found["Lost"].usual_delay.days) == (31, 2)
    assert found["New"].title == "New"


async def test_regressions_the_newest_first(database: Database) -> None:
    await import_points(database)
    async with database.transaction() as session:
        [found] = await regressions(session, TENANT)
        assert await regressions(session, "another tenant") == []
    assert (found.control_id, found.on, found.points_before, found.points_now) == ("Lost", DAY, 8, 3)
