"""Graph's stand-in: shapes, quirks and trouble of the fact sheet's sections 1.2 to 1.6."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.factories.microsoft import NEWEST, FakeMicrosoft


def profiles(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/secureScoreControlProfiles").raise_for_status().json()["value"]
    return found


def scores(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/secureScores").raise_for_status().json()["value"]
    return found


def test_without_a_good_token_graph_answers_in_its_own_envelope(graph: FakeMicrosoft) -> None:
    answer = httpx.get(f"{graph.url}/v1.0/security/secureScores")
    assert answer.status_code == 401
    assert set(answer.json()["error"]) == {"code", "message", "innerError"}


def test_1_2_ninety_days_newest_first_at_midnight_with_one_day_missing(client: httpx.Client) -> None:
    days = [date.fromisoformat(score["createdDateTime"][:10]) for score in scores(client)]
    assert all(score["createdDateTime"].endswith("T00:00:00Z") for score in scores(client))
    assert len(days) == 90
    assert days == sorted(days, reverse=True)
    assert days[0] == NEWEST
    gaps = [newer - older for newer, older in pairwise(days)]
    assert gaps.count(timedelta(days=2)) == 1


def test_1_2_comparisons_have_pascal_case_ranges_and_no_industry(client: httpx.Client) -> None:
    averages = {average["basis"]: average for average in scores(client)[0]["averageComparativeScores"]}
    assert set(averages) == {"AllTenants", "TotalSeats"}
    assert averages["TotalSeats"]["SeatSizeRangeUpperValue"] == "49"


def test_1_3_control_scores_add_up_and_carry_no_maximum(client: httpx.Client) -> None:
    for score in scores(client):
        assert sum(entry["score"] for entry in score["controlScores"]) == pytest.approx(score["currentScore"], abs=0.01)
    entries = scores(client)[0]["controlScores"]
    assert all("maxScore" not in entry for entry in entries)
    assert {type(entry["on"]) for entry in entries if "on" in entry} == {str}
    assert {type(entry["count"]) for entry in entries if "count" in entry} == {str}
    assert any("count" in entry and "total" not in entry for entry in entries)


def test_the_history_has_gains_a_regression_and_a_licence_change(client: httpx.Client) -> None:
    newest, *_, oldest = scores(client)
    assert newest["currentScore"] > oldest["currentScore"]
    assert newest["maxScore"] > oldest["maxScore"]
    assert newest["enabledServices"] != oldest["enabledServices"]

    def points(score: dict[str, Any], name: str) -> float:
        return next(float(entry["score"]) for entry in score["controlScores"] if entry["controlName"] == name)

    assert points(newest, "BlockLegacyAuthentication") < points(oldest, "BlockLegacyAuthentication")


def test_1_4_the_catalogue_is_as_uneven_as_the_real_one(client: httpx.Client) -> None:
    found = profiles(client)
    assert len(found) >= 120
    assert {"Identity", "Data", "Device", "Apps"} <= {item["controlCategory"] for item in found}
    assert {item["lastModifiedDateTime"] for item in found} == {None}
    assert None in {item["userImpact"] for item in found}
    assert {"Account breach", "Account Breach"} <= {threat for item in found for threat in item["threats"]}
    assert any(item["threats"] == [] for item in found)
    assert any(item["title"].endswith(" ") for item in found)
    titles = [item["title"] for item in found]
    assert len(set(titles)) < len(titles), "some titles are shared"
    assert any(item["id"].startswith("11770.") for item in found)
    assert any(item["remediation"] == "" for item in found)


def test_1_5_states_are_histories_and_can_be_changed(client: httpx.Client) -> None:
    states = {item["controlStateUpdates"][-1]["state"] for item in profiles(client)}
    assert {"Default", "Ignored", "ThirdParty"} <= states
    body = {
        "state": "Reviewed",
        "comment": "x",
        "vendorInformation": {"provider": "SecureScore", "vendor": "Microsoft"},
    }
    url = "/secureScoreControlProfiles/RoleOverlap"
    assert client.patch(url, json=body).status_code == 204
    assert client.patch(url, json={"state": "Reviewed"}).status_code == 400
    answer = client.patch(url, json=body, headers={"Prefer": "return=representation"})
    assert answer.json()["controlStateUpdates"][-1]["state"] == "Reviewed"
    assert client.patch("/secureScoreControlProfiles/scid_2010", json=body).status_code == 400


def test_1_6_neither_list_covers_the_other(client: httpx.Client) -> None:
    known = {item["id"] for item in profiles(client)}
    scored = {entry["controlName"] for entry in scores(client)[0]["controlScores"]}
    assert len(known - scored) > 10
    assert len(scored - known) >= 4


def test_1_6_pages_follow_a_link_and_even_one_day_has_one(graph: FakeMicrosoft, client: httpx.Client) -> None:
    assert "$skiptoken=" in client.get("/secureScores", params={"$top": "1"}).json()["@odata.nextLink"]
    graph.tenant.page_size = 60
    seen, url = [], "/secureScoreControlProfiles"
    while url:
        content = client.get(url).json()
        seen += [item["id"] for item in content["value"]]
        url = content.get("@odata.nextLink", "")
    assert len(seen) == len(set(seen)) >= 120


def test_filters_and_single_items(client: httpx.Client) -> None:
    found = client.get("/secureScoreControlProfiles", params={"$filter": "controlCategory eq 'Data'"}).json()["value"]
    assert {item["controlCategory"] for item in found} == {"Data"}
    assert client.get("/secureScoreControlProfiles/AdminMFAV2").json()["id"] == "AdminMFAV2"
    assert client.get("/secureScoreControlProfiles/nothing").status_code == 404


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("throttled", 429),
        ("throttled_silently", 429),
        ("unavailable", 503),
        ("partial", 206),
        ("forbidden", 403),
        ("empty", 200),
    ],
)
def test_trouble_comes_when_ordered_and_only_so_often(
    graph: FakeMicrosoft, client: httpx.Client, name: str, status: int
) -> None:
    httpx.post(f"{graph.url}/_sandbox/graph/faults", json={"name": name}).raise_for_status()
    answer = client.get("/secureScores")
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (name == "throttled")
    assert ("warning" in answer.headers) == (name == "partial")
    assert client.get("/secureScores").json()["value"]
