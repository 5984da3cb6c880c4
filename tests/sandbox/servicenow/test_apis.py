"""The other APIs: behaviours 39 to 41 of the fact sheet, each test named by its number."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import httpx
import pytest

from tests.factories.servicenow import FakeServiceNow, make, rows


def batch(servicenow: FakeServiceNow, api: httpx.Client, *items: dict[str, Any]) -> dict[str, Any]:
    body = {"batch_request_id": "b-1", "rest_requests": [{"id": str(n), **item} for n, item in enumerate(items, 1)]}
    answer = api.post(f"{servicenow.url}/api/now/v1/batch", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def packed(content: Any) -> str:
    return b64encode(json.dumps(content).encode()).decode()


def test_39_a_batch_does_its_items_in_turn_with_base64_bodies(servicenow: FakeServiceNow, api: httpx.Client) -> None:
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


def test_39_what_does_not_fit_is_left_over(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", batch_services=2)
    before = len(servicenow.records())
    item = {"method": "POST", "url": "/api/now/table/incident", "body": packed({})}
    answer = batch(servicenow, api, item, item, item, item)
    assert [one["id"] for one in answer["serviced_requests"]] == ["1", "2"]
    assert answer["unserviced_requests"] == ["3", "4"]
    assert len(servicenow.records()) == before + 2


def test_39_each_item_is_under_its_own_access_rules(servicenow: FakeServiceNow) -> None:
    with servicenow.api("no.roles") as other:
        answer = batch(servicenow, other, {"method": "POST", "url": "/api/now/table/incident", "body": packed({})})
    assert answer["serviced_requests"][0]["status_code"] == 403


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api/now/table/incident", "/login.do", "/api/now/v1/batch"])
def test_39_an_item_is_a_relative_call_of_an_api(servicenow: FakeServiceNow, api: httpx.Client, url: str) -> None:
    answer = batch(servicenow, api, {"method": "GET", "url": url})
    assert answer["serviced_requests"][0]["status_code"] == 400


def test_39_a_batch_needs_a_token_and_a_list(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    assert httpx.post(f"{servicenow.url}/api/now/batch", json={}, headers={"Accept": "*/*"}).status_code == 401
    assert api.post(f"{servicenow.url}/api/now/batch", json={"rest_requests": "x"}).status_code == 400
    assert api.get(f"{servicenow.url}/api/now/batch").status_code == 405


def stats(servicenow: FakeServiceNow, api: httpx.Client, **params: str) -> Any:
    answer = api.get(f"{servicenow.url}/api/now/stats/incident", params={"sysparm_count": "true"} | params)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def test_40_counts_are_strings(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    for urgency in ("1", "1", "3"):
        make(api, correlation_id="t40", urgency=urgency)
    assert stats(servicenow, api, sysparm_query="correlation_id=t40") == {"stats": {"count": "3"}}
    assert stats(servicenow, api, sysparm_query="correlation_id=nothing") == {"stats": {"count": "0"}}
    grouped = stats(servicenow, api, sysparm_query="correlation_id=t40", sysparm_group_by="urgency")
    assert grouped == [
        {"stats": {"count": "2"}, "groupby_fields": [{"field": "urgency", "value": "1"}]},
        {"stats": {"count": "1"}, "groupby_fields": [{"field": "urgency", "value": "3"}]},
    ]
    labelled = stats(
        servicenow, api, sysparm_query="correlation_id=t40", sysparm_group_by="state", sysparm_display_value="true"
    )
    assert labelled[0]["groupby_fields"] == [{"field": "state", "value": "New"}]


def test_40_without_access_it_is_403(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    with servicenow.api("no.roles") as other:
        assert other.get(f"{servicenow.url}/api/now/stats/change_request").status_code == 403
    assert api.get(f"{servicenow.url}/api/now/v1/stats/nothing").status_code == 400


def change(servicenow: FakeServiceNow, api: httpx.Client, path: str = "", **fields: Any) -> httpx.Response:
    return api.post(f"{servicenow.url}/api/sn_chg_rest/change{path}", json={"short_description": "x"} | fields)


def test_41_a_change_is_made_with_200_and_typed_values(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    answer = change(servicenow, api, type="normal", u_nothing="x", sys_id="mine")
    assert answer.status_code == 200, "not 201"
    made = answer.json()["result"]
    assert made["state"] == {"display_value": "New", "value": -5}
    assert (made["impact"]["value"], made["priority"]["value"], made["on_hold"]["value"]) == (3, 4, False)
    assert made["active"]["value"] is True
    assert made["approval"]["value"] == "not requested"
    assert {"display_value", "value", "display_value_internal"} == set(made["sys_created_on"])
    assert made["__meta"] == {"ignoredFields": ["u_nothing", "sys_id"]}
    stored = rows(api, "change_request", sysparm_query=f"number={made['number']['value']}")
    assert stored[0]["state"] == "-5", "the Table API has a string for it"
    assert stored[0]["sys_id"] != "mine"


def test_41_the_kinds_have_paths_of_their_own_and_answer_with_a_list(
    servicenow: FakeServiceNow, api: httpx.Client
) -> None:
    made = change(servicenow, api, "/emergency").json()["result"]
    assert isinstance(made, list)
    assert made[0]["type"]["value"] == "emergency"
    assert isinstance(change(servicenow, api, "/standard/abc").json()["result"], list)
    found = api.get(f"{servicenow.url}/api/sn_chg_rest/v1/change/emergency").json()["result"]
    assert [one["number"]["value"] for one in found] == [made[0]["number"]["value"]]


def test_41_next_states_name_where_a_change_may_go(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    made = change(servicenow, api).json()["result"]
    url = f"{servicenow.url}/api/sn_chg_rest/change/{made['sys_id']['value']}"
    told = api.get(f"{url}/nextstates").json()["result"]
    assert told["available_states"] == ["-4", "4", "-5"]
    assert told["state_label"]["-4"] == "Assess"
    step = told["state_transitions"][0][0]
    assert (step["from_state"], step["to_state"], step["transition_available"]) == ("-5", "-4", True)
    assert api.patch(url, json={"state": "-4"}).json()["result"]["state"]["value"] == -4
    refused = api.patch(url, json={"state": "3"})
    assert refused.status_code == 403
    assert refused.json()["error"]["message"].startswith("Change Request record could not be updated. Operation")
    assert api.get(f"{url}/conflict").json()["result"]["status"] == "Conflict"
    assert api.get(f"{url}/nothing").status_code == 400
    assert api.get(f"{servicenow.url}/api/sn_chg_rest/change/{'0' * 32}").status_code == 404


def test_41_the_granular_write_role_is_not_enough_here(servicenow: FakeServiceNow) -> None:
    servicenow.control("users", user_name="chg.only", roles="sn_change_write")
    with servicenow.api("chg.only") as other:
        assert other.post("/change_request", json={}).status_code == 201, "the Table API takes it"
        assert change(servicenow, other).status_code == 403
        assert other.get(f"{servicenow.url}/api/sn_chg_rest/change").status_code == 200


def test_41_deleting_needs_a_change_manager(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    url = f"{servicenow.url}/api/sn_chg_rest/change/{change(servicenow, api).json()['result']['sys_id']['value']}"
    assert api.delete(url).status_code == 403
    with servicenow.api("admin") as admin:
        assert admin.delete(url).status_code == 204
        assert admin.get(url).status_code == 404
