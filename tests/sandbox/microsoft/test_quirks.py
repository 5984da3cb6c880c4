"""Graph's stand-in in trouble: edge cases 1 to 31, and those of writing back; each test named by its number."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from sandbox.entra import EntraSandbox
from sandbox.graph_faults import GRAPH_FAULTS
from sandbox.microsoft import create_app
from sandbox.tenant.edge_cases import EdgeCases
from sandbox.tenant.malformed import OTHER_TENANT, UNUSUAL_IDS
from sandbox.tenant.tenant_data import Tenant, yesterday
from tests.factories.microsoft import CONTEXT, NEWEST, Microsoft

SCORES, PROFILES = "/secureScores", "/secureScoreControlProfiles"
BODY = {"state": "Reviewed", "comment": "x", "vendorInformation": {"provider": "SecureScore", "vendor": "Microsoft"}}


def values(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(path).raise_for_status().json()["value"]
    return found


def newest(client: httpx.Client) -> dict[str, Any]:
    return values(client, SCORES)[0]


def quirk(graph: Microsoft, **wanted: Any) -> None:
    graph.control("quirks", **wanted)


def test_1_the_second_page_of_one_list_may_fail(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, page_size=60)
    graph.fault("server_error", what="secureScoreControlProfiles", page=2)
    first = client.get(PROFILES)
    assert first.status_code == 200
    link = first.json()["@odata.nextLink"]
    assert client.get(link).status_code == 500
    assert client.get(link).status_code == 200, "once"


def test_2_each_request_is_written_down(graph: Microsoft, client: httpx.Client) -> None:
    client.get(SCORES, params={"$top": "1"})
    assert [entry.query for entry in graph.calls("secureScores")] == ["%24top=1"]
    counts = httpx.get(f"{graph.url}/_sandbox/graph/counts").json()
    assert counts["GET /v1.0/security/secureScores"] == 1


def test_3_a_next_link_may_lead_elsewhere_or_back(graph: Microsoft, client: httpx.Client) -> None:
    graph.fault("elsewhere")
    assert client.get(SCORES, params={"$top": "1"}).json()["@odata.nextLink"].startswith("http://127.0.0.1:9/")
    graph.fault("itself")
    answer = client.get(SCORES, params={"$top": "1"})
    assert answer.json()["@odata.nextLink"] == str(answer.request.url)


def test_4_there_may_be_no_score_yet(graph: Microsoft, client: httpx.Client) -> None:
    graph.fault("empty", what="secureScores")
    assert values(client, SCORES) == []
    quirk(graph, no_score_yet=True)
    assert values(client, SCORES) == []
    assert values(client, PROFILES)


def test_5_a_partial_answer_carries_a_warning(graph: Microsoft, client: httpx.Client) -> None:
    graph.fault("partial")
    answer = client.get(SCORES)
    assert (answer.status_code, "503" in answer.headers["warning"]) == (206, True)
    assert answer.json()["value"]


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("throttled", 429, "seconds"),
        ("throttled_date", 429, "date"),
        ("throttled_silently", 429, ""),
        ("unavailable", 503, ""),
        ("unavailable_later", 503, "seconds"),
    ],
)
def test_6_throttling_names_its_time_in_three_ways(
    graph: Microsoft, client: httpx.Client, name: str, status: int, said: str
) -> None:
    graph.fault(name, seconds=60)
    answer = client.get(SCORES)
    assert answer.status_code == status
    told = answer.headers.get("retry-after", "")
    if said == "date":
        assert timedelta(seconds=50) < parsedate_to_datetime(told) - datetime.now(UTC) < timedelta(seconds=61)
    else:
        assert told == ("60" if said else "")


async def test_6_more_calls_at_once_than_allowed_are_refused_and_the_peak_is_known(graph: Microsoft) -> None:
    quirk(graph, most_at_once=4, latency_ms=80)
    headers = {"Authorization": f"Bearer {graph.app_token()}"}
    async with httpx.AsyncClient(headers=headers, verify=CONTEXT) as client:
        url = f"{graph.url}/v1.0/security/secureScores?$top=1"
        answers = await asyncio.gather(*(client.get(url) for _ in range(7)))
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [429] * 3
    assert graph.tenant.peak == 5, "those refused were gone at once"


def test_7_a_token_may_expire_on_the_way_and_permissions_be_missing(graph: Microsoft, client: httpx.Client) -> None:
    graph.fault("token_expired", what="secureScoreControlProfiles")
    assert client.get(SCORES).status_code == 200
    assert client.get(PROFILES).json()["error"]["code"] == "InvalidAuthenticationToken"
    graph.fault("forbidden", times=2)
    assert [client.get(SCORES).status_code for _ in range(3)] == [403, 403, 200]


@pytest.mark.parametrize("granted", ["", "User.Read.All"])
def test_7_without_consent_a_token_is_given_and_every_call_is_403(graph: Microsoft, granted: str) -> None:
    quirk(graph, granted=granted)
    headers = {"Authorization": f"Bearer {graph.app_token()}"}
    assert httpx.get(f"{graph.url}/v1.0/security/secureScores", headers=headers).status_code == 403


def test_8_one_list_may_fail_alone(graph: Microsoft, client: httpx.Client) -> None:
    graph.fault("unavailable", what="secureScoreControlProfiles", times=5)
    assert client.get(SCORES).status_code == 200
    assert client.get(PROFILES).status_code == 503


@pytest.mark.parametrize("name", ["web_page", "cut_short", "not_json", "no_value"])
def test_10_what_comes_may_be_no_answer(graph: Microsoft, client: httpx.Client, name: str) -> None:
    graph.fault(name)
    answer = client.get(SCORES)
    assert answer.status_code == 200
    if name == "no_value":
        assert "value" not in answer.json()
        return
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()


def test_11_unknown_members_at_every_level(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, extra_members=True)
    score, profile = newest(client), values(client, PROFILES)[0]
    assert all("aMemberOfTomorrow" in one for one in (score, score["controlScores"][0], profile))


def test_12_numbers_may_be_texts_or_no_numbers(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, numbers_as_text=True, unknown_scores="n/a")
    entries = newest(client)["controlScores"]
    assert {type(entry["score"]) for entry in entries} == {str}
    assert "n/a" in {entry["score"] for entry in entries}
    assert {type(one["maxScore"]) for one in values(client, PROFILES)} == {str}
    quirk(graph, unknown_scores="null")
    assert None in {entry["score"] for entry in newest(client)["controlScores"]}


def test_13_totals_of_zero_and_no_control_scores(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, zero_totals=True)
    assert {entry["total"] for entry in newest(client)["controlScores"] if "total" in entry} == {"0"}
    quirk(graph, no_control_scores=True)
    assert "controlScores" not in newest(client)


def test_14_15_16_17_maxima_percentages_and_sums(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, max_zero=True, no_percentages=True, sum_differs=True, above_max=True)
    score, profiles = newest(client), values(client, PROFILES)
    entries = score["controlScores"]
    assert score["maxScore"] == 0
    assert profiles[0]["maxScore"] == 0
    assert not any("scoreInPercentage" in entry for entry in entries)
    assert score["currentScore"] == pytest.approx(sum(entry["score"] for entry in entries) + 3.5)
    most = {one["id"]: one["maxScore"] for one in profiles}
    assert any(entry["score"] > most.get(entry["controlName"], 1000) for entry in entries)


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
def test_18_the_comparison_has_many_shapes(
    graph: Microsoft, client: httpx.Client, shape: str, bases: list[str]
) -> None:
    quirk(graph, comparisons=shape)
    compared = newest(client)["averageComparativeScores"]
    assert [one["basis"] for one in compared] == bases
    if shape.startswith("minus"):
        assert {one["averageScore"] for one in compared} == {-1 if shape == "minus_one" else "-1"}
    if shape == "old":
        assert compared[1]["seatSizeRangeLowerValue"] == "0"
        assert compared[0]["deviceScore"] == "12.5"


def test_18_or_is_missing(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, comparisons="missing")
    assert "averageComparativeScores" not in newest(client)


def test_19_a_day_may_come_twice_under_two_ids(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, double_day=True)
    first, second = values(client, SCORES)[:2]
    assert first["createdDateTime"] == second["createdDateTime"]
    assert first["id"] != second["id"]


def test_20_21_odd_times_and_counts(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, odd_times=True, absurd_counts=True)
    score = newest(client)
    synced = [entry["lastSynced"] for entry in score["controlScores"]]
    assert None in synced
    assert any(moment and moment > score["createdDateTime"] and "." in moment for moment in synced)
    assert (score["activeUserCount"], score["licensedUserCount"]) == (2_000_000_000, -1)


def test_22_the_body_may_be_another_tenants(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, other_tenant=True)
    score = newest(client)
    assert score["azureTenantId"] == values(client, PROFILES)[0]["azureTenantId"] == OTHER_TENANT
    assert score["id"].startswith(OTHER_TENANT)


def test_23_the_lists_can_be_made_long(graph: Microsoft, client: httpx.Client) -> None:
    before = len(graph.tenant.profiles), len(newest(client)["controlScores"])
    quirk(graph, padding=300)
    assert (len(graph.tenant.profiles), len(newest(client)["controlScores"])) == (before[0] + 300, before[1] + 300)


def test_26_27_odd_ids_are_found_one_by_one(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, odd_ids=True, page_size=1000)
    known = {one["id"] for one in values(client, PROFILES)}
    scored = {entry["controlName"] for entry in newest(client)["controlScores"]}
    assert set(UNUSUAL_IDS) <= known & scored
    for control_id in (*UNUSUAL_IDS, "11770.MDA_Google_EnableTwoFactorAuth"):
        path = f"{PROFILES}/{quote(control_id, safe='')}"
        assert client.get(path).json()["id"] == control_id


def test_28_29_controls_vanish_appear_and_are_deprecated(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, vanished="AdminMFAV2,OneAdmin", appeared=True, deprecated="RoleOverlap", page_size=1000)
    profiles = {one["id"]: one for one in values(client, PROFILES)}
    today, before = values(client, SCORES)[:2]
    names = [{entry["controlName"] for entry in score["controlScores"]} for score in (today, before)]
    assert "AdminMFAV2" not in profiles.keys() | names[0]
    assert "AdminMFAV2" in names[1]
    assert "brand_new_control_v1" in names[0] - names[1]
    assert [name for name, one in profiles.items() if one["deprecated"]] == ["RoleOverlap"]
    assert today["currentScore"] == pytest.approx(sum(entry["score"] for entry in today["controlScores"]))


def test_32_40_42_hostile_texts_and_odd_states(graph: Microsoft, client: httpx.Client) -> None:
    quirk(graph, hostile_texts=True, odd_states=True, page_size=1000)
    profiles = values(client, PROFILES)
    hostile = next(one for one in profiles if one["id"] == "hostile_texts_v1")
    assert "<script>" in hostile["remediation"]
    assert hostile["actionUrl"].startswith("javascript:")
    states = [one["controlStateUpdates"] for one in profiles]
    assert None in states
    assert [] in states
    assert any(updates and updates[0]["state"] == "AlternateMitigation" for updates in states)


def test_45_writes_need_the_writing_permission(graph: Microsoft) -> None:
    quirk(graph, granted="SecurityEvents.Read.All")
    headers = {"Authorization": f"Bearer {graph.app_token()}"}
    url = f"{graph.url}/v1.0/security{PROFILES}/RoleOverlap"
    assert httpx.get(url, headers=headers).status_code == 200
    assert httpx.patch(url, headers=headers, json=BODY).status_code == 403


def test_45_writes_may_be_refused_without_a_reason(graph: Microsoft, client: httpx.Client) -> None:
    url = f"{PROFILES}/RoleOverlap"
    graph.fault("bad_request", method="PATCH")
    assert client.get(url).status_code == 200
    assert client.patch(url, json=BODY).status_code == 400
    assert client.patch(url, json=BODY).status_code == 204
    quirk(graph, writes_refused=True)
    assert client.patch(url, json=BODY).json()["error"]["code"] == "BadRequest"
    assert client.patch(url, content=b"[", headers={"Content-Type": "application/json"}).status_code == 400


def test_46_a_write_may_be_seen_much_later_or_fall_back(graph: Microsoft, client: httpx.Client) -> None:
    def state() -> Any:
        return client.get(f"{PROFILES}/RoleOverlap").json()["controlStateUpdates"][-1]["state"]

    quirk(graph, writes_hidden=True)
    assert client.patch(f"{PROFILES}/RoleOverlap", json=BODY).status_code == 204
    assert state() == "Default"
    quirk(graph, writes_hidden=False)
    assert state() == "Reviewed"
    quirk(graph, reviewed_lost=True)
    client.patch(f"{PROFILES}/RoleOverlap", json=BODY)
    assert state() == "Default"


def test_days_pass_and_points_change(graph: Microsoft, client: httpx.Client) -> None:
    before = newest(client)
    graph.control("day", days=2)
    graph.control("points", control="AdminMFAV2", points=10)
    today, yesterdays = values(client, SCORES)[:2]
    assert date.fromisoformat(today["createdDateTime"][:10]) == NEWEST + timedelta(days=2)
    entry = next(one for one in today["controlScores"] if one["controlName"] == "AdminMFAV2")
    assert (entry["score"], entry["scoreInPercentage"]) == (10, 100)
    assert yesterdays["currentScore"] == before["currentScore"]
    assert today["currentScore"] == pytest.approx(before["currentScore"] + 6)
    assert len(values(client, SCORES)) <= 91


def test_a_tenant_of_the_demo_follows_the_calendar() -> None:
    tenant = Tenant("t", yesterday() - timedelta(days=3), follows_calendar=True)
    assert tenant.scores[0]["createdDateTime"][:10] == yesterday().isoformat()
    settings = EntraSandbox("t", "c", "s", ())
    assert create_app(settings).state.tenant.follows_calendar
    assert not create_app(settings, NEWEST).state.tenant.follows_calendar


NAMES = [item.name for item in fields(EdgeCases)]


@pytest.mark.parametrize("name", NAMES)
def test_each_quirk_is_set_by_the_control_api_and_from_the_page_and_never_breaks_an_answer(
    graph: Microsoft, client: httpx.Client, name: str
) -> None:
    item = next(item for item in fields(EdgeCases) if item.name == name)
    choices = item.metadata["choices"]
    new = choices[-1] if choices else True if item.default is False else 3 if isinstance(item.default, int) else "a"
    quirk(graph, **{name: new})
    assert httpx.get(f"{graph.url}/_sandbox/graph/quirks").json()[name] == new
    assert client.get(SCORES).status_code == 200
    assert client.get(PROFILES).status_code == 200
    httpx.post(f"{graph.url}/_sandbox/", data={"switch": name, "value": str(item.default).replace("False", "off")})
    assert getattr(graph.tenant.edge_cases, name) == item.default


def test_the_page_offers_everything(graph: Microsoft) -> None:
    page = httpx.get(f"{graph.url}/_sandbox/").text
    assert all(name in page for name in (*NAMES, *GRAPH_FAULTS))
    httpx.post(f"{graph.url}/_sandbox/", data={"fault": "throttled", "what": "secureScores", "times": "2", "page": "0"})
    assert [(fault.name, fault.times) for fault in graph.tenant.orders] == [("throttled", 2)]
    httpx.post(f"{graph.url}/_sandbox/", data={"forget": "faults"})
    assert graph.tenant.orders == []
    httpx.post(f"{graph.url}/_sandbox/", data={"days": "1"})
    assert graph.tenant.newest == NEWEST + timedelta(days=1)
    assert httpx.post(f"{graph.url}/_sandbox/", data={"control": "nothing", "points": "1"}).status_code == 400


@pytest.mark.parametrize(
    ("what", "order"),
    [
        ("faults", {"name": "x"}),
        ("faults", {"name": "empty", "times": 0}),
        ("quirks", {"x": 1}),
        ("nothing", {}),
        ("points", {}),
    ],
)
def test_a_wrong_order_says_why(graph: Microsoft, what: str, order: dict[str, Any]) -> None:
    answer = httpx.post(f"{graph.url}/_sandbox/graph/{what}", json=order)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_odd_parameters_are_refused(client: httpx.Client) -> None:
    for params in ({"$top": "x"}, {"$top": "-1"}, {"$skip": "-1"}, {"$skiptoken": "unknown"}):
        assert client.get(SCORES, params=params).status_code == 400
    assert client.get("/nothing").status_code == 400
