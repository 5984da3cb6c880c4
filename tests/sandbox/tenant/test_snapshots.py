"""Generated Secure Score snapshots."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from app.features.secure_score.actions.coverage import coverage_of
from tests.factories.microsoft import NEWEST


def profiles(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/secureScoreControlProfiles").raise_for_status().json()["value"]
    return found


def scores(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/secureScores").raise_for_status().json()["value"]
    return found


@pytest.mark.fact("microsoft-graph 1.2")
def test_ninety_days_newest_first_at_midnight_with_one_day_missing(client: httpx.Client) -> None:
    days = [date.fromisoformat(score["createdDateTime"][:10]) for score in scores(client)]
    assert all(score["createdDateTime"].endswith("T00:00:00Z") for score in scores(client))
    assert len(days) == 90
    assert days == sorted(days, reverse=True)
    assert days[0] == NEWEST
    gaps = [newer - older for newer, older in pairwise(days)]
    assert gaps.count(timedelta(days=2)) == 1


@pytest.mark.fact("microsoft-graph 1.2")
def test_comparisons_have_pascal_case_ranges_and_no_industry(client: httpx.Client) -> None:
    averages = {average["basis"]: average for average in scores(client)[0]["averageComparativeScores"]}
    assert set(averages) == {"AllTenants", "TotalSeats"}
    assert averages["TotalSeats"]["SeatSizeRangeUpperValue"] == "49"


@pytest.mark.fact("microsoft-graph 1.3")
def test_control_scores_add_up_and_carry_no_maximum(client: httpx.Client) -> None:
    for score in scores(client):
        assert sum(entry["score"] for entry in score["controlScores"]) == pytest.approx(score["currentScore"], abs=0.01)
    entries = scores(client)[0]["controlScores"]
    assert all("maxScore" not in entry for entry in entries)
    assert {type(entry["on"]) for entry in entries if "on" in entry} == {str}
    assert {type(entry["count"]) for entry in entries if "count" in entry} == {str}
    assert any("count" in entry and "total" not in entry for entry in entries)


def test_the_history_has_gains_a_regression_and_a_license_change(client: httpx.Client) -> None:
    newest, *_, oldest = scores(client)
    assert newest["currentScore"] > oldest["currentScore"]
    assert newest["maxScore"] > oldest["maxScore"]
    assert newest["enabledServices"] != oldest["enabledServices"]

    def points(score: dict[str, Any], name: str) -> float:
        return next(float(entry["score"]) for entry in score["controlScores"] if entry["controlName"] == name)

    assert points(newest, "BlockLegacyAuthentication") < points(oldest, "BlockLegacyAuthentication")


@pytest.mark.fact("microsoft-graph 1.6")
def test_neither_list_covers_the_other(client: httpx.Client) -> None:
    known = {item["id"] for item in profiles(client)}
    scored = {entry["controlName"] for entry in scores(client)[0]["controlScores"]}
    assert len(known - scored) > 10
    assert len(scored - known) >= 4


@pytest.mark.fact("microsoft-graph 1.3")
def test_counts_are_of_what_is_done_and_fit_the_percentage(client: httpx.Client) -> None:
    entries = [entry for entry in scores(client)[0]["controlScores"] if "total" in entry]
    assert len(entries) > 10
    for entry in entries:
        assert coverage_of(int(entry["count"]), int(entry["total"]), entry["scoreInPercentage"]).is_known
        assert entry["controlCategory"] != "Device"
