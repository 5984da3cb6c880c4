"""JSON shapes of records in Table API responses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make, rows


@pytest.mark.fact("servicenow 2.4", "servicenow trap-35")
def test_passwords_read_as_ciphertext(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    text = api.get("/sys_user").text + api.get("/oauth_entity").text
    assert servicenow.settings.password not in text
    assert servicenow.settings.client_secret not in text
    assert rows(api, "oauth_entity")[0]["client_secret"] != ""


@pytest.mark.fact("servicenow 4.3")
def test_work_notes_are_journal_entries_and_read_as_text_blocks(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    made = make(api, work_notes="first note")
    assert made["work_notes"] == "", "reads are empty with raw values"
    servicenow.control("notes", number=made["number"], text="looked into it", by="fred.luddy")
    servicenow.control("notes", number=made["number"], text="for the caller", element="comments")
    query = {"sysparm_query": f"element_id={made['sys_id']}^ORDERBYsys_created_on"}
    entries = rows(api, "sys_journal_field", **query)
    assert [(e["element"], e["value"], e["sys_created_by"]) for e in entries] == [
        ("work_notes", "first note", "m365.integration"),
        ("work_notes", "looked into it", "fred.luddy"),
        ("comments", "for the caller", "fred.luddy"),
    ]
    url = f"/incident/{made['sys_id']}"
    shown = api.get(url, params={"sysparm_display_value": "true"}).json()["result"]["work_notes"]
    newest, oldest, rest = shown.split("\n\n")
    assert newest.endswith(" - Fred Luddy (Work notes)\nlooked into it")
    assert oldest.endswith(" - M365 Integration (Work notes)\nfirst note")
    assert rest == ""
    both = api.get(url, params={"sysparm_display_value": "all"}).json()["result"]["comments"]
    assert both["value"] == ""
    assert "(Additional comments)\nfor the caller" in both["display_value"]


@pytest.mark.fact("servicenow 4.4")
def test_labels_may_be_german_and_custom_states_have_names_of_their_own(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    made = make(api)
    url = f"/incident/{made['sys_id']}"
    servicenow.control("choices", table="incident", element="state", value="20", label="Parked")
    servicenow.control("records", number=made["number"], fields={"state": "20"})
    shape = {"sysparm_display_value": "all", "sysparm_fields": "state"}
    assert api.get(url, params=shape).json()["result"]["state"] == {"display_value": "Parked", "value": "20"}
    servicenow.control("records", number=made["number"], fields={"state": "2"})
    servicenow.control("switches", language="de")
    assert api.get(url, params=shape).json()["result"]["state"]["display_value"] == "In Bearbeitung"


@pytest.mark.fact("servicenow 2.4")
def test_display_dates_come_in_the_users_own_format(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    made = make(api, due_date="2026-07-01 20:05:00")
    servicenow.control("users", user_name="m365.integration", date_format="dd/MM/yyyy", time_format="hh:mm:ss a")
    shown = api.get(f"/incident/{made['sys_id']}", params={"sysparm_display_value": "all"}).json()["result"]["due_date"]
    assert shown == {"display_value": "01/07/2026 10:05:00 PM", "value": "2026-07-01 20:05:00"}


@pytest.mark.fact("servicenow sandbox-18")
def test_scalars_are_strings_and_references_have_their_three_shapes(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    made = make(api)
    assert all(isinstance(v, str) for k, v in made.items() if k not in ("opened_by", "sys_domain"))
    assert made["sys_domain"]["value"] == "global", "a reference whose value is a word"
    assert made["caller_id"] == "", "an empty reference is a string"
    user, link = made["opened_by"]["value"], made["opened_by"]["link"]
    assert link == f"{servicenow.url}/api/now/table/sys_user/{user}"

    def shape(mode: str, *, links: bool) -> dict[str, Any]:
        params = {"sysparm_display_value": mode, "sysparm_fields": "opened_by,state,caller_id"}
        if not links:
            params["sysparm_exclude_reference_link"] = "true"
        found: dict[str, Any] = api.get(f"/incident/{made['sys_id']}", params=params).json()["result"]
        return found

    assert shape("false", links=False) == {"opened_by": user, "state": "1", "caller_id": ""}
    name = "M365 Integration"
    assert shape("true", links=True) == {
        "opened_by": {"display_value": name, "link": link},
        "state": "New",
        "caller_id": "",
    }
    assert shape("true", links=False) == {"opened_by": name, "state": "New", "caller_id": ""}
    state, empty = {"display_value": "New", "value": "1"}, {"display_value": "", "value": ""}
    of_all = {"state": state, "caller_id": empty}
    assert shape("all", links=True) == of_all | {
        "opened_by": {"display_value": name, "value": user, "link": link},
    }
    assert shape("all", links=False) == of_all | {"opened_by": {"display_value": name, "value": user}}
    assert shape("false", links=True) == {"opened_by": {"link": link, "value": user}, "state": "1", "caller_id": ""}


@pytest.mark.fact("servicenow sandbox-18")
def test_booleans_counts_and_empty_values_are_strings_and_never_missing(api: httpx.Client) -> None:
    sent = {"short_description": "x", "impact": 2, "active": True, "description": None}
    made = api.post("/incident", json=sent).json()["result"]
    assert (made["impact"], made["active"], made["description"], made["sys_mod_count"]) == ("2", "true", "", "0")
    again = api.get(f"/incident/{made['sys_id']}").json()["result"]
    assert set(again) == set(made)
    assert None not in again.values()
    in_a_list = rows(api, sysparm_query=f"sys_id={made['sys_id']}")
    assert in_a_list == [again]


@pytest.mark.fact("servicenow sandbox-28")
def test_a_field_without_read_right_is_absent(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    made = make(api)
    servicenow.instance.switches.unreadable_fields = "priority,due_date"
    found = api.get(f"/incident/{made['sys_id']}").json()["result"]
    assert "priority" not in found
    assert "due_date" not in found
    assert "state" in found
