"""Lines of actions: titles, percentages and maxima that are missing or 0."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.core.database import Database
from app.features.secure_score.actions.action_rows import impact_of, percent_of
from app.features.secure_score.actions.action_status import Status
from app.features.secure_score.reports.day_scores import DayScore
from app.features.secure_score.reports.overview import categories, reviews, top_actions
from app.features.secure_score.sync.json_values import number
from tests.factories.graph_payloads import keep, profile, score, snapshot
from tests.factories.secure_score import action_line, lines_of, shown_status


def snapshot_day() -> Any:
    return datetime(2026, 11, 19, tzinfo=UTC).date()


@pytest.mark.fact("microsoft-graph edge-14")
@pytest.mark.parametrize("maximum", [0, "0", None, "n/a"])
async def test_without_a_maximum_there_is_no_percentage(database: Database, maximum: object) -> None:
    assert DayScore(snapshot_day(), 5.0, number(maximum)).percent is None
    await keep(
        database,
        snapshots=[snapshot(controls=[score("A", 0, ...)], maxScore=maximum)],
        profiles=[profile("A", maxScore=maximum)],
    )
    line = (await lines_of(database))["A"]
    assert line.percent is None
    assert line.score_impact is None


@pytest.mark.fact("microsoft-graph edge-15")
def test_a_missing_percentage_is_computed_and_zero_is_zero() -> None:
    assert percent_of(5, 10, None) == 50
    assert percent_of(5, None, None) is None
    assert percent_of(None, 10, None) is None
    assert percent_of(0, 10, 0) == 0
    assert percent_of(0, None, 0) == 0


@pytest.mark.fact("microsoft-graph edge-15")
async def test_zero_is_shown_as_zero(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A", 0, 0)])], profiles=[profile("A")])
    line = (await lines_of(database))["A"]
    assert (line.points, line.percent) == (0, 0)


@pytest.mark.fact("microsoft-graph edge-24")
async def test_a_scored_control_without_profile_keeps_its_name_and_gets_no_maximum(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("spo_legacy_link", 0, 0, controlCategory="Data")])])
    line = (await lines_of(database))["spo_legacy_link"]
    assert (line.title, line.points, line.max_points, line.score_impact) == ("spo_legacy_link", 0, None, None)
    assert line.category == "Data"
    assert line.percent == 0
    await keep(database, profiles=[profile("spo_legacy_link", title="Now known", maxScore=2, controlCategory="Data")])
    line = (await lines_of(database))["spo_legacy_link"]
    assert (line.title, line.max_points) == ("Now known", 2)


@pytest.mark.fact("microsoft-graph edge-17", "microsoft-graph edge-24", "microsoft-graph edge-25")
@pytest.mark.parametrize(
    ("points", "max_points", "opportunity"),
    [
        pytest.param(3.0, 10.0, 7.0, id="partly done"),
        pytest.param(0.0, 10.0, 10.0, id="nothing done"),
        pytest.param(10.0, 10.0, 0.0, id="complete"),
        pytest.param(9.996, 10.0, 0.0, id="complete but for rounding"),
        pytest.param(15.0, 10.0, 0.0, id="above the maximum"),
        pytest.param(0.0, 0.0, 0.0, id="nothing to gain"),
        pytest.param(None, 10.0, None, id="points unknown"),
        pytest.param(3.0, None, None, id="maximum unknown"),
        pytest.param(None, None, None, id="both unknown"),
    ],
)
def test_the_opportunity_is_what_is_left_to_gain(
    points: float | None, max_points: float | None, opportunity: float | None
) -> None:
    line = action_line(points=points, max_points=max_points, percent=None)
    assert line.opportunity == opportunity
    assert line.to_gain == (opportunity or 0.0)


@pytest.mark.fact("microsoft-graph edge-43")
def test_an_accepted_risk_keeps_its_opportunity() -> None:
    assert action_line(points=0.0, status_shown=shown_status(Status.RISK_ACCEPTED)).opportunity == 10


@pytest.mark.fact("microsoft-graph 3.1")
@pytest.mark.parametrize(
    ("points", "max_points", "tenant_max", "impact"),
    [
        (4, 10, 200, 3),
        (10, 10, 200, 0),
        (15, 10, 200, 0),
        (None, 10, 200, None),
        (4, None, 200, None),
        (4, 10, 0, None),
        (4, 10, None, None),
    ],
)
def test_the_score_impact_is_in_percent_of_the_tenants_maximum(
    points: float | None, max_points: float | None, tenant_max: float | None, impact: float | None
) -> None:
    assert impact_of(points, max_points, tenant_max) == impact


def test_recent_is_what_was_added_or_updated() -> None:
    assert action_line().recent == ()
    assert action_line(is_new=True, is_updated=True).recent == ("added", "updated")


def test_a_search_looks_through_title_id_product_category_threats_and_tags() -> None:
    text = action_line("Id1", title="Turn ON", tags=("Ümlaut",)).search_text
    assert all(word in text for word in ("turn on", "id1", "exchange online", "apps", "malware", "ümlaut"))


@pytest.mark.fact("microsoft-graph edge-24")
async def test_a_maximum_that_the_catalog_does_not_give_follows_from_points_and_percentage(database: Database) -> None:
    scores = [score("Stray", 4, 50), score("Known", 4, 50)]
    await keep(database, snapshots=[snapshot(controls=scores)], profiles=[profile("Known", maxScore=10)])
    lines = await lines_of(database)
    assert (lines["Stray"].max_points, lines["Stray"].max_is_derived, lines["Stray"].opportunity) == (8, True, 4)
    assert (lines["Known"].max_points, lines["Known"].max_is_derived) == (10, False)


@pytest.mark.fact("microsoft-graph 1.3")
async def test_an_action_that_is_not_scored_is_outside_what_is_to_be_addressed(database: Database) -> None:
    scores = [score("Review", 0, 0, NotScored="true"), score("Nothing", 0, 0), score("Open", 0, 0, NotScored="false")]
    await keep(
        database,
        snapshots=[snapshot(controls=scores)],
        profiles=[profile("Review", actionType="Review"), profile("Nothing", maxScore=0), profile("Open")],
    )
    lines = await lines_of(database)
    assert {key: line.status for key, line in lines.items()} == {
        "Review": Status.NOT_SCORED, "Nothing": Status.NOT_SCORED, "Open": Status.TO_ADDRESS,
    }  # fmt: skip
    everything = list(lines.values())
    assert [line.control_id for line in top_actions(everything)] == ["Open"]
    assert {str(review.label): review.count for review in reviews(everything)}["To address"] == 1
    assert (lines["Review"].score_impact, lines["Review"].opportunity) == (None, 0)
    assert [(one.points, one.max_points) for one in categories(everything)] == [(0, 10)]
