"""Business rules of inserts and updates."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make, rows


@pytest.mark.fact("servicenow sandbox-30", "servicenow trap-7")
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
def test_incident_priority_is_looked_up_and_a_sent_one_overwritten(
    api: httpx.Client, impact: str, urgency: str, priority: str
) -> None:
    assert make(api, impact=impact, urgency=urgency, priority="1")["priority"] == priority


@pytest.mark.fact("servicenow sandbox-31")
def test_change_defaults_and_its_priority_is_kept(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
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


@pytest.mark.fact("servicenow sandbox-32")
def test_a_data_policy_may_want_fields_in_every_new_ticket(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.instance.switches.mandatory_on_create = "assignment_group"
    answer = api.post("/incident", json={"short_description": "x"})
    assert answer.status_code == 403
    wanted = "Data Policy Exception: The following fields are mandatory: Assignment group"
    assert answer.json()["error"]["detail"] == wanted
    group = servicenow.instance.store.find("sys_user_group", name="Network")
    assert group is not None
    assert make(api, assignment_group=group["sys_id"])["number"]


@pytest.mark.fact("servicenow sandbox-32", "servicenow trap-9")
def test_resolving_needs_a_code_and_notes(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    url = f"/incident/{make(api)['sys_id']}"
    answer = api.patch(url, json={"state": "6"})
    assert answer.status_code == 403
    assert answer.json()["error"]["detail"].startswith("Data Policy Exception")
    good = {"state": "6", "close_code": "Solution provided", "close_notes": "done"}
    assert api.patch(url, json=good).status_code == 200
    servicenow.instance.switches.close_fields_required = False
    assert api.patch(f"/incident/{make(api)['sys_id']}", json={"state": "6"}).status_code == 200


@pytest.mark.fact("servicenow sandbox-33")
def test_an_illegal_change_transition_is_aborted_by_a_rule(api: httpx.Client) -> None:
    url = f"/change_request/{make(api, 'change_request')['sys_id']}"
    answer = api.patch(url, json={"state": "3"})
    assert answer.status_code == 403
    assert "aborted by Business Rule 'Change Model: Check State Transition^" in answer.json()["error"]["detail"]
    assert api.patch(url, json={"state": "-4"}).json()["result"]["state"] == "-4"


@pytest.mark.fact("servicenow sandbox-33")
@pytest.mark.parametrize(
    ("kind", "path"), [("standard", "-5 -2 -1 0 3"), ("emergency", "-5 -3 -2 -1 0 3"), ("normal", "-5 -4 -3 -2 -1 0 3")]
)
def test_each_type_of_change_walks_its_own_states(
    servicenow: SandboxServiceNow, api: httpx.Client, kind: str, path: str
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


@pytest.mark.fact("servicenow sandbox-33")
def test_transition_rules_can_be_off_or_a_state_write_ignored(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    url = f"/change_request/{make(api, 'change_request')['sys_id']}"
    servicenow.instance.switches.ignore_state_writes = True
    answer = api.patch(url, json={"state": "-4"})
    assert (answer.status_code, answer.json()["result"]["state"]) == (200, "-5")
    servicenow.instance.switches.ignore_state_writes = False
    servicenow.instance.switches.check_transitions = False
    assert api.patch(url, json={"state": "3"}).status_code == 200


@pytest.mark.fact("servicenow sandbox-34")
def test_numbers_rise_and_updates_are_counted_unless_silent(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
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


@pytest.mark.fact("servicenow sandbox-35")
def test_long_texts_are_cut_or_stored(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    long = {"short_description": "x" * 200, "correlation_id": "y" * 120}
    made = make(api, **long)
    assert (len(made["short_description"]), len(made["correlation_id"])) == (160, 100)
    servicenow.instance.switches.truncate_long_text = False
    assert len(make(api, **long)["short_description"]) == 200


@pytest.mark.fact("servicenow 4.3")
def test_a_work_note_touches_its_record_and_is_never_replaced(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    made = make(api)
    url, note = f"/incident/{made['sys_id']}", {"work_notes": "same words"}
    api.patch(url, json=note)
    changed = api.patch(url, json=note).json()["result"]
    assert int(changed["sys_mod_count"]) == int(made["sys_mod_count"]) + 2
    found = rows(api, "sys_journal_field", sysparm_query=f"element_id={made['sys_id']}^element=work_notes")
    assert len(found) == 2, "sent twice, it stands there twice"
