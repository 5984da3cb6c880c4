"""Sums, targets, comparisons and measures over time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from app.core.database import Database
from app.core.errors import InvalidInput
from app.features.secure_score.actions.action_status import Status
from app.features.secure_score.reports.history import Period, days_in, delta_of
from app.features.secure_score.reports.overview import categories, reviews, targets, top_actions
from app.features.secure_score.reports.score_summary import DayScore, card_of, change_since, plotted
from app.features.secure_score.reports.trends import (
    Verdict,
    Zones,
    accepted_by_day,
    change_series,
    every_day,
    load_trends,
    set_zones,
    weeks_of,
)
from app.features.secure_score.sync.score_changes import Change, ChangeKind, marks_by_day
from tests.factories.graph_payloads import DAY, TENANT, days_before, keep, profile, score, snapshot
from tests.features.secure_score.test_edge_state import update
from tests.features.secure_score.test_list_view import line, resolved

LINES = [
    line("Open", points=2.0, max_points=10.0),
    line("Planned", points=0.0, max_points=5.0, resolved=resolved(Status.PLANNED)),
    line("Accepted", points=1.0, max_points=4.0, resolved=resolved(Status.RISK_ACCEPTED)),
    line("Done", points=7.0, max_points=7.0, resolved=resolved(Status.COMPLETED)),
    line("Stray", points=3.0, max_points=None, has_profile=False),
    line("Unscored", points=None, max_points=9.0, scored=False, resolved=resolved(Status.NOT_APPLICABLE)),
]


def test_targets_say_what_could_be_reached() -> None:
    found = {target.name: (target.points, target.percent) for target in targets(LINES, 13, 40)}
    assert found == {"planned": (18, 45), "licence": (29, 72.5), "achievable": (26, 65)}
    assert all(target.percent is None for target in targets(LINES, 13, 0))
    assert all(target.percent == 100 for target in targets(LINES, 39, 40) if target.name != "planned")


def test_categories_sum_what_is_known_and_count_the_rest() -> None:
    [found] = categories(LINES)
    assert (found.name, found.points, found.max_points, found.unknown, found.unknown_points) == ("Apps", 10, 26, 1, 3)


def test_reviews_and_top_actions() -> None:
    found = {str(review.label): review.count for review in reviews(LINES)}
    assert found == {
        "Regressed": 0,
        "To address": 2,
        "Planned": 1,
        "Risk accepted": 1,
        "Recently added": 0,
        "Recently updated": 0,
    }
    assert [one.control_id for one in top_actions(LINES)] == ["Open", "Stray"]


def test_the_card_compares_with_thirty_days_before() -> None:
    days = [DayScore(days_before(ago), 100.0 - ago, 200.0) for ago in (45, 31, 29, 0)]
    assert change_since(days, 30) == 31
    assert change_since(days[2:], 30) is None
    card = card_of(days, regressed=1, synced=None)
    assert card is not None
    assert (card.percent, card.points, len(card.days)) == (50, 100, 46)
    assert card_of([DayScore(DAY, None, 10.0)], regressed=0, synced=None) is None
    assert plotted([]) == ([], [])


def test_accepted_risks_by_day() -> None:
    start = datetime(2026, 11, 1, 12, tzinfo=UTC)
    verdicts = [
        Verdict(start, "A", accepted=True),
        Verdict(start + timedelta(days=1), "B", accepted=True),
        Verdict(start + timedelta(days=2), "A", accepted=False),
        Verdict(start + timedelta(days=2), "C", accepted=False),
    ]
    days = [date(2026, 10, 31) + timedelta(days=number) for number in range(5)]
    assert accepted_by_day(reversed(verdicts), days) == [0, 1, 2, 1, 1]


def change(day: int, kind: ChangeKind, before: float | None, after: float | None, control_id: str = "A") -> Change:
    on = date(2026, 11, day)
    return Change(control_id, on, on - timedelta(days=1), kind, before, after, None, None)


def test_regressions_by_day() -> None:
    changes = [
        change(2, ChangeKind.REGRESSED, 8, 0),
        change(3, ChangeKind.REGRESSED, 5, 1, "B"),
        change(5, ChangeKind.GAINED, 0, 8),
    ]
    days = [date(2026, 11, number) for number in range(1, 7)]
    assert marks_by_day(changes, days) == [0, 1, 2, 2, 1, 1]


def test_changes_by_week() -> None:
    days = [date(2026, 11, number) for number in range(1, 16)]
    changes = [
        change(1, ChangeKind.GAINED, 0, 3), change(7, ChangeKind.GAINED, 1, 2), change(8, ChangeKind.REGRESSED, 8, 0),
        change(9, ChangeKind.ADDED, None, 4), change(15, ChangeKind.REMOVED, 5, None), change(15, ChangeKind.CHANGED, None, None),
    ]  # fmt: skip
    found = {str(series.name): series.values for series in change_series(weeks_of(days), changes)}
    assert found == {"Achieved": [4, 0, 0], "Regressed": [0, -8, 0], "Changed": [0, 4, -5]}


@pytest.mark.parametrize(
    ("kind", "before", "after", "delta"),
    [
        ("gained", 1, 3, 2),
        ("added", None, 4, 4),
        ("removed", 4, None, -4),
        ("removed", None, None, None),
        ("changed", None, 1, None),
    ],
)
def test_what_a_change_did_to_the_score(
    kind: str, before: float | None, after: float | None, delta: float | None
) -> None:
    assert delta_of(kind, before, after) == delta


def test_zones() -> None:
    zones = Zones(40, 70)
    assert [zones.zone_of(value) for value in (0, 39.9, 40, 70, 100, None)] == [
        "bad",
        "bad",
        "okay",
        "good",
        "good",
        "",
    ]


@pytest.mark.parametrize(
    ("okay", "good"), [(0, 50), (50, 50), (60, 50), (50, 100), (float("nan"), 50), (50, float("inf"))]
)
async def test_zones_that_make_no_sense_are_refused(database: Database, okay: float, good: float) -> None:
    async with database.transaction() as session:
        with pytest.raises(InvalidInput):
            await set_zones(session, TENANT, okay_from=okay, good_from=good, who="Alex")


async def test_trends_over_real_rows(database: Database) -> None:
    stays = score("B", 5, 50, controlCategory="Data")
    days = [
        snapshot(days_before(ago), [score("A", points, points * 10), stays], enabledServices=services)
        for ago, points, services in ((3, 8, ["P1"]), (1, 8, ["P1"]), (0, 2, ["P2"]))
    ]
    accepted = [update("Ignored", f"{days_before(1).isoformat()}T10:00:00Z")]
    profiles = [profile("A"), profile("B", controlCategory="Data", controlStateUpdates=accepted)]
    await keep(database, snapshots=days, profiles=profiles)
    period = Period(days_before(30), DAY)
    async with database.transaction() as session:
        trends = await load_trends(session, TENANT, period, "")
        data = await load_trends(session, TENANT, period, "Data")
        _, events = await days_in(session, TENANT, period)
    assert trends.days == [days_before(ago).isoformat() for ago in (3, 2, 1, 0)]
    assert trends.score == [13, None, 13, 7]
    assert trends.regressed == [0, 0, 0, 1]
    assert trends.accepted == [0, 0, 1, 1]
    assert [str(series.name) for series in trends.comparison] == [
        "Your organisation", "All organisations", "Organisations of similar size",
    ]  # fmt: skip
    assert (data.score, data.regressed, data.accepted) == ([5, None, 5, 5], [0, 0, 0, 0], [0, 0, 1, 1])
    assert [(event.services_gained, event.services_lost) for event in events] == [(("P2",), ("P1",))]
    assert every_day([]) == []


async def test_a_day_that_names_no_services_is_no_loss_of_licences(database: Database) -> None:
    named = [["HasAADP1"], None, [], ["HasAADP1", "HasAADP2"]]
    days = [snapshot(days_before(3 - number), enabledServices=services) for number, services in enumerate(named)]
    await keep(database, snapshots=days)
    async with database.transaction() as session:
        _, events = await days_in(session, TENANT, Period(days_before(3), DAY))
        _, later = await days_in(session, TENANT, Period(days_before(2), DAY))
    assert [(event.day, event.services_gained, event.services_lost) for event in events] == [(DAY, ("HasAADP2",), ())]
    assert later == []
