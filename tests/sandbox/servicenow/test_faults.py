"""Faults: behaviours 42 to 50 of the fact sheet, by count, probability, seed and place; each test named by its number."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sandbox.faults import FAULTS, MIXED_FAULTS, Fault, FaultOrders
from sandbox.servicenow.canned_responses import CANNED
from tests.factories.servicenow import Snow, make, rows


def test_42_a_rule_limits_calls_and_says_so(snow: Snow, api: httpx.Client) -> None:
    snow.fault("rate_limited")
    answer = api.get("/incident")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert {"x-ratelimit-limit", "x-ratelimit-reset", "x-ratelimit-rule"} <= set(answer.headers)
    assert answer.json()["error"]["detail"] == "Rate limit of 100 requests per hour for Table API exceeded"
    assert answer.json()["status"] == "failure"


@pytest.mark.parametrize("said", ["0", "3600", "Fri, 20 Nov 2026 09:00:10 GMT", "soon"])
def test_42_retry_after_may_be_anything(snow: Snow, api: httpx.Client, said: str) -> None:
    snow.fault("rate_limited", retry_after=said)
    assert api.get("/incident").headers["retry-after"] == said
    snow.fault("rate_limited", retry_after="")
    assert "retry-after" not in api.get("/incident").headers


def test_42_a_full_semaphore_queue_says_nothing(snow: Snow, api: httpx.Client) -> None:
    snow.fault("semaphore_full")
    answer = api.get("/incident")
    assert answer.status_code == 429
    assert not [name for name in answer.headers if "retry" in name or "ratelimit" in name]


def test_42_a_limit_per_hour_counts_down_and_is_over_with_the_hour(snow: Snow, api: httpx.Client) -> None:
    snow.control("switches", rate_limit_per_hour=2)
    answers = [api.get("/incident", params={"sysparm_limit": "1"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit"] == "2", "good answers carry the headers too"
    assert "retry-after" not in answers[0].headers
    left = int(answers[2].headers["retry-after"])
    assert 0 < left <= 3600
    with snow.api("fred.luddy") as other:
        assert other.get("/incident").status_code == 200, "each user has an hour of its own"
    snow.control("clock", seconds=left + 1)
    with snow.api() as fresh:
        assert fresh.get("/incident").status_code == 200


@pytest.mark.parametrize(
    ("name", "status", "number"), [("cancelled_after_commit", 500, 43), ("refused_after_commit", 403, 45)]
)
@pytest.mark.parametrize(("place", "made"), [("", 1), ("after", 1), ("before", 0)])
def test_43_45_the_insert_is_committed_behind_an_error_unless_it_strikes_before(
    snow: Snow, api: httpx.Client, name: str, status: int, number: int, place: str, made: int
) -> None:
    assert FAULTS[name].number == str(number)
    before = len(snow.records())
    snow.fault(name, place=place)
    answer = api.post("/incident", json={"short_description": "x"})
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "status"}
    assert len(snow.records()) == before + made


def test_44_a_cancelled_list_holds_some_rows_and_then_the_error(snow: Snow, api: httpx.Client) -> None:
    for _ in range(4):
        make(api)
    whole = len(rows(api))
    snow.fault("partial_result")
    answer = api.get("/incident")
    assert answer.status_code == 200
    content = answer.json()
    assert list(content) == ["result", "error", "status"]
    assert 0 < len(content["result"]) < whole
    assert content["error"]["message"] == "Transaction cancelled: maximum execution time exceeded"


@pytest.mark.parametrize(("place", "made"), [("before", 0), ("after", 1)])
def test_44_broken_json_comes_with_200(snow: Snow, api: httpx.Client, place: str, made: int) -> None:
    before = len(snow.records())
    snow.fault("broken_json", place=place)
    answer = api.post("/incident", json={"short_description": "x"})
    assert answer.is_success
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|Invalid"):
        answer.json()
    assert len(snow.records()) == before + made


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
def test_42_44_46_47_49_faults_look_as_they_do_in_the_field(
    snow: Snow, api: httpx.Client, name: str, status: int, has_json: bool
) -> None:
    snow.fault(name)
    answer = api.get("/incident", follow_redirects=False)
    assert answer.status_code == status
    try:
        assert "error" in answer.json()
        assert has_json
    except ValueError:
        assert not has_json
    assert api.get("/incident").status_code == 200


def test_46_a_sleeping_instance_sleeps_everywhere_until_it_wakes(snow: Snow, api: httpx.Client) -> None:
    snow.control("switches", api_asleep=True)
    for answer in (
        api.get("/incident"),
        snow.grant(grant_type="refresh_token"),
        httpx.get(snow.url + snow.authorize_path()),
    ):
        assert answer.status_code == 200
        assert "<title>Instance Hibernating page</title>" in answer.text
    snow.control("switches", asleep_with_503=True)
    assert api.get("/incident").status_code == 503
    snow.control("switches", api_asleep=False)
    assert api.get("/incident").status_code == 200


def test_46_single_sign_on_may_stand_in_front_of_the_api(snow: Snow, api: httpx.Client) -> None:
    snow.control("switches", api_sso="page")
    answer = api.get("/incident")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    snow.control("switches", api_sso="redirect")
    assert api.get("/incident", follow_redirects=False).headers["location"].startswith("/sso/sign_in")


def test_47_an_ip_rule_keeps_programs_out_but_no_browser(snow: Snow, api: httpx.Client) -> None:
    snow.control("switches", ip_blocked=True)
    for answer in (api.get("/incident"), snow.grant(grant_type="refresh_token")):
        assert answer.status_code == 403
        assert "json" not in answer.headers["content-type"]
    with snow.browser() as browser:
        assert browser.get(snow.authorize_path()).status_code == 200


@pytest.mark.parametrize(("place", "made"), [("before", 0), ("after", 1), ("midway", 1)])
def test_48_the_connection_drops_before_or_after_the_commit_or_in_the_middle(
    snow: Snow, api: httpx.Client, place: str, made: int
) -> None:
    before = len(snow.records())
    snow.fault("dropped", method="POST", place=place)
    with pytest.raises(httpx.RemoteProtocolError) as caught:
        api.post("/incident", json={"short_description": "x"})
    assert ("complete message body" in str(caught.value)) == (place == "midway"), (
        "in the middle, the first bytes have come"
    )
    assert len(snow.records()) == before + made
    assert make(api)["number"], "one fault, once"


def test_48_the_older_names_still_mean_before_and_after(snow: Snow, api: httpx.Client) -> None:
    before = len(snow.records())
    for name in ("dropped_after_commit", "dropped_before"):
        snow.fault(name, method="POST")
        with pytest.raises(httpx.RemoteProtocolError):
            api.post("/incident", json={"short_description": "x"})
    assert len(snow.records()) == before + 1


@pytest.mark.parametrize(("place", "made_at_once"), [("before", 0), ("after", 1), ("midway", 1)])
def test_48_an_answer_may_come_later_than_a_client_waits(
    snow: Snow, api: httpx.Client, place: str, made_at_once: int
) -> None:
    before = len(snow.records())
    snow.fault("slow", seconds=0.6, place=place)
    with pytest.raises(httpx.ReadTimeout):
        api.post("/incident", json={"short_description": "x"}, timeout=0.2)
    assert len(snow.records()) == before + made_at_once
    snow.fault("slow", seconds=0.5, place=place)
    make(api)
    assert len(snow.records()) == before + 2, "a slow first insert lands later, even when nobody waits for it"


def test_49_the_api_acl_hiccup_is_gone_the_next_time(snow: Snow, api: httpx.Client) -> None:
    snow.fault("acl_hiccup")
    assert api.get("/incident").json()["error"] == {
        "message": "User Not Authorized",
        "detail": "Failed API level ACL Validation",
    }
    assert api.get("/incident").status_code == 200


def test_50_a_record_can_vanish_between_two_looks(snow: Snow, api: httpx.Client) -> None:
    made = make(api)
    snow.control("records", number=made["number"], hidden=True)
    assert api.get(f"/incident/{made['sys_id']}").status_code == 404
    snow.control("records", number=made["number"], hidden=False)
    assert api.get(f"/incident/{made['sys_id']}").status_code == 200
    snow.control("records", number=made["number"], delete=True)
    assert api.get(f"/incident/{made['sys_id']}").status_code == 404


@pytest.mark.parametrize("name", ["record_deleted", "record_hidden"])
def test_50_a_fault_takes_a_ticket_away_before_or_after_a_look(snow: Snow, api: httpx.Client, name: str) -> None:
    made = [make(api, correlation_id=f"t50-{n}") for n in range(3)]
    query = {"sysparm_query": "correlation_idSTARTSWITHt50"}
    snow.fault(name, table="incident", number=made[1]["number"], place="after")
    assert len(rows(api, **query)) == 3, "this look still saw it"
    left = rows(api, **query)
    assert [row["number"] for row in left] == [made[0]["number"], made[2]["number"]]
    snow.fault(name, method="GET")
    assert len(rows(api, **query)) == 1, "any ticket with a correlation id will do"
    assert len(rows(api)) == len(snow.records()) - (2 if name == "record_hidden" else 0)


def test_faults_strike_the_calls_they_are_ordered_for(snow: Snow, api: httpx.Client) -> None:
    snow.fault("ip_blocked", method="POST", table="change_request")
    assert api.post("/incident", json={}).status_code == 201
    assert api.get("/change_request").status_code == 200
    assert api.post("/change_request", json={}).status_code == 403
    snow.fault("bad_gateway", path="oauth_token")
    assert api.get("/incident").status_code == 200
    assert snow.grant(grant_type="refresh_token").status_code == 502


def test_faults_are_counted_and_can_be_called_off(snow: Snow, api: httpx.Client) -> None:
    snow.fault("ip_blocked", times=3)
    assert [api.get("/incident").status_code for _ in range(2)] == [403, 403]
    told = httpx.get(f"{snow.url}/_sandbox/faults").json()
    assert (told["waiting"][0]["times"], told["struck"]) == (1, {"ip_blocked": 2})
    snow.control("faults", clear=True)
    assert api.get("/incident").status_code == 200


def test_every_tenth_call_may_be_struck(snow: Snow, api: httpx.Client) -> None:
    snow.fault("semaphore_full", every=10, times=1000)
    answers = [api.get("/incident", params={"sysparm_limit": "1"}).status_code for _ in range(30)]
    assert [place for place, status in enumerate(answers, 1) if status == 429] == [10, 20, 30]


def test_a_probability_is_kept_and_a_seed_repeats_the_run() -> None:
    def run(seed: int) -> list[str]:
        orders = FaultOrders()
        orders.order(Fault("any", times=100_000, probability=0.2, seed=seed, place="any"))
        struck = [orders.take("POST", "/api/now/table/incident", "incident") for _ in range(2000)]
        return [f"{fault.name} {fault.place}" if fault else "" for fault in struck]

    first = run(7)
    assert first == run(7)
    assert first != run(8)
    hit = [name for name in first if name]
    assert 320 <= len(hit) <= 480, "a fifth of 2,000, give or take five deviations"
    assert {name.split()[0] for name in hit} == set(MIXED_FAULTS), "every kind comes up"
    assert {"dropped before", "dropped after", "dropped midway"} <= set(hit)


@pytest.mark.parametrize(
    "order",
    [
        {"name": "no_such_fault"},
        {"name": "slow", "times": 0},
        {"name": "slow", "probability": 0.0},
        {"name": "slow", "probability": 1.1},
        {"name": "slow", "every": 0},
        {"name": "rate_limited", "place": "midway"},
        {"name": "slow", "place": "sideways"},
        {"name": "any", "among": ["slow", "nonsense"]},
        {"name": "slow", "path": "("},
        {"name": "slow", "unknown": 1},
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_a_reason(snow: Snow, order: dict[str, Any]) -> None:
    answer = httpx.post(f"{snow.url}/_sandbox/faults", json=order)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_every_kind_of_fault_can_be_carried_out_wherever_it_says_it_can(snow: Snow, api: httpx.Client) -> None:
    made_here = {"dropped", "dropped_after_commit", "dropped_before", "slow", "not_created"}
    assert set(FAULTS) - made_here - {"record_deleted", "record_hidden"} == set(CANNED)
    for name, kind in FAULTS.items():
        for place in kind.places:
            snow.fault(name, place=place, seconds=0.01)
            try:
                api.post("/incident", json={"correlation_id": "x"})
            except httpx.RemoteProtocolError:
                assert name.startswith("dropped")
            assert not snow.instance.orders.waiting


def test_19_a_create_may_be_answered_with_200(snow: Snow, api: httpx.Client) -> None:
    snow.fault("not_created")
    answer = api.post("/incident", json={"short_description": "x"})
    assert answer.status_code == 200
    assert answer.json()["result"]["number"] in {row["number"] for row in snow.records()}
