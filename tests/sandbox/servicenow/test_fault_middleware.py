"""Injected faults, lasting network switches, and the headers of every response."""

from __future__ import annotations

import re
import time

import httpx
import pytest

from sandbox.faults import FAULTS
from tests.factories.servicenow import SandboxServiceNow, make, rows

pytestmark = pytest.mark.thorough


@pytest.mark.fact("servicenow sandbox-16")
def test_a_hibernating_instance_answers_the_token_endpoint_with_a_web_page(servicenow: SandboxServiceNow) -> None:
    httpx.post(f"{servicenow.url}/_sandbox/faults", json={"name": "hibernating"}).raise_for_status()
    answer = servicenow.grant(grant_type="refresh_token", refresh_token="any")
    assert answer.status_code == 200
    assert "Instance Hibernating page" in answer.text


@pytest.mark.fact("servicenow sandbox-42")
def test_a_rule_limits_calls_and_says_so(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.fault("rate_limited")
    answer = api.get("/incident")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert {"x-ratelimit-limit", "x-ratelimit-reset", "x-ratelimit-rule"} <= set(answer.headers)
    assert answer.json()["error"]["detail"] == "Rate limit of 100 requests per hour for Table API exceeded"
    assert answer.json()["status"] == "failure"


@pytest.mark.fact("servicenow sandbox-42")
@pytest.mark.parametrize("said", ["0", "3600", "Fri, 20 Nov 2026 09:00:10 GMT", "soon"])
def test_retry_after_may_be_anything(servicenow: SandboxServiceNow, api: httpx.Client, said: str) -> None:
    servicenow.fault("rate_limited", retry_after=said)
    assert api.get("/incident").headers["retry-after"] == said
    servicenow.fault("rate_limited", retry_after="")
    assert "retry-after" not in api.get("/incident").headers


@pytest.mark.fact("servicenow sandbox-42")
def test_a_full_semaphore_queue_says_nothing(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.fault("semaphore_full")
    answer = api.get("/incident")
    assert answer.status_code == 429
    assert not [name for name in answer.headers if "retry" in name or "ratelimit" in name]


@pytest.mark.fact("servicenow sandbox-43", "servicenow sandbox-45")
@pytest.mark.parametrize(
    ("name", "status", "number"), [("cancelled_after_commit", 500, 43), ("refused_after_commit", 403, 45)]
)
@pytest.mark.parametrize(("place", "made"), [("", 1), ("after", 1), ("before", 0)])
def test_the_insert_is_committed_behind_an_error_unless_the_fault_comes_before(
    servicenow: SandboxServiceNow, api: httpx.Client, name: str, status: int, number: int, place: str, made: int
) -> None:
    assert FAULTS[name].number == f"sandbox-{number}"
    before = len(servicenow.records())
    servicenow.fault(name, place=place)
    answer = api.post("/incident", json={"short_description": "x"})
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "status"}
    assert len(servicenow.records()) == before + made


@pytest.mark.fact("servicenow sandbox-44")
def test_a_cancelled_list_holds_some_rows_and_then_the_error(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    for _ in range(4):
        make(api)
    whole = len(rows(api))
    servicenow.fault("partial_result")
    answer = api.get("/incident")
    assert answer.status_code == 200
    content = answer.json()
    assert list(content) == ["result", "error", "status"]
    assert 0 < len(content["result"]) < whole
    assert content["error"]["message"] == "Transaction cancelled: maximum execution time exceeded"


@pytest.mark.fact("servicenow sandbox-44")
@pytest.mark.parametrize(("place", "made"), [("before", 0), ("after", 1)])
def test_broken_json_comes_with_200(servicenow: SandboxServiceNow, api: httpx.Client, place: str, made: int) -> None:
    before = len(servicenow.records())
    servicenow.fault("broken_json", place=place)
    answer = api.post("/incident", json={"short_description": "x"})
    assert answer.is_success
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|Invalid"):
        answer.json()
    assert len(servicenow.records()) == before + made


@pytest.mark.fact(
    "servicenow sandbox-42",
    "servicenow sandbox-44",
    "servicenow sandbox-46",
    "servicenow sandbox-47",
    "servicenow sandbox-49",
)
@pytest.mark.parametrize(
    ("name", "status", "has_json"),
    [
        ("rate_limited", 429, True),
        ("semaphore_full", 429, False),
        ("partial_result", 200, True),
        ("broken_json", 200, False),
        ("hibernating", 200, False),
        ("hibernating_503", 503, False),
        ("sso_page", 200, False),
        ("sso_redirect", 302, False),
        ("bad_gateway", 502, False),
        ("unavailable", 503, False),
        ("ip_blocked", 403, False),
        ("acl_hiccup", 403, True),
        ("session_overflow", 202, False),
        ("signed_out", 401, True),
        ("missing", 404, True),
    ],
)
def test_faults_have_the_status_and_body_of_real_instances(
    servicenow: SandboxServiceNow, api: httpx.Client, name: str, status: int, has_json: bool
) -> None:
    servicenow.fault(name)
    answer = api.get("/incident", follow_redirects=False)
    assert answer.status_code == status
    try:
        assert "error" in answer.json()
        assert has_json
    except ValueError:
        assert not has_json
    assert api.get("/incident").status_code == 200


@pytest.mark.fact("servicenow sandbox-46")
def test_a_hibernating_instance_answers_everything_with_its_page(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    servicenow.control("switches", api_asleep=True)
    for answer in (
        api.get("/incident"),
        servicenow.grant(grant_type="refresh_token"),
        httpx.get(servicenow.url + servicenow.authorize_path()),
    ):
        assert answer.status_code == 200
        assert "<title>Instance Hibernating page</title>" in answer.text
    servicenow.control("switches", asleep_with_503=True)
    assert api.get("/incident").status_code == 503
    servicenow.control("switches", api_asleep=False)
    assert api.get("/incident").status_code == 200


@pytest.mark.fact("servicenow sandbox-46")
def test_single_sign_on_may_stand_in_front_of_the_api(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", api_sso="page")
    answer = api.get("/incident")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    servicenow.control("switches", api_sso="redirect")
    assert api.get("/incident", follow_redirects=False).headers["location"].startswith("/sso/sign_in")


@pytest.mark.fact("servicenow sandbox-47")
def test_an_ip_rule_keeps_programs_out_but_no_browser(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", ip_blocked=True)
    for answer in (api.get("/incident"), servicenow.grant(grant_type="refresh_token")):
        assert answer.status_code == 403
        assert "json" not in answer.headers["content-type"]
    with servicenow.browser() as browser:
        assert browser.get(servicenow.authorize_path()).status_code == 200


@pytest.mark.fact("servicenow sandbox-48")
@pytest.mark.parametrize(("place", "made"), [("before", 0), ("after", 1), ("midway", 1)])
def test_the_connection_drops_before_or_after_the_commit_or_in_the_middle(
    servicenow: SandboxServiceNow, api: httpx.Client, place: str, made: int
) -> None:
    before = len(servicenow.records())
    servicenow.fault("dropped", method="POST", place=place)
    with pytest.raises(httpx.RemoteProtocolError) as caught:
        api.post("/incident", json={"short_description": "x"})
    assert ("complete message body" in str(caught.value)) == (place == "midway"), (
        "in the middle, the first bytes have come"
    )
    assert len(servicenow.records()) == before + made
    assert make(api)["number"], "one fault, once"


@pytest.mark.fact("servicenow sandbox-48")
def test_the_older_names_still_mean_before_and_after(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    before = len(servicenow.records())
    for name in ("dropped_after_commit", "dropped_before"):
        servicenow.fault(name, method="POST")
        with pytest.raises(httpx.RemoteProtocolError):
            api.post("/incident", json={"short_description": "x"})
    assert len(servicenow.records()) == before + 1


@pytest.mark.fact("servicenow sandbox-48")
@pytest.mark.parametrize(("place", "made_at_once"), [("before", 0), ("after", 1), ("midway", 1)])
def test_an_answer_can_come_later_than_a_client_waits(
    servicenow: SandboxServiceNow, api: httpx.Client, place: str, made_at_once: int
) -> None:
    before = len(servicenow.records())
    servicenow.fault("slow", seconds=0.6, place=place)
    with pytest.raises(httpx.ReadTimeout):
        api.post("/incident", json={"short_description": "x"}, timeout=0.2)
    assert len(servicenow.records()) == before + made_at_once
    servicenow.fault("slow", seconds=0.5, place=place)
    make(api)
    assert len(servicenow.records()) == before + 2, "a slow first insert lands later, even after the client gave up"


@pytest.mark.fact("servicenow sandbox-49")
def test_the_api_acl_hiccup_is_gone_the_next_time(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.fault("acl_hiccup")
    assert api.get("/incident").json()["error"] == {
        "message": "User Not Authorized",
        "detail": "Failed API level ACL Validation",
    }
    assert api.get("/incident").status_code == 200


@pytest.mark.fact("servicenow sandbox-50")
def test_a_record_can_vanish_between_two_reads(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    made = make(api)
    servicenow.control("records", number=made["number"], hidden=True)
    assert api.get(f"/incident/{made['sys_id']}").status_code == 404
    servicenow.control("records", number=made["number"], hidden=False)
    assert api.get(f"/incident/{made['sys_id']}").status_code == 200
    servicenow.control("records", number=made["number"], delete=True)
    assert api.get(f"/incident/{made['sys_id']}").status_code == 404


@pytest.mark.fact("servicenow sandbox-50")
@pytest.mark.parametrize("name", ["record_deleted", "record_hidden"])
def test_a_fault_removes_a_ticket_before_or_after_a_read(
    servicenow: SandboxServiceNow, api: httpx.Client, name: str
) -> None:
    made = [make(api, correlation_id=f"t50-{n}") for n in range(3)]
    query = {"sysparm_query": "correlation_idSTARTSWITHt50"}
    servicenow.fault(name, table="incident", number=made[1]["number"], place="after")
    assert len(rows(api, **query)) == 3, "this look still saw it"
    left = rows(api, **query)
    assert [row["number"] for row in left] == [made[0]["number"], made[2]["number"]]
    servicenow.fault(name, method="GET")
    assert len(rows(api, **query)) == 1, "any ticket with a correlation id will do"
    assert len(rows(api)) == len(servicenow.records()) - (2 if name == "record_hidden" else 0)


@pytest.mark.fact("servicenow sandbox-19")
def test_a_create_may_be_answered_with_200(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.fault("not_created")
    answer = api.post("/incident", json={"short_description": "x"})
    assert answer.status_code == 200
    assert answer.json()["result"]["number"] in {row["number"] for row in servicenow.records()}


@pytest.mark.fact("servicenow sandbox-38", "servicenow 2.7")
def test_answers_carry_the_usual_headers_and_cookies(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    answer = api.get("/incident")
    assert answer.headers["server"] == "snow_adc"
    assert re.fullmatch(r"[0-9a-f]{12}", answer.headers["x-transaction-id"])
    assert answer.headers["x-transaction-id"] in answer.headers["server-timing"]
    assert (answer.headers["x-is-logged-in"], answer.headers["x-is-visitor"]) == ("true", "false")
    assert answer.headers["cache-control"] == "no-cache,no-store,must-revalidate,max-age=-1"
    assert answer.headers["strict-transport-security"].startswith("max-age=63072000")
    assert not [name for name in answer.headers if "ratelimit" in name], "no rate-limit headers by default"
    assert len(answer.headers.get_list("date")) == 1
    cookies = answer.headers.get_list("set-cookie")
    assert any(cookie.startswith("JSESSIONID=") and "HttpOnly" in cookie for cookie in cookies)
    assert any(cookie.startswith("glide_session_store=") for cookie in cookies)
    servicenow.instance.switches.session_cookies = False
    assert "set-cookie" not in api.get("/incident").headers


@pytest.mark.fact("servicenow sandbox-38")
def test_large_answers_are_compressed_for_those_who_accept_it(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    assert api.get("/incident").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in api.get("/incident", headers={"Accept-Encoding": "identity"}).headers
    servicenow.instance.switches.compress = False
    assert "content-encoding" not in api.get("/incident").headers


def test_latency_is_added_to_every_answer(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", latency_ms=120)
    started = time.monotonic()
    api.get("/incident")
    servicenow.grant(grant_type="refresh_token")
    assert time.monotonic() - started >= 0.24
