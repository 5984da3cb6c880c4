"""Authentication, content negotiation and rate limits of API calls."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make, rows


@pytest.mark.fact("servicenow 2.1")
def test_a_method_may_be_overridden(api: httpx.Client) -> None:
    made = make(api)
    answer = api.post(f"/incident/{made['sys_id']}", json={"urgency": "1"}, headers={"X-HTTP-Method-Override": "PATCH"})
    assert (answer.status_code, answer.json()["result"]["urgency"]) == (200, "1")


@pytest.mark.fact("servicenow sandbox-17")
@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic YTpi"])
def test_no_good_token_is_401_in_the_envelope(servicenow: SandboxServiceNow, authorization: str | None) -> None:
    headers = {"Accept": "application/json"} | ({"Authorization": authorization} if authorization else {})
    answer = httpx.get(f"{servicenow.url}/api/now/table/incident", headers=headers)
    detail = "Required to provide Auth information"
    assert answer.json() == {"error": {"message": "User Not Authenticated", "detail": detail}, "status": "failure"}
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'BASIC realm="Service-now"')
    servicenow.instance.switches.old_401_wording = False
    answer = httpx.get(f"{servicenow.url}/api/now/table/incident", headers=headers)
    assert answer.json()["error"]["message"] == "User is not authenticated"


@pytest.mark.fact("servicenow sandbox-17")
def test_an_expired_token_is_401(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    httpx.post(f"{servicenow.url}/_sandbox/clock", json={"seconds": 1801}).raise_for_status()
    assert api.get("/incident").status_code == 401


@pytest.mark.fact("servicenow sandbox-29")
def test_unsupported_media_types_are_refused(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    assert api.get("/incident", headers={"Accept": "image/png"}).status_code == 406
    assert api.post("/incident", content=b"a=b", headers={"Content-Type": "text/plain"}).status_code == 415
    assert api.post("/incident", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert api.post("/incident", content=b'"text"', headers={"Content-Type": "application/json"}).status_code == 400


@pytest.mark.fact("servicenow sandbox-29")
def test_headers_that_are_missing(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    """httpx adds `Accept: */*` to what it builds itself, so these requests are built by hand."""

    def sent(method: str, content: bytes | None = None, **headers: str) -> httpx.Response:
        url = f"{servicenow.url}/api/now/v2/table/incident"
        signed = {"Authorization": api.headers["Authorization"], **headers}
        return api.send(httpx.Request(method, url, headers=signed, content=content))

    before = len(rows(api))
    asked = sent("GET")
    assert "accept" not in asked.request.headers
    assert (asked.status_code, len(asked.json()["result"])) == (200, before)
    servicenow.control("switches", accept_required=True)
    asked = sent("GET")
    assert (asked.status_code, asked.json()["status"]) == (400, "failure")
    made = sent("POST", b"{}", Accept="application/json")
    assert "content-type" not in made.request.headers
    assert (made.status_code, made.json()["status"]) == (400, "failure")
    assert sent("POST", b"{}", **{"Content-Type": "application/json"}).status_code == 400
    assert len(rows(api)) == before, "what is refused is not done"
    assert sent("GET", Accept="*/*").status_code == 200
    assert sent("POST", b"{}", Accept="application/json", **{"Content-Type": "application/json"}).status_code == 201


@pytest.mark.fact("servicenow sandbox-42")
def test_a_limit_per_hour_counts_down_and_is_over_with_the_hour(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    servicenow.control("switches", rate_limit_per_hour=2)
    answers = [api.get("/incident", params={"sysparm_limit": "1"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit"] == "2", "good answers carry the headers too"
    assert "retry-after" not in answers[0].headers
    left = int(answers[2].headers["retry-after"])
    assert 0 < left <= 3600
    with servicenow.api("fred.luddy") as other:
        assert other.get("/incident").status_code == 200, "each user has an hour of its own"
    servicenow.control("clock", seconds=left + 1)
    with servicenow.api() as fresh:
        assert fresh.get("/incident").status_code == 200


@pytest.mark.fact("servicenow 1.10")
def test_a_cookie_may_outlive_its_token_where_an_old_setting_lets_it(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    cookie = {"Cookie": next(c.split(";")[0] for c in api.get("/incident").headers.get_list("set-cookie"))}
    servicenow.control("clock", seconds=1801)
    assert api.get("/incident", headers=cookie).status_code == 401
    servicenow.control("switches", cookie_outlives_token=True)
    assert api.get("/incident", headers=cookie).status_code == 200


@pytest.mark.fact("servicenow 1.7", "servicenow 2.6")
@pytest.mark.parametrize(
    ("missing", "detail"),
    [
        ("unscoped", "Access to unscoped api is not allowed"),
        ("missing", "Missing required api access scope"),
    ],
)
def test_a_client_without_an_auth_scope_reaches_no_api(
    servicenow: SandboxServiceNow, api: httpx.Client, missing: str, detail: str
) -> None:
    servicenow.control("switches", auth_scope_missing=missing)
    for path in ("/api/now/table/incident", "/api/now/stats/incident", "/api/sn_chg_rest/change", "/api/now/nothing"):
        answer = api.get(f"{servicenow.url}{path}")
        error = {"message": "User Not Authorized", "detail": detail}
        assert (answer.status_code, answer.json()) == (403, {"error": error, "status": "failure"})
    assert api.post(f"{servicenow.url}/api/now/batch", json={}).status_code == 403
    servicenow.control("switches", auth_scope_missing="")
    assert api.get("/incident").status_code == 200, "the same token is good again: the scope is read on every call"


@pytest.mark.fact("servicenow 2.6")
def test_an_access_policy_refuses_a_good_token_and_names_bearer(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    servicenow.control("switches", access_policy_refuses=True)
    answer = api.get("/incident")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'BEARER realm="Service-now"')
    assert answer.json()["error"]["message"] == "User Not Authenticated"


@pytest.mark.fact("servicenow 2.1")
@pytest.mark.parametrize(("version", "status"), [("", 200), ("v1/", 200), ("v2/", 200), ("v9/", 400), ("latest/", 400)])
def test_only_versions_that_exist_are_answered(
    servicenow: SandboxServiceNow, api: httpx.Client, version: str, status: int
) -> None:
    make(api)
    answer = api.get(f"{servicenow.url}/api/now/{version}table/incident")
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["message"] == "Requested URI does not represent any resource"


@pytest.mark.fact("servicenow 2.9")
def test_a_very_long_address_is_answered_with_html(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    long = {"sysparm_query": "number=" + "1" * 23_000}
    answer = api.get("/incident", params=long)
    assert (answer.status_code, answer.headers["content-type"]) == (414, "text/html;charset=UTF-8")
    servicenow.control("switches", address_limit=0)
    assert api.get("/incident", params=long).json() == {"result": []}


@pytest.mark.fact("servicenow 2.7")
def test_headers_and_cookies_of_an_answer(api: httpx.Client) -> None:
    answer = api.get("/incident")
    assert answer.headers["content-type"] == "application/json;charset=UTF-8"
    named = {cookie.partition("=")[0] for cookie in answer.headers.get_list("set-cookie")}
    assert named == {
        "JSESSIONID", "glide_user", "glide_user_session", "glide_user_route", "glide_node_id_for_js",
        "glide_session_store",
    }  # fmt: skip
