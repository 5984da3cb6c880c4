"""Orders of faults: matching, counts, probability, seed, validation."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sandbox.faults import FAULTS, MIXED_FAULTS, Fault, FaultOrders
from sandbox.servicenow.canned_responses import CANNED
from tests.factories.servicenow import SandboxServiceNow


def test_faults_apply_to_the_calls_they_are_ordered_for(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.fault("ip_blocked", method="POST", table="change_request")
    assert api.post("/incident", json={}).status_code == 201
    assert api.get("/change_request").status_code == 200
    assert api.post("/change_request", json={}).status_code == 403
    servicenow.fault("bad_gateway", path="oauth_token")
    assert api.get("/incident").status_code == 200
    assert servicenow.grant(grant_type="refresh_token").status_code == 502


def test_faults_are_counted_and_can_be_called_off(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.fault("ip_blocked", times=3)
    assert [api.get("/incident").status_code for _ in range(2)] == [403, 403]
    told = httpx.get(f"{servicenow.url}/_sandbox/faults").json()
    assert (told["waiting"][0]["times"], told["struck"]) == (1, {"ip_blocked": 2})
    servicenow.control("faults", clear=True)
    assert api.get("/incident").status_code == 200


def test_a_fault_can_apply_to_every_tenth_call(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.fault("semaphore_full", every=10, times=1000)
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
        # ServiceNow refuses at the door, so that nothing is done of what it answers so.
        {"name": "rate_limited", "place": "after"},
        {"name": "semaphore_full", "place": "after"},
        {"name": "slow", "place": "sideways"},
        {"name": "any", "among": ["slow", "nonsense"]},
        {"name": "slow", "path": "("},
        {"name": "slow", "unknown": 1},
    ],
)
def test_an_invalid_fault_is_refused_with_a_reason(servicenow: SandboxServiceNow, order: dict[str, Any]) -> None:
    answer = httpx.post(f"{servicenow.url}/_sandbox/faults", json=order)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_every_kind_of_fault_can_be_carried_out_wherever_it_says_it_can(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    made_here = {"dropped", "dropped_after_commit", "dropped_before", "slow", "not_created"}
    # An address is too long or not: no fault to be ordered.
    assert set(FAULTS) - made_here - {"record_deleted", "record_hidden"} == set(CANNED) - {"address_too_long"}
    for name, kind in FAULTS.items():
        for place in kind.places:
            servicenow.fault(name, place=place, seconds=0.01)
            try:
                api.post("/incident", json={"correlation_id": "x"})
            except httpx.RemoteProtocolError:
                assert name.startswith("dropped")
            assert not servicenow.instance.orders.waiting
