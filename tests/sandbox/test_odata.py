"""Graph's query options: applied, or answered 400, and never ignored. Whose tokens Graph takes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sandbox.entra import GRAPH, GRAPH_ID
from sandbox.odata import InvalidOption, read_options
from tests.factories.microsoft import MANAGER, OUTSIDER, Person, SandboxMicrosoft

ROWS: list[dict[str, Any]] = [
    {"id": "a", "maxScore": 5.0, "service": "EXO", "deprecated": False, "lastModifiedDateTime": "2026-01-01T00:00:00Z"},
    {"id": "b", "maxScore": 10.0, "service": "MDO", "deprecated": True, "lastModifiedDateTime": None},
    {"id": "c", "maxScore": "n/a", "service": "EXO", "lastModifiedDateTime": "2026-02-01T00:00:00.1234567Z"},
]


def found(**options: str) -> str:
    read = read_options("secureScoreControlProfiles", {f"${name}": value for name, value in options.items()})
    return "".join(row["id"] for row in read.rows(ROWS))


@pytest.mark.fact("microsoft-graph 1.1")
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("service eq 'EXO'", "ac"),
        ("service ne 'EXO'", "b"),
        ("service eq 'exo'", ""),
        ("maxScore gt 5", "b"),
        ("maxScore ge 5 and service eq 'EXO'", "a"),
        ("maxScore lt 6 or id eq 'b'", "ab"),
        ("not (id eq 'a' or id eq 'b')", "c"),
        ("deprecated eq true", "b"),
        ("lastModifiedDateTime gt 2026-01-15T00:00:00Z", "c"),
        ("lastModifiedDateTime eq null", "b"),
        ("startswith(service,'E') and contains(id,'c')", "c"),
        ("id eq 'it''s'", ""),
    ],
)
def test_a_filter_is_applied(text: str, ids: str) -> None:
    assert found(filter=text) == ids


@pytest.mark.fact("microsoft-graph 1.1")
def test_sorting_and_selecting_are_applied() -> None:
    assert found(orderby="service,id desc") == "cab"
    assert found(orderby="lastModifiedDateTime desc") == "cab"
    options = read_options("secureScoreControlProfiles", {"$select": "id, service"})
    assert options.shaped(ROWS[0]) == {"id": "a", "service": "EXO"}


@pytest.mark.parametrize(
    "options",
    [
        {"filter": "nothing eq 'x'"},
        {"filter": "service eq x"},
        {"filter": "service like 'x'"},
        {"filter": "service eq 5"},
        {"filter": "maxScore eq '5'"},
        {"filter": "maxScore gt null"},
        {"filter": "service eq 'x"},
        {"filter": "service eq 'x' id"},
        {"filter": "(service eq 'x'"},
        {"filter": "length(service) gt 5"},
        {"filter": "contains(maxScore,'5')"},
        {"filter": "threats eq 'x'"},
        {"filter": ""},
        {"filter": "not"},
        {"orderby": "nothing"},
        {"orderby": "id up"},
        {"orderby": "threats"},
        {"select": "id,nothing"},
        {"select": ""},
        {"search": "mfa"},
        {"expand": "controlScores"},
        {"count": "yes"},
    ],
    ids=lambda options: "&".join(f"{name}={value}" for name, value in options.items()),
)
def test_an_option_that_cannot_be_applied_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidOption):
        found(**options)


@pytest.mark.fact("microsoft-graph 1.1", "microsoft-graph 1.6")
def test_a_list_applies_all_options_on_every_page_or_says_400(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    wanted = {"$filter": "maxScore gt 3", "$orderby": "id desc", "$select": "id,maxScore", "$top": "20", "$skip": "1"}
    content = client.get("/secureScoreControlProfiles", params=wanted).raise_for_status().json()
    seen = content["value"]
    while "@odata.nextLink" in content:
        content = client.get(content["@odata.nextLink"]).raise_for_status().json()
        seen += content["value"]
    everything = [row for row in graph.tenant.profiles if row["maxScore"] > 3]
    ids = sorted((row["id"] for row in everything), reverse=True)[1:]
    assert len(ids) > 20
    assert [row["id"] for row in seen] == ids
    assert {name for row in seen for name in row} == {"id", "maxScore"}
    for path in ("/secureScoreControlProfiles", "/secureScoreControlProfiles/AdminMFAV2", "/secureScores"):
        answer = client.get(path, params={"$select": "nothing"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest"), path
    single = client.get("/secureScoreControlProfiles/AdminMFAV2", params={"$select": "id"}).json()
    assert single == {"id": "AdminMFAV2"}


def read_scores(graph: SandboxMicrosoft, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{graph.url}/v1.0/security/secureScores", params={"$top": "1"}, headers=headers).status_code


@pytest.mark.fact("microsoft-graph 2.1")
@pytest.mark.parametrize(("resource", "status"), [(GRAPH, 200), (GRAPH_ID, 200), ("https://other.example", 401)])
def test_tokens_for_microsoft_s_own_audience_are_accepted(graph: SandboxMicrosoft, resource: str, status: int) -> None:
    client = (graph.settings.client_id, graph.settings.client_secret)
    url = f"{graph.url}/{graph.settings.tenant_id}/oauth2/v2.0/token"
    form = {"grant_type": "client_credentials", "scope": f"{resource}/.default"}
    answer = httpx.post(url, data=form, auth=client).raise_for_status().json()
    assert read_scores(graph, answer["access_token"]) == status


@pytest.mark.fact("microsoft-graph 2.1")
def test_a_scope_below_the_host_s_root_is_refused(graph: SandboxMicrosoft) -> None:
    client = (graph.settings.client_id, graph.settings.client_secret)
    url = f"{graph.url}/{graph.settings.tenant_id}/oauth2/v2.0/token"
    form = {"grant_type": "client_credentials", "scope": f"{GRAPH}/v1.0/.default"}
    answer = httpx.post(url, data=form, auth=client)
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [500011])


@pytest.mark.parametrize(
    ("person", "scope", "status"),
    [
        (MANAGER, "SecurityEvents.Read.All", 200),
        (MANAGER, "User.Read", 403),
        (OUTSIDER, "SecurityEvents.Read.All", 403),
    ],
    ids=["scope and role", "no scope", "no role"],
)
def test_a_person_s_token_needs_the_scope_and_a_role(
    graph: SandboxMicrosoft, person: Person, scope: str, status: int
) -> None:
    base = f"{graph.url}/{graph.settings.tenant_id}/oauth2/v2.0"
    client = {"client_id": graph.settings.client_id, "client_secret": graph.settings.client_secret}
    back = {"redirect_uri": graph.settings.redirect_uris[0]}
    asked = {**back, "client_id": client["client_id"], "response_type": "code", "scope": scope, "oid": person.oid}
    code = httpx.URL(httpx.post(f"{base}/pick", data=asked).headers["location"]).params["code"]
    form = {"grant_type": "authorization_code", "code": code, **client, **back}
    assert read_scores(graph, httpx.post(f"{base}/token", data=form).json()["access_token"]) == status
