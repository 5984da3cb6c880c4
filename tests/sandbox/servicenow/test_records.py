"""What becomes of records in the Table API: behaviours 30 to 37 of the fact sheet, each test named by its number."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import FakeServiceNow, make, rows


@pytest.mark.parametrize(
    ("impact", "urgency", "priority"),
    [
        ("1", "1", "1"),
        ("1", "2", "2"),
        ("1", "3", "3"),
        ("2", "2", "3"),
        ("2", "3", "4"),
        ("3", "3", "5"),
        ("3", "1", "3"),
    ],
)
def test_30_incident_priority_is_looked_up_and_a_sent_one_overwritten(
    api: httpx.Client, impact: str, urgency: str, priority: str
) -> None:
    assert make(api, impact=impact, urgency=urgency, priority="1")["priority"] == priority


def test_31_change_defaults_and_its_priority_is_kept(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    made = make(api, "change_request")
    expected = {
        "state": "-5",
        "type": "normal",
        "priority": "4",
        "impact": "3",
        "urgency": "3",
        "approval": "not requested",
    }
    assert {name: made[name] for name in expected} == expected
    assert make(api, "change_request", priority="2")["priority"] == "2"
    servicenow.instance.switches.keep_change_priority = False
    assert make(api, "change_request", priority="2")["priority"] == "4"


def test_32_a_data_policy_may_want_fields_in_every_new_ticket(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    servicenow.instance.switches.mandatory_on_create = "assignment_group"
    answer = api.post("/incident", json={"short_description": "x"})
    assert answer.status_code == 403
    wanted = "Data Policy Exception: The following fields are mandatory: Assignment group"
    assert answer.json()["error"]["detail"] == wanted
    assert make(api, assignment_group="0" * 32)["number"]


def test_32_resolving_needs_a_code_and_notes(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    url = f"/incident/{make(api)['sys_id']}"
    answer = api.patch(url, json={"state": "6"})
    assert answer.status_code == 403
    assert answer.json()["error"]["detail"].startswith("Data Policy Exception")
    good = {"state": "6", "close_code": "Solution provided", "close_notes": "done"}
    assert api.patch(url, json=good).status_code == 200
    servicenow.instance.switches.close_fields_required = False
    assert api.patch(f"/incident/{make(api)['sys_id']}", json={"state": "6"}).status_code == 200


def test_33_an_illegal_change_transition_is_aborted_by_a_rule(api: httpx.Client) -> None:
    url = f"/change_request/{make(api, 'change_request')['sys_id']}"
    answer = api.patch(url, json={"state": "3"})
    assert answer.status_code == 403
    assert "aborted by Business Rule 'Change Model: Check State Transition^" in answer.json()["error"]["detail"]
    assert api.patch(url, json={"state": "-4"}).json()["result"]["state"] == "-4"


@pytest.mark.parametrize(
    ("kind", "path"), [("standard", "-5 -2 -1 0 3"), ("emergency", "-5 -3 -2 -1 0 3"), ("normal", "-5 -4 -3 -2 -1 0 3")]
)
def test_33_each_type_of_change_walks_its_own_states(
    servicenow: FakeServiceNow, api: httpx.Client, kind: str, path: str
) -> None:
    url = f"/change_request/{make(api, 'change_request', type=kind)['sys_id']}"
    for state in path.split()[1:-1]:
        assert api.patch(url, json={"state": state}).status_code == 200
    assert api.patch(url, json={"state": "4"}).status_code == 403, "a change in review cannot be canceled"
    servicenow.instance.switches.change_close_fields_required = True
    refused = api.patch(url, json={"state": "3"})
    assert refused.json()["error"]["detail"].endswith("mandatory: Close notes, Close code")
    closed = api.patch(url, json={"state": "3", "close_code": "successful", "close_notes": "done"}).json()["result"]
    assert (closed["state"], closed["active"]) == ("3", "false")
    assert closed["closed_at"]


def test_33_rules_can_be_off_or_swallow_a_state(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    url = f"/change_request/{make(api, 'change_request')['sys_id']}"
    servicenow.instance.switches.ignore_state_writes = True
    answer = api.patch(url, json={"state": "-4"})
    assert (answer.status_code, answer.json()["result"]["state"]) == (200, "-5")
    servicenow.instance.switches.ignore_state_writes = False
    servicenow.instance.switches.check_transitions = False
    assert api.patch(url, json={"state": "3"}).status_code == 200


def test_34_numbers_rise_and_updates_are_counted_unless_silent(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    first, second = make(api), make(api)
    assert first["number"] < second["number"]
    assert first["number"].startswith("INC")
    assert make(api, "change_request")["number"].startswith("CHG")
    httpx.post(f"{servicenow.url}/_sandbox/clock", json={"seconds": 60}).raise_for_status()
    changed = api.patch(f"/incident/{first['sys_id']}", json={"urgency": "1"}).json()["result"]
    assert int(changed["sys_mod_count"]) == int(first["sys_mod_count"]) + 1
    assert changed["sys_updated_on"] > first["sys_updated_on"]
    silent = {"number": first["number"], "fields": {"state": "2"}, "silent": True}
    httpx.post(f"{servicenow.url}/_sandbox/records", json=silent).raise_for_status()
    after = api.get(f"/incident/{first['sys_id']}").json()["result"]
    assert after["state"] == "2"
    assert (after["sys_updated_on"], after["sys_mod_count"]) == (changed["sys_updated_on"], changed["sys_mod_count"])


def test_35_long_texts_are_cut_or_stored(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    long = {"short_description": "x" * 200, "correlation_id": "y" * 120}
    made = make(api, **long)
    assert (len(made["short_description"]), len(made["correlation_id"])) == (160, 100)
    servicenow.instance.switches.truncate_long_text = False
    assert len(make(api, **long)["short_description"]) == 200


def test_36_choices_need_a_role(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    params = {"sysparm_query": "name=incident^element=state^language=en^ORDERBYsequence"}
    found = rows(api, "sys_choice", **params)
    assert [row["label"] for row in found] == ["New", "In Progress", "On Hold", "Resolved", "Closed", "Canceled"]
    told = ("name", "element", "value", "label", "language", "inactive", "dependent_value")
    assert {name: found[2][name] for name in told} == {
        "name": "incident", "element": "state", "value": "3", "label": "On Hold", "language": "en", "inactive": "false",
        "dependent_value": "",
    }  # fmt: skip
    with servicenow.api("fred.luddy") as other:
        answer = other.get("/sys_choice", params=params)
        assert (answer.status_code, answer.json()) == (200, {"result": []}), "no rows, and not a refusal"
        assert answer.headers["x-total-count"] == "6", "they are counted all the same (24)"
        assert other.get(f"/sys_choice/{found[0]['sys_id']}").status_code == 404
        servicenow.instance.switches.choices_need_role = False
        assert len(rows(other, "sys_choice", **params)) == 6


@pytest.mark.parametrize("family", ["zurich", "australia", "brazil"])
def test_37_properties_name_the_family_or_are_refused(
    servicenow: FakeServiceNow, api: httpx.Client, family: str
) -> None:
    httpx.post(f"{servicenow.url}/_sandbox/family", json={"family": family}).raise_for_status()
    params = {"sysparm_query": "nameINglide.buildname,glide.buildtag", "sysparm_fields": "name,value"}
    found = {row["name"]: row["value"] for row in rows(api, "sys_properties", **params)}
    assert found["glide.buildname"] == family.capitalize()
    assert found["glide.buildtag"].startswith(f"glide-{family}-")
    servicenow.instance.switches.properties_readable = False
    assert api.get("/sys_properties", params=params).status_code == 403


def test_a_user_without_roles_sees_only_own_incidents_and_makes_none(
    servicenow: FakeServiceNow, api: httpx.Client
) -> None:
    make(api)
    with servicenow.api("no.roles") as other:
        assert rows(other) == []
        answer = other.post("/incident", json={"short_description": "x"})
    assert answer.status_code == 403
    assert answer.json()["error"]["detail"] == "ACL Exception Insert Failed due to security constraints"
