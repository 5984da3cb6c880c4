"""Change Management API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, rows


def change(servicenow: SandboxServiceNow, api: httpx.Client, path: str = "", **fields: Any) -> httpx.Response:
    return api.post(f"{servicenow.url}/api/sn_chg_rest/change{path}", json={"short_description": "x"} | fields)


@pytest.mark.fact("servicenow sandbox-41", "servicenow trap-17", "servicenow 3.5")
def test_a_change_is_made_with_200_and_typed_values(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    answer = change(servicenow, api, type="normal", u_nothing="x", sys_id="mine")
    assert answer.status_code == 200, "not 201"
    made = answer.json()["result"]
    assert made["state"] == {"display_value": "New", "value": -5}
    assert (made["impact"]["value"], made["priority"]["value"], made["on_hold"]["value"]) == (3, 4, False)
    assert made["active"]["value"] is True
    assert made["approval"]["value"] == "not requested"
    assert {"display_value", "value", "display_value_internal"} == set(made["sys_created_on"])
    assert isinstance(made["state"]["value"], float), "numbers come with a decimal point"
    shown = {name: made[name]["display_value"] for name in ("risk", "phase", "approval", "chg_model")}
    assert shown == {
        "risk": "Moderate", "phase": "Requested", "approval": "Not Yet Requested", "chg_model": "Normal",
    }  # fmt: skip
    assert made["__meta"] == {"ignoredFields": ["u_nothing", "sys_id"]}
    stored = rows(api, "change_request", sysparm_query=f"number={made['number']['value']}")
    assert stored[0]["state"] == "-5", "the Table API has a string for it"
    assert stored[0]["sys_id"] != "mine"


@pytest.mark.fact("servicenow sandbox-41")
def test_the_kinds_have_paths_of_their_own_and_answer_with_a_list(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    made = change(servicenow, api, "/emergency").json()["result"]
    assert isinstance(made, list)
    assert made[0]["type"]["value"] == "emergency"
    assert isinstance(change(servicenow, api, "/standard/abc").json()["result"], list)
    found = api.get(f"{servicenow.url}/api/sn_chg_rest/v1/change/emergency").json()["result"]
    assert [one["number"]["value"] for one in found] == [made[0]["number"]["value"]]


@pytest.mark.fact("servicenow sandbox-41", "servicenow 3.5")
def test_next_states_name_where_a_change_may_go(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
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


@pytest.mark.fact("servicenow sandbox-41", "servicenow trap-34")
def test_the_granular_write_role_is_not_enough_here(servicenow: SandboxServiceNow) -> None:
    servicenow.control("users", user_name="chg.only", roles="sn_change_write")
    with servicenow.api("chg.only") as other:
        assert other.post("/change_request", json={}).status_code == 201, "the Table API takes it"
        assert change(servicenow, other).status_code == 403
        assert other.get(f"{servicenow.url}/api/sn_chg_rest/change").status_code == 200


@pytest.mark.fact("servicenow sandbox-41")
def test_deleting_needs_a_change_manager(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    url = f"{servicenow.url}/api/sn_chg_rest/change/{change(servicenow, api).json()['result']['sys_id']['value']}"
    assert api.delete(url).status_code == 403
    with servicenow.api("admin") as admin:
        assert admin.delete(url).status_code == 204
        assert admin.get(url).status_code == 404


@pytest.mark.fact("servicenow 3.5")
def test_fields_may_come_in_the_address_and_what_is_not_kept_is_reported(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    url = f"{servicenow.url}/api/sn_chg_rest/change"
    sent = {"short_description": "from the address", "type": "emergency", "due_date": "garbage", "nothing": "x"}
    made = api.post(url, params=sent).json()["result"]
    assert made["short_description"]["value"] == "from the address"
    assert (made["type"]["value"], made["chg_model"]["display_value"]) == ("emergency", "Emergency")
    assert made["__meta"]["ignoredFields"] == ["due_date", "nothing"]
    changed = api.patch(f"{url}/{made['sys_id']['value']}", params={"risk": "2"}, json={"impact": "1"}).json()["result"]
    assert (changed["risk"]["display_value"], changed["impact"]["value"]) == ("High", 1.0)


@pytest.mark.fact("servicenow 3.5")
def test_models_are_listed_for_those_who_read_changes(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    url = f"{servicenow.url}/api/sn_chg_rest/change/model"
    found = api.get(url).json()["result"]
    names = [model["name"]["value"] for model in found]
    assert names == ["Normal", "Standard", "Emergency", "Change registration"]
    assert found[0]["default_change_model"] == {"display_value": "true", "value": True}
    assert [row["name"] for row in rows(api, "chg_model", sysparm_fields="name")] == names
    servicenow.control("users", user_name="inc.only", roles="sn_incident_write")
    with servicenow.api("inc.only") as other:
        assert rows(other, "chg_model") == []


@pytest.mark.fact("servicenow 3.5")
@pytest.mark.parametrize("limit", ["abc", "-1"])
def test_a_limit_that_is_no_number_is_answered_and_no_crash(
    servicenow: SandboxServiceNow, api: httpx.Client, limit: str
) -> None:
    answer = api.get(f"{servicenow.url}/api/sn_chg_rest/change", params={"sysparm_limit": limit})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Invalid pagination parameter")
