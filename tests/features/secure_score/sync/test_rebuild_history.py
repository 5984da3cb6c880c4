"""The history that is rebuilt from stored snapshots: regressions, removals and additions."""

from __future__ import annotations

import pytest

from app.core.database import Database
from app.features.secure_score.actions.browse_actions import find_action
from app.features.secure_score.reports.current_points import regressions
from app.features.secure_score.reports.history import Period, load_history
from app.features.secure_score.sync.import_scores import import_from_graph
from tests.factories.graph_payloads import DAY, TENANT, days_before, keep, profile, score, snapshot
from tests.factories.secure_score import lines_of, state_update
from tests.factories.system import System


@pytest.mark.thorough
@pytest.mark.fact("microsoft-graph edge-47")
async def test_the_sandboxs_regression_is_found_and_a_license_change_is_none(system: System) -> None:
    await import_from_graph(system.resources)
    async with system.resources.database.transaction() as session:
        [found] = await regressions(session, system.resources.config.tenant_id)
    assert (found.control_id, found.points_before, found.points_now) == ("BlockLegacyAuthentication", 8, 0)
    async with await system.signed_in("viewer") as browser:
        assert "New licences: HasAADP2, HasM365E5, HasMDEP2." in (await browser.get("/secure-score/history")).text


@pytest.mark.fact("microsoft-graph edge-47")
async def test_day_by_day_finds_what_all_days_at_once_find_though_points_were_unknown(
    database: Database,
) -> None:
    for ago, entry in ((2, score("A", 8, 80)), (1, score("A", None, None)), (0, score("A", 0, 0))):
        await keep(database, snapshots=[snapshot(days_before(ago), [entry])])
    line = (await lines_of(database))["A"]
    assert (line.regressed_on, line.regressed_from) == (DAY, 8)


@pytest.mark.fact("microsoft-graph edge-47")
async def test_a_decision_that_arrives_late_takes_the_mark_away(database: Database) -> None:
    await keep(database, snapshots=[snapshot(days_before(1), [score("A", 10, 100)])], profiles=[profile("A")])
    await keep(database, snapshots=[snapshot(DAY, [score("A", 0, 0)])])  # The catalog could not be read.
    assert (await lines_of(database))["A"].is_regressed
    ignored = [state_update("Ignored", f"{days_before(1)}T10:00:00Z")]
    again = [snapshot(DAY, [score("A", 0, 0)])]
    await keep(database, snapshots=again, profiles=[profile("A", controlStateUpdates=ignored)])
    assert not (await lines_of(database))["A"].is_regressed


@pytest.mark.fact("microsoft-graph edge-47")
async def test_a_comment_at_microsoft_is_no_decision(database: Database) -> None:
    noted = [state_update("Default", f"{days_before(3)}T10:00:00Z", comment="Asked the network team")]
    days = [snapshot(days_before(1), [score("A", 10, 100)]), snapshot(DAY, [score("A", 0, 0)])]
    await keep(database, snapshots=days, profiles=[profile("A", controlStateUpdates=noted)])
    assert (await lines_of(database))["A"].is_regressed


@pytest.mark.fact("microsoft-graph edge-47")
async def test_the_same_days_in_any_order_give_the_same_history(database: Database) -> None:
    days = [
        snapshot(days_before(ago), [score("A", points, points * 10)])
        for ago, points in ((4, 9), (3, 2), (2, 9), (1, 1))
    ]
    for day in (days[2], days[0], days[3], days[1]):
        await keep(database, snapshots=[day])
    line = (await lines_of(database))["A"]
    assert (line.regressed_on, line.regressed_from) == (days_before(1), 9)
    await keep(database, snapshots=[snapshot(DAY, [score("A", 9, 90)])])
    assert not (await lines_of(database))["A"].is_regressed


@pytest.mark.fact("microsoft-graph edge-28")
async def test_what_vanishes_is_archived_and_neither_it_nor_what_comes_is_a_regression(
    database: Database,
) -> None:
    first = snapshot(days_before(2), [score("Stays"), score("Goes", 5, 50)])
    second = snapshot(days_before(1), [score("Stays"), score("Comes", 1, 10)])
    await keep(database, snapshots=[second, first])
    lines = await lines_of(database)
    assert not lines["Goes"].scored
    assert lines["Goes"].last_scored_on == days_before(2)
    assert lines["Comes"].added_on == days_before(1)
    assert lines["Stays"].added_on is None
    async with database.transaction() as session:
        history = await load_history(session, TENANT, Period(days_before(9), DAY), [], 1)
        assert {(line.control_id, line.kind, line.delta) for line in history.lines} == {
            ("Goes", "removed", -5), ("Comes", "added", 1),
        }  # fmt: skip
        assert await regressions(session, TENANT) == []
        assert (await find_action(session, TENANT, "Goes")).points is None


@pytest.mark.fact("microsoft-graph edge-28")
async def test_it_comes_back_with_its_row(database: Database) -> None:
    for day, controls in ((2, [score("A"), score("B")]), (1, [score("A")]), (0, [score("A"), score("B", 9, 90)])):
        await keep(database, snapshots=[snapshot(days_before(day), controls)])
    line = (await lines_of(database))["B"]
    assert (line.scored, line.points, line.last_scored_on) == (True, 9, DAY)
