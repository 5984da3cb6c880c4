"""Graph sandbox: authorization, paging, faults, state updates."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from tests.factories.microsoft import CONTEXT, SandboxMicrosoft

pytestmark = pytest.mark.thorough


def profiles(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/secureScoreControlProfiles").raise_for_status().json()["value"]
    return found


SCORES, PROFILES = "/secureScores", "/secureScoreControlProfiles"


BODY = {"state": "Reviewed", "comment": "x", "vendorInformation": {"provider": "SecureScore", "vendor": "Microsoft"}}


def switch(graph: SandboxMicrosoft, **wanted: Any) -> None:
    graph.control("quirks", **wanted)


def test_without_a_good_token_graph_answers_in_its_own_envelope(graph: SandboxMicrosoft) -> None:
    answer = httpx.get(f"{graph.url}/v1.0/security/secureScores")
    assert answer.status_code == 401
    assert set(answer.json()["error"]) == {"code", "message", "innerError"}


@pytest.mark.fact("microsoft-graph 1.5")
def test_states_are_histories_and_can_be_changed(client: httpx.Client) -> None:
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


@pytest.mark.fact("microsoft-graph 1.6")
def test_pages_follow_a_link_and_even_one_day_has_one(graph: SandboxMicrosoft, client: httpx.Client) -> None:
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
def test_a_fault_applies_when_ordered_and_only_as_often(
    graph: SandboxMicrosoft, client: httpx.Client, name: str, status: int
) -> None:
    httpx.post(f"{graph.url}/_sandbox/graph/faults", json={"name": name}).raise_for_status()
    answer = client.get("/secureScores")
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (name == "throttled")
    assert ("warning" in answer.headers) == (name == "partial")
    assert client.get("/secureScores").json()["value"]


@pytest.mark.fact("microsoft-graph edge-1")
def test_the_second_page_of_one_list_can_fail(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    switch(graph, page_size=60)
    graph.fault("server_error", what="secureScoreControlProfiles", page=2)
    first = client.get(PROFILES)
    assert first.status_code == 200
    link = first.json()["@odata.nextLink"]
    assert client.get(link).status_code == 500
    assert client.get(link).status_code == 200, "once"


@pytest.mark.fact("microsoft-graph edge-3")
def test_a_next_link_may_lead_elsewhere_or_back(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    graph.fault("elsewhere")
    assert client.get(SCORES, params={"$top": "1"}).json()["@odata.nextLink"].startswith("http://127.0.0.1:9/")
    graph.fault("itself")
    answer = client.get(SCORES, params={"$top": "1"})
    assert answer.json()["@odata.nextLink"] == str(answer.request.url)


@pytest.mark.fact("microsoft-graph edge-5")
def test_a_partial_answer_carries_a_warning(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    graph.fault("partial")
    answer = client.get(SCORES)
    assert (answer.status_code, "503" in answer.headers["warning"]) == (206, True)
    assert answer.json()["value"]


@pytest.mark.fact("microsoft-graph edge-6")
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
def test_throttling_names_its_time_in_three_ways(
    graph: SandboxMicrosoft, client: httpx.Client, name: str, status: int, said: str
) -> None:
    graph.fault(name, seconds=60)
    answer = client.get(SCORES)
    assert answer.status_code == status
    told = answer.headers.get("retry-after", "")
    if said == "date":
        assert timedelta(seconds=50) < parsedate_to_datetime(told) - datetime.now(UTC) < timedelta(seconds=61)
    else:
        assert told == ("60" if said else "")


@pytest.mark.fact("microsoft-graph edge-6")
async def test_more_calls_at_once_than_allowed_are_refused_and_the_peak_is_known(graph: SandboxMicrosoft) -> None:
    switch(graph, most_at_once=4, latency_ms=80)
    headers = {"Authorization": f"Bearer {graph.app_token()}"}
    async with httpx.AsyncClient(headers=headers, verify=CONTEXT) as client:
        url = f"{graph.url}/v1.0/security/secureScores?$top=1"
        answers = await asyncio.gather(*(client.get(url) for _ in range(7)))
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [429] * 3
    assert graph.tenant.peak == 5, "those refused were gone at once"


@pytest.mark.fact("microsoft-graph edge-7")
def test_a_token_may_expire_on_the_way_and_permissions_be_missing(
    graph: SandboxMicrosoft, client: httpx.Client
) -> None:
    graph.fault("token_expired", what="secureScoreControlProfiles")
    assert client.get(SCORES).status_code == 200
    assert client.get(PROFILES).json()["error"]["code"] == "InvalidAuthenticationToken"
    graph.fault("forbidden", times=2)
    assert [client.get(SCORES).status_code for _ in range(3)] == [403, 403, 200]


@pytest.mark.fact("microsoft-graph edge-7")
@pytest.mark.parametrize("granted", ["", "User.Read.All"])
def test_without_consent_a_token_is_given_and_every_call_is_403(graph: SandboxMicrosoft, granted: str) -> None:
    switch(graph, granted=granted)
    headers = {"Authorization": f"Bearer {graph.app_token()}"}
    assert httpx.get(f"{graph.url}/v1.0/security/secureScores", headers=headers).status_code == 403


@pytest.mark.fact("microsoft-graph edge-8")
def test_one_list_may_fail_alone(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    graph.fault("unavailable", what="secureScoreControlProfiles", times=5)
    assert client.get(SCORES).status_code == 200
    assert client.get(PROFILES).status_code == 503


@pytest.mark.fact("microsoft-graph edge-10")
@pytest.mark.parametrize("name", ["web_page", "cut_short", "not_json", "no_value"])
def test_a_response_can_be_a_web_page_or_invalid_json(graph: SandboxMicrosoft, client: httpx.Client, name: str) -> None:
    graph.fault(name)
    answer = client.get(SCORES)
    assert answer.status_code == 200
    if name == "no_value":
        assert "value" not in answer.json()
        return
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()


@pytest.mark.fact("microsoft-graph edge-45")
def test_writes_need_the_writing_permission(graph: SandboxMicrosoft) -> None:
    switch(graph, granted="SecurityEvents.Read.All")
    headers = {"Authorization": f"Bearer {graph.app_token()}"}
    url = f"{graph.url}/v1.0/security{PROFILES}/RoleOverlap"
    assert httpx.get(url, headers=headers).status_code == 200
    assert httpx.patch(url, headers=headers, json=BODY).status_code == 403


@pytest.mark.fact("microsoft-graph edge-45")
def test_writes_may_be_refused_without_a_reason(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    url = f"{PROFILES}/RoleOverlap"
    graph.fault("bad_request", method="PATCH")
    assert client.get(url).status_code == 200
    assert client.patch(url, json=BODY).status_code == 400
    assert client.patch(url, json=BODY).status_code == 204
    switch(graph, writes_refused=True)
    assert client.patch(url, json=BODY).json()["error"]["code"] == "BadRequest"
    assert client.patch(url, content=b"[", headers={"Content-Type": "application/json"}).status_code == 400


def test_invalid_parameters_are_refused(client: httpx.Client) -> None:
    for params in ({"$top": "x"}, {"$top": "-1"}, {"$skip": "-1"}, {"$skiptoken": "unknown"}):
        assert client.get(SCORES, params=params).status_code == 400
    assert client.get("/nothing").status_code == 400
