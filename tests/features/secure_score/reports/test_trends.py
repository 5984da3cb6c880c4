"""Measures over time: zones, changes by week, accepted risks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from app.core.database import Database
from app.core.errors import InvalidInput
from app.features.secure_score.reports.history import Period, days_in
from app.features.secure_score.reports.overview import MOST_COMPARISONS
from app.features.secure_score.reports.trends import (
    RiskDecision,
    Zones,
    accepted_by_day,
    change_series,
    comparison_series,
    every_day,
    load_trends,
    set_zones,
    weeks_of,
)
from app.features.secure_score.sync.score_changes import Change, ChangeKind
from tests.factories.graph_payloads import DAY, TENANT, days_before, keep, profile, score, snapshot
from tests.factories.secure_score import a_manager, state_update


def change(day: int, kind: ChangeKind, before: float | None, after: float | None, control_id: str = "A") -> Change:
    on = date(2026, 11, day)
    return Change(control_id, on, on - timedelta(days=1), kind, before, after, None, None)


def test_accepted_risks_by_day() -> None:
    start = datetime(2026, 11, 1, 12, tzinfo=UTC)
    decisions = [
        RiskDecision(start, "A", accepted=True),
        RiskDecision(start + timedelta(days=1), "B", accepted=True),
        RiskDecision(start + timedelta(days=2), "A", accepted=False),
        RiskDecision(start + timedelta(days=2), "C", accepted=False),
    ]
    days = [date(2026, 10, 31) + timedelta(days=number) for number in range(5)]
    assert accepted_by_day(reversed(decisions), days) == [0, 1, 2, 1, 1]


def test_changes_by_week() -> None:
    days = [date(2026, 11, number) for number in range(1, 16)]
    changes = [
        change(1, ChangeKind.GAINED, 0, 3), change(7, ChangeKind.GAINED, 1, 2), change(8, ChangeKind.REGRESSED, 8, 0),
        change(9, ChangeKind.ADDED, None, 4), change(15, ChangeKind.REMOVED, 5, None), change(15, ChangeKind.CHANGED, None, None),
    ]  # fmt: skip
    found = {str(series.name): series.values for series in change_series(weeks_of(days), changes)}
    assert found == {"Achieved": [4, 0, 0], "Regressed": [0, -8, 0], "Changed": [0, 4, -5]}


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
    by = await a_manager(database)
    async with database.transaction() as session:
        with pytest.raises(InvalidInput):
            await set_zones(session, TENANT, okay_from=okay, good_from=good, by=by)


async def test_trends_over_real_rows(database: Database) -> None:
    stays = score("B", 5, 50, controlCategory="Data")
    days = [
        snapshot(days_before(ago), [score("A", points, points * 10), stays], enabledServices=services)
        for ago, points, services in ((3, 8, ["P1"]), (1, 8, ["P1"]), (0, 2, ["P2"]))
    ]
    accepted = [state_update("Ignored", f"{days_before(1).isoformat()}T10:00:00Z")]
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


def test_zones_are_the_usual_ones_until_set() -> None:
    assert [Zones().zone_of(percent) for percent in (39, 40, 70)] == ["bad", "okay", "good"]


@pytest.mark.fact("microsoft-graph edge-48")
def test_every_day_is_in_the_plot_and_a_week_begins_with_the_first() -> None:
    days = every_day([date(2026, 11, 1), date(2026, 11, 9)])
    assert (len(days), days[1]) == (9, date(2026, 11, 2))
    assert weeks_of(days) == [date(2026, 11, 1), date(2026, 11, 8)]


@pytest.mark.fact("microsoft-graph edge-18")
def test_comparisons_are_told_apart_by_their_basis_and_those_without_a_value_are_left_out() -> None:
    days = [date(2026, 11, 1), date(2026, 11, 2), date(2026, 11, 3)]

    def day(*entries: tuple[str, float | None]) -> SimpleNamespace:
        return SimpleNamespace(
            comparisons=[
                {"basis": basis, "percent": percent, "seats_from": None, "seats_to": None} for basis, percent in entries
            ]
        )

    rows = {
        days[0]: day(("AllTenants", 50.0), ("IndustryTypes", None)),
        days[2]: day(("TotalSeats", 40.0), ("ALLTENANTS", 52.0)),
    }
    found = comparison_series(days, rows, [60.0, None, 61.0])
    assert [(str(series.name), series.values) for series in found] == [
        ("Your organisation", [60.0, None, 61.0]),
        ("All organisations", [50.0, None, 52.0]),
        ("Organisations of similar size", [None, None, 40.0]),
    ]


@pytest.mark.fact("microsoft-graph edge-18")
def test_of_very_many_comparisons_few_are_drawn_and_the_known_ones_always() -> None:
    days = [date(2026, 11, 1), date(2026, 11, 2)]
    rows = {
        day: SimpleNamespace(
            comparisons=[
                {"basis": basis, "percent": 50.0, "seats_from": None, "seats_to": None}
                for basis in (
                    *(f"{day} {number}" for number in range(100)),
                    "AllTenants",
                    "TotalSeats",
                    "IndustryTypes",
                )
            ]
        )
        for day in days
    }
    found = comparison_series(days, rows, [60.0, 61.0])
    assert len(found) == MOST_COMPARISONS + 1
    assert {"All organisations", "Organisations of similar size", "Organisations of your industry"} <= {
        str(series.name) for series in found if series.values == [50.0, 50.0]
    }
