"""Batch API."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make


def batch(servicenow: SandboxServiceNow, api: httpx.Client, *items: dict[str, Any]) -> dict[str, Any]:
    body = {"batch_request_id": "b-1", "rest_requests": [{"id": str(n), **item} for n, item in enumerate(items, 1)]}
    answer = api.post(f"{servicenow.url}/api/now/v1/batch", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def packed(content: Any) -> str:
    return b64encode(json.dumps(content).encode()).decode()


@pytest.mark.fact("servicenow sandbox-39", "servicenow 3.1")
def test_a_batch_does_its_items_in_turn_with_base64_bodies(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    made = make(api)
    answer = batch(
        servicenow,
        api,
        {"method": "POST", "url": "/api/now/v2/table/incident", "body": packed({"short_description": "in a batch"})},
        {"method": "GET", "url": f"/api/now/table/incident/{made['sys_id']}?sysparm_fields=number"},
        {"method": "GET", "url": f"/api/now/table/incident/{'0' * 32}", "exclude_response_headers": True},
    )
    assert answer["batch_request_id"] == "b-1"
    assert answer["unserviced_requests"] == []
    first, second, third = answer["serviced_requests"]
    assert (first["id"], first["status_code"], first["status_text"]) == ("1", 201, "Created")
    assert json.loads(b64decode(first["body"]))["result"]["short_description"] == "in a batch"
    assert {"name": "content-type", "value": "application/json"} in first["headers"]
    assert json.loads(b64decode(second["body"])) == {"result": {"number": made["number"]}}
    assert (third["status_code"], third["headers"]) == (404, []), "a good batch may hold items that failed"
    assert isinstance(third["execution_time"], int)


@pytest.mark.fact("servicenow sandbox-39", "servicenow 3.1")
def test_items_beyond_the_limit_are_unserviced(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", batch_services=2)
    before = len(servicenow.records())
    item = {"method": "POST", "url": "/api/now/table/incident", "body": packed({})}
    answer = batch(servicenow, api, item, item, item, item)
    assert [one["id"] for one in answer["serviced_requests"]] == ["1", "2"]
    assert answer["unserviced_requests"] == ["3", "4"]
    assert len(servicenow.records()) == before + 2


@pytest.mark.fact("servicenow sandbox-39", "servicenow 3.1")
def test_each_item_is_under_its_own_access_rules(servicenow: SandboxServiceNow) -> None:
    with servicenow.api("no.roles") as other:
        answer = batch(servicenow, other, {"method": "POST", "url": "/api/now/table/incident", "body": packed({})})
    assert answer["serviced_requests"][0]["status_code"] == 403


@pytest.mark.fact("servicenow sandbox-39")
@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api/now/table/incident", "/login.do", "/api/now/v1/batch"])
def test_an_item_is_a_relative_call_of_an_api(servicenow: SandboxServiceNow, api: httpx.Client, url: str) -> None:
    answer = batch(servicenow, api, {"method": "GET", "url": url})
    assert answer["serviced_requests"][0]["status_code"] == 400


@pytest.mark.fact("servicenow sandbox-39")
def test_a_batch_needs_a_token_and_a_list(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    assert httpx.post(f"{servicenow.url}/api/now/batch", json={}, headers={"Accept": "*/*"}).status_code == 401
    assert api.post(f"{servicenow.url}/api/now/batch", json={"rest_requests": "x"}).status_code == 400
    assert api.get(f"{servicenow.url}/api/now/batch").status_code == 405
