"""Edge cases applied to snapshots and control profiles."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from sandbox.tenant.malformed import OTHER_TENANT, UNUSUAL_IDS, numbered
from tests.factories.microsoft import SandboxMicrosoft

pytestmark = pytest.mark.thorough

SCORES, PROFILES = "/secureScores", "/secureScoreControlProfiles"


def values(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(path).raise_for_status().json()["value"]
    return found


def newest(client: httpx.Client) -> dict[str, Any]:
    return values(client, SCORES)[0]


def switch(graph: SandboxMicrosoft, **wanted: Any) -> None:
    graph.control("quirks", **wanted)


@pytest.mark.fact("microsoft-graph edge-4")
def test_there_may_be_no_score_yet(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    graph.fault("empty", what="secureScores")
    assert values(client, SCORES) == []
    switch(graph, no_score_yet=True)
    assert values(client, SCORES) == []
    assert values(client, PROFILES)


@pytest.mark.fact("microsoft-graph edge-11")
def test_unknown_members_at_every_level(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, extra_members=True)
    score, profile = newest(client), values(client, PROFILES)[0]
    assert all("aMemberOfTomorrow" in one for one in (score, score["controlScores"][0], profile))


@pytest.mark.fact("microsoft-graph edge-12")
def test_numbers_may_be_texts_or_no_numbers(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, numbers_as_text=True, unknown_scores="n/a")
    entries = newest(client)["controlScores"]
    assert {type(entry["score"]) for entry in entries} == {str}
    assert "n/a" in {entry["score"] for entry in entries}
    assert {type(one["maxScore"]) for one in values(client, PROFILES)} == {str}
    switch(graph, unknown_scores="null")
    assert None in {entry["score"] for entry in newest(client)["controlScores"]}


@pytest.mark.fact("microsoft-graph edge-13")
def test_totals_of_zero_and_no_control_scores(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, zero_totals=True)
    assert {entry["total"] for entry in newest(client)["controlScores"] if "total" in entry} == {"0"}
    switch(graph, no_control_scores=True)
    assert "controlScores" not in newest(client)


@pytest.mark.fact(
    "microsoft-graph edge-14", "microsoft-graph edge-15", "microsoft-graph edge-16", "microsoft-graph edge-17"
)
def test_maxima_percentages_and_sums_can_be_inconsistent(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, max_zero=True, no_percentages=True, sum_differs=True, above_max=True)
    score, profiles = newest(client), values(client, PROFILES)
    entries = score["controlScores"]
    assert score["maxScore"] == 0
    assert profiles[0]["maxScore"] == 0
    assert not any("scoreInPercentage" in entry for entry in entries)
    assert score["currentScore"] == pytest.approx(sum(entry["score"] for entry in entries) + 3.5)
    most = {one["id"]: one["maxScore"] for one in profiles}
    assert any(entry["score"] > most.get(entry["controlName"], 1000) for entry in entries)


@pytest.mark.fact("microsoft-graph edge-18")
@pytest.mark.parametrize(
    ("shape", "bases"),
    [
        ("minus_one", ["AllTenants", "TotalSeats"]),
        ("minus_one_text", ["AllTenants", "TotalSeats"]),
        ("old", ["AllTenants", "TotalSeats", "IndustryTypes"]),
        ("reversed", ["TotalSeats", "AllTenants"]),
        ("bare", ["AllTenants", "TotalSeats"]),
        ("none", []),
    ],
)
def test_the_comparison_has_several_shapes(
    graph: SandboxMicrosoft, client: httpx.Client, shape: str, bases: list[str]
) -> None:
    switch(graph, comparisons=shape)
    compared = newest(client)["averageComparativeScores"]
    assert [one["basis"] for one in compared] == bases
    if shape.startswith("minus"):
        assert {one["averageScore"] for one in compared} == {-1 if shape == "minus_one" else "-1"}
    if shape == "old":
        assert compared[1]["seatSizeRangeLowerValue"] == "0"
        assert compared[0]["deviceScore"] == "12.5"


@pytest.mark.fact("microsoft-graph edge-18")
def test_the_comparison_can_be_absent(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, comparisons="missing")
    assert "averageComparativeScores" not in newest(client)


@pytest.mark.fact("microsoft-graph edge-19")
def test_a_day_may_come_twice_under_two_ids(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, double_day=True)
    first, second = values(client, SCORES)[:2]
    assert first["createdDateTime"] == second["createdDateTime"]
    assert first["id"] != second["id"]


@pytest.mark.fact("microsoft-graph edge-20", "microsoft-graph edge-21")
def test_sync_times_and_user_counts_can_be_implausible(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, odd_times=True, absurd_counts=True)
    score = newest(client)
    synced = [entry["lastSynced"] for entry in score["controlScores"]]
    assert None in synced
    assert any(moment and moment > score["createdDateTime"] and "." in moment for moment in synced)
    assert (score["activeUserCount"], score["licensedUserCount"]) == (2_000_000_000, -1)


@pytest.mark.fact("microsoft-graph edge-22")
def test_the_body_may_be_another_tenants(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, other_tenant=True)
    score = newest(client)
    assert score["azureTenantId"] == values(client, PROFILES)[0]["azureTenantId"] == OTHER_TENANT
    assert score["id"].startswith(OTHER_TENANT)


@pytest.mark.fact("microsoft-graph edge-23")
def test_the_lists_can_be_made_long(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    before = len(graph.tenant.profiles), len(newest(client)["controlScores"])
    switch(graph, padding=300)
    assert (len(graph.tenant.profiles), len(newest(client)["controlScores"])) == (before[0] + 300, before[1] + 300)


@pytest.mark.fact("microsoft-graph edge-26", "microsoft-graph edge-27")
def test_unusual_ids_are_distinct_and_retrievable(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, odd_ids=True, page_size=1000)
    known = {one["id"] for one in values(client, PROFILES)}
    scored = {entry["controlName"] for entry in newest(client)["controlScores"]}
    assert set(UNUSUAL_IDS) <= known & scored
    for control_id in (*UNUSUAL_IDS, "11770.MDA_Google_EnableTwoFactorAuth"):
        path = f"{PROFILES}/{quote(control_id, safe='')}"
        assert client.get(path).json()["id"] == control_id


@pytest.mark.fact("microsoft-graph edge-28", "microsoft-graph edge-29")
def test_controls_vanish_appear_and_are_deprecated(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, vanished="AdminMFAV2,OneAdmin", appeared=True, deprecated="RoleOverlap", page_size=1000)
    profiles = {one["id"]: one for one in values(client, PROFILES)}
    today, before = values(client, SCORES)[:2]
    names = [{entry["controlName"] for entry in score["controlScores"]} for score in (today, before)]
    assert "AdminMFAV2" not in profiles.keys() | names[0]
    assert "AdminMFAV2" in names[1]
    assert "brand_new_control_v1" in names[0] - names[1]
    assert [name for name, one in profiles.items() if one["deprecated"]] == ["RoleOverlap"]
    assert today["currentScore"] == pytest.approx(sum(entry["score"] for entry in today["controlScores"]))


@pytest.mark.fact("microsoft-graph edge-32", "microsoft-graph edge-40", "microsoft-graph edge-42")
def test_texts_can_be_hostile_and_state_updates_irregular(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, hostile_texts=True, odd_states=True, page_size=1000)
    profiles = values(client, PROFILES)
    hostile = next(one for one in profiles if one["id"] == "hostile_texts_v1")
    assert "<script>" in hostile["remediation"]
    assert hostile["actionUrl"].startswith("javascript:")
    states = [one["controlStateUpdates"] for one in profiles]
    assert None in states
    assert [] in states
    assert any(updates and updates[0]["state"] == "AlternateMitigation" for updates in states)


@pytest.mark.fact("microsoft-graph 1.2", "microsoft-graph 1.8")
def test_the_newest_day_may_be_missing_unreadable_or_empty(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    days = [one["createdDateTime"] for one in values(client, SCORES)]
    switch(graph, stale_days=26)
    assert [one["createdDateTime"] for one in values(client, SCORES)] == days[26:]
    switch(graph, stale_days=0, unreadable_total=True)
    assert "," in newest(client)["currentScore"]
    switch(graph, unreadable_total=False, all_zero=True)
    assert newest(client)["currentScore"] == 0
    assert {entry["score"] for entry in newest(client)["controlScores"]} == {0}
    assert values(client, SCORES)[1]["currentScore"] > 0


@pytest.mark.fact("microsoft-graph 1.3", "microsoft-graph 1.4")
def test_controls_may_be_worth_nothing_or_get_a_numbered_id(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, not_scored="OneAdmin", renamed="exo_dkim")
    entries = {entry["controlName"]: entry for entry in newest(client)["controlScores"]}
    assert (entries["OneAdmin"]["NotScored"], entries["OneAdmin"]["score"]) == ("true", 0)
    assert {one["id"]: one["maxScore"] for one in values(client, PROFILES)}["OneAdmin"] == 0
    assert "exo_dkim" in {entry["controlName"] for entry in values(client, SCORES)[1]["controlScores"]}
    assert {"exo_dkim", numbered("exo_dkim")} & set(entries) <= {numbered("exo_dkim")}
    assert numbered("exo_dkim") in {one["id"] for one in values(client, PROFILES)}
