"""Loose types and odd members. Numbers are the fact sheet's edge cases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.core.database import Database
from app.features.secure_score.actions.action_rows import ActionLine, load_lines, percent_of
from app.features.secure_score.reports.overview import categories, comparison_line, differs, newest_day
from app.features.secure_score.reports.score_summary import DayScore
from app.features.secure_score.sync.json_values import as_stored_json, flag, moment, number, whole
from app.features.secure_score.sync.parse_graph import ParseReport, ProfileRow, SnapshotRow, profiles_of, snapshots_of
from tests.factories.graph_payloads import TENANT, keep, profile, score, snapshot

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def read_snapshot(**changes: Any) -> SnapshotRow:
    [row] = snapshots_of([snapshot(**changes)], TENANT, ParseReport())
    return row


def read_profile(**changes: Any) -> ProfileRow:
    [row] = profiles_of([profile(**changes)], TENANT, ParseReport())
    return row


async def lines_of(database: Database) -> dict[str, ActionLine]:
    async with database.transaction() as session:
        return {line.control_id: line for line in await load_lines(session, TENANT)}


async def test_edge_11_unknown_members_are_kept_raw_and_ignored(database: Database) -> None:
    odd: dict[str, Any] = {"newMember": {"deep": [1, None]}, "IsApplicable": "perhaps"}
    await keep(database, snapshots=[snapshot(controls=[score(**odd)], **odd)], profiles=[profile(**odd)])
    async with database.transaction() as session:
        raw = (await session.execute(text("SELECT raw FROM score_snapshot"))).scalar_one()
        kept = (await session.execute(text("SELECT profile_raw FROM improvement_action"))).scalar_one()
    assert raw["newMember"] == raw["controlScores"][0]["newMember"] == kept["newMember"] == odd["newMember"]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (3, 3.0), (3.25, 3.25), ("3.25", 3.25), ("0.0", 0.0), (0, 0.0), (" 7 ", 7.0), ("1e2", 100.0), (None, None),
        ("n/a", None), ("", None), ("1_000", None), ("NaN", None), ("Infinity", None), (float("nan"), None),
        (float("inf"), None), (True, None), ([], None), ({}, None), (-1, None), ("-1", None), (10**400, None), ("٣", None),
    ],
)  # fmt: skip
def test_edge_12_numbers_come_as_anything_and_unknown_is_not_zero(sent: object, read: float | None) -> None:
    assert number(sent) == read
    row = read_snapshot(controls=[score(points=sent, percent=sent)], maxScore=sent)
    assert row.controls is not None
    assert row.controls[0].points == read
    assert row.max_points == read
    assert read_profile(maxScore=sent).max_points == read


@given(JSON)
def test_edge_12_whatever_comes_a_number_is_finite_and_not_negative_or_unknown(value: object) -> None:
    found = number(value)
    assert found is None or 0 <= found < float("inf")
    counted = whole(value)
    assert counted is None or counted >= 0


@pytest.mark.parametrize(
    ("sent", "read"),
    [("false", False), ("true", True), ("False", False), (" TRUE ", True), (False, False), (True, True), ("", None),
     ("no", None), (0, None), (None, None)],
)  # fmt: skip
def test_edge_13_on_is_a_word(sent: object, read: bool | None) -> None:
    assert flag(sent) is read


def test_edge_13_counts_are_words_and_total_may_be_missing_or_zero() -> None:
    row = read_snapshot(
        controls=[score("A", count="3", total="17"), score("B", count="1"), score("C", count="0", total="0")]
    )
    assert row.controls is not None
    assert [(entry.counted, entry.counted_of) for entry in row.controls] == [(3, 17), (1, None), (0, 0)]


def test_edge_13_no_list_is_not_an_empty_list() -> None:
    assert read_snapshot(controlScores=...).controls is None
    assert read_snapshot(controlScores=None).controls is None
    assert read_snapshot(controlScores=[]).controls == []


@pytest.mark.parametrize("maximum", [0, "0", None, "n/a"])
async def test_edge_14_without_a_maximum_there_is_no_percentage(database: Database, maximum: object) -> None:
    assert DayScore(snapshot_day(), 5.0, number(maximum)).percent is None
    await keep(
        database,
        snapshots=[snapshot(controls=[score("A", 0, ...)], maxScore=maximum)],
        profiles=[profile("A", maxScore=maximum)],
    )
    line = (await lines_of(database))["A"]
    assert line.percent is None
    assert line.score_impact is None


def snapshot_day() -> Any:
    return datetime(2026, 11, 19, tzinfo=UTC).date()


def test_edge_15_a_missing_percentage_is_computed_and_zero_is_zero() -> None:
    assert percent_of(5, 10, None) == 50
    assert percent_of(5, None, None) is None
    assert percent_of(None, 10, None) is None
    assert percent_of(0, 10, 0) == 0
    assert percent_of(0, None, 0) == 0


async def test_edge_15_zero_is_shown_as_zero(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A", 0, 0)])], profiles=[profile("A")])
    line = (await lines_of(database))["A"]
    assert (line.points, line.percent) == (0, 0)


async def test_edge_16_the_sum_is_kept_beside_the_total(database: Database) -> None:
    await keep(database, snapshots=[snapshot(controls=[score("A", 3, 30), score("B", 4, 40)], currentScore=12)])
    async with database.transaction() as session:
        newest = await newest_day(session, TENANT)
    assert newest.control_points == 7
    assert differs(12, newest.control_points)
    assert not differs(7.004, newest.control_points)


async def test_edge_17_nothing_is_above_a_hundred_per_cent(database: Database) -> None:
    await keep(
        database,
        snapshots=[snapshot(controls=[score("A", 15, 150), score("B", 5, ...), score("Stray", 50, 100)], maxScore=10)],
        profiles=[profile("A", maxScore=10), profile("B", maxScore=4)],
    )
    lines = await lines_of(database)
    assert (lines["A"].percent, lines["B"].percent) == (100, 100)
    assert lines["A"].score_impact == 0
    [category] = categories(list(lines.values()))
    assert category.percent == 100
    assert (category.unknown, category.unknown_points) == (1, 50)
    assert DayScore(snapshot_day(), 70.0, 10.0).percent == 100


@pytest.mark.parametrize(
    ("entry", "percent", "seats"),
    [
        ({"basis": "AllTenants", "averageScore": 54.65}, 54.65, ""),
        ({"averageScore": "48.9", "SeatSizeRangeUpperValue": "100", "SeatSizeRangeLowerValue": "1", "basis": "TotalSeats"},
         48.9, "1–100"),
        ({"basis": "TotalSeats", "averageScore": 40, "seatSizeRangeLowerValue": "101", "seatSizeRangeUpperValue": 500},
         40.0, "101–500"),
        ({"basis": "TotalSeats", "averageScore": -1}, None, ""),
        ({"basis": "IndustryTypes", "averageScore": "-1", "categoryValue": "x"}, None, ""),
        ({"basis": "AllTenants", "averageScore": 370}, None, ""),  # Points, as in 2019: no percentage.
        ({"basis": "New", "averageScore": None}, None, ""),
        ({}, None, ""),
    ],
)  # fmt: skip
def test_edge_18_comparisons_in_any_shape(entry: dict[str, Any], percent: float | None, seats: str) -> None:
    [read] = read_snapshot(averageComparativeScores=[entry]).comparisons
    line = comparison_line(
        {"basis": read.basis, "percent": read.percent, "seats_from": read.seats_from, "seats_to": read.seats_to}
    )
    assert (line.percent, line.seats) == (percent, seats)


@pytest.mark.parametrize("sent", [[], None, "none", [None, 3]])
def test_edge_18_comparisons_may_be_missing(sent: object) -> None:
    assert read_snapshot(averageComparativeScores=sent).comparisons == []


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-11-17T04:34:13.123456Z", datetime(2026, 11, 17, 4, 34, 13, 123456, UTC)),
        ("2026-11-17T04:34:13.1234567Z", datetime(2026, 11, 17, 4, 34, 13, 123456, UTC)),
        ("2026-11-17T04:34:13+02:00", datetime(2026, 11, 17, 2, 34, 13, tzinfo=UTC)),
        ("2026-11-17T04:34:13", datetime(2026, 11, 17, 4, 34, 13, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-14:00", None),
        (None, None), ("", None), ("soon", None), (0, None),
    ],
)  # fmt: skip
def test_edge_20_times_of_any_precision_or_none(sent: object, read: datetime | None) -> None:
    assert moment(sent) == read


async def test_edge_20_last_synced_may_be_later_than_the_day_or_weeks_old(database: Database) -> None:
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


@pytest.mark.parametrize("users", [0, -5, 10**30, "many", None])
async def test_edge_21_user_counts_are_never_computed_with(database: Database, users: object) -> None:
    await keep(database, snapshots=[snapshot(activeUserCount=users, licensedUserCount=users)])
    async with database.transaction() as session:
        newest = await newest_day(session, TENANT)
    assert newest.active_users in (0, None)


@given(JSON)
def test_whatever_graph_sends_can_be_stored(value: object) -> None:
    written = as_stored_json({"member": value})
    assert "\\u0000" not in written
    assert "NaN" not in written.replace('"NaN', "")
    json.loads(written).get("member")
    written.encode()


@given(
    st.dictionaries(st.sampled_from(sorted(snapshot())), JSON), st.dictionaries(st.sampled_from(sorted(score())), JSON)
)
def test_no_snapshot_makes_the_reader_fall(changes: dict[str, Any], inner: dict[str, Any]) -> None:
    changes.pop("azureTenantId", None)
    rows = snapshots_of([snapshot() | {"controlScores": [score() | inner]} | changes], TENANT, ParseReport())
    for row in rows:
        assert all(entry.percent is None or 0 <= entry.percent <= 100 for entry in row.controls or ())


@given(st.dictionaries(st.sampled_from(sorted(profile())), JSON))
def test_no_profile_makes_the_reader_fall(changes: dict[str, Any]) -> None:
    changes.pop("azureTenantId", None)
    profiles_of([profile() | changes], TENANT, ParseReport())


@pytest.mark.parametrize("nasty", ["nul \x00 byte", "half \ud800 pair", "\u202eright to left", "emoji 🛡️"])
async def test_nasty_texts_reach_the_database(database: Database, nasty: str) -> None:
    await keep(
        database,
        snapshots=[snapshot(controls=[score(nasty, description=nasty)], enabledServices=[nasty])],
        profiles=[profile("A", title=nasty, threats=[nasty], controlStateUpdates=[{"comment": nasty, "state": nasty}])],
    )
    lines = await lines_of(database)
    assert len(lines) == 2
