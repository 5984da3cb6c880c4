"""Writes that do less, or answer less, than was asked for: by a switch each."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make, rows

CHOSEN = "0123456789abcdef0123456789abcdef"


@pytest.mark.fact("servicenow 2.6")
def test_the_write_of_a_field_is_lost_silently_journals_included(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    servicenow.instance.switches.dropped_fields = "correlation_id,incident.work_notes"
    made = make(api, correlation_id="abc", correlation_display="kept", work_notes="lost")
    assert (made["correlation_id"], made["correlation_display"]) == ("", "kept")
    assert api.patch(f"/incident/{made['sys_id']}", json={"work_notes": "lost"}).status_code == 200
    assert rows(api, "sys_journal_field", sysparm_query=f"element_id={made['sys_id']}") == []
    change = make(api, "change_request", work_notes="kept")
    assert len(rows(api, "sys_journal_field", sysparm_query=f"element_id={change['sys_id']}")) == 1
    servicenow.control("notes", number=made["number"], text="an agent's")
    assert len(rows(api, "sys_journal_field", sysparm_query=f"element_id={made['sys_id']}")) == 1, (
        "the rule is the API's"
    )


@pytest.mark.fact("servicenow 3.6")
def test_work_notes_may_need_the_role_itil(servicenow: SandboxServiceNow) -> None:
    servicenow.control("users", user_name="inc.only", roles="sn_incident_write")
    with servicenow.api("inc.only") as other:
        assert _notes_of(servicenow, make(other, work_notes="x")) == 1
        servicenow.instance.switches.notes_need_itil = True
        assert _notes_of(servicenow, make(other, work_notes="x")) == 0


def _notes_of(servicenow: SandboxServiceNow, made: dict[str, str]) -> int:
    return len(list(servicenow.instance.store.find_all("sys_journal_field", element_id=made["sys_id"])))


@pytest.mark.fact("servicenow 6")
@pytest.mark.parametrize("table", ["incident", "change_request"])
def test_a_chosen_sys_id_is_kept_and_a_second_one_refused_as_a_duplicate(api: httpx.Client, table: str) -> None:
    made = make(api, table, sys_id=CHOSEN)
    assert made["sys_id"] == CHOSEN
    again = api.post(f"/{table}", json={"short_description": "second", "sys_id": CHOSEN})
    assert again.status_code == 403
    assert again.json()["error"]["detail"].startswith("Unique Key violation detected by database")
    assert api.get(f"/{table}/{CHOSEN}").json()["result"]["short_description"] == "made by a test"
    assert api.patch(f"/{table}/{CHOSEN}", json={"sys_id": "f" * 32}).json()["result"]["sys_id"] == CHOSEN


@pytest.mark.fact("servicenow 6")
def test_a_chosen_sys_id_may_be_ignored_or_refused(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    assert make(api, sys_id="mine")["sys_id"] != "mine", "no key of this form"
    servicenow.instance.switches.chosen_sys_id = "ignored"
    assert make(api, sys_id=CHOSEN)["sys_id"] != CHOSEN
    servicenow.instance.switches.chosen_sys_id = "refused"
    assert api.post("/incident", json={"sys_id": CHOSEN}).status_code == 403
    assert make(api)["sys_id"], "without a key of one's own nothing is refused"


@pytest.mark.fact("servicenow 6")
def test_a_duplicate_may_become_a_new_record_or_overwrite_the_first(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    make(api, sys_id=CHOSEN)
    servicenow.instance.switches.duplicate_sys_id = "new_record"
    assert make(api, sys_id=CHOSEN)["sys_id"] != CHOSEN
    before = len(servicenow.records())
    servicenow.instance.switches.duplicate_sys_id = "overwritten"
    made = make(api, sys_id=CHOSEN, short_description="second")
    assert (made["sys_id"], made["short_description"], len(servicenow.records())) == (CHOSEN, "second", before)


@pytest.mark.fact("servicenow 2.1")
@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("json", "application/json;charset=UTF-8"), ("html", "text/html;charset=UTF-8"), ("no_type", None)],
)
def test_a_record_may_be_made_and_answered_without_a_body(
    servicenow: SandboxServiceNow, api: httpx.Client, kind: str, content_type: str | None
) -> None:
    servicenow.instance.switches.created_without_body = kind
    answer = api.post("/incident", json={"short_description": "x", "correlation_id": kind})
    assert (answer.status_code, answer.content, answer.headers.get("content-type")) == (201, b"", content_type)
    assert len(rows(api, sysparm_query=f"correlation_id={kind}")) == 1


@pytest.mark.fact("servicenow 2.1")
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}])
def test_a_post_without_a_body_makes_an_empty_record(api: httpx.Client, headers: dict[str, str]) -> None:
    answer = api.post("/incident", headers=headers)
    assert answer.status_code == 201
    assert answer.json()["result"]["short_description"] == ""


@pytest.mark.fact("servicenow 2.6")
def test_a_broken_rule_ends_every_insert_of_its_table(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.instance.switches.failing_rule = "incident"
    before = len(servicenow.records())
    for _ in range(2):
        answer = api.post("/incident", json={"short_description": "x"})
        assert answer.status_code == 500
        assert "Business Rule 'Set the watch list of a new ticket'" in answer.json()["error"]["detail"]
    assert len(servicenow.records()) == before
    assert make(api, "change_request")["number"]


@pytest.mark.fact("servicenow 6")
def test_an_update_that_changes_nothing_moves_nothing_unless_switched(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    made = make(api, urgency="2")
    url = f"/incident/{made['sys_id']}"
    servicenow.control("clock", seconds=60)
    same = api.patch(url, json={"urgency": "2", "due_date": "garbage"}).json()["result"]
    assert (same["sys_mod_count"], same["sys_updated_on"]) == ("0", made["sys_updated_on"])
    servicenow.instance.switches.unchanged_update_moves = True
    moved = api.patch(url, json={"urgency": "2"}).json()["result"]
    assert moved["sys_mod_count"] == "1"
    assert moved["sys_updated_on"] > made["sys_updated_on"]


@pytest.mark.fact("servicenow 4.1")
def test_the_priority_lookup_can_come_up_empty(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.instance.switches.priority_lookup_empty = True
    assert make(api, impact="1", urgency="2", priority="1")["priority"] == ""
    assert make(api, "change_request", priority="2")["priority"] == "2", "changes have no lookup"


@pytest.mark.fact("servicenow 4.4")
def test_retired_choices_stand_first_and_name_nothing(servicenow: SandboxServiceNow) -> None:
    query = {"sysparm_query": "name=incident^element=state^value=3^language=en^ORDERBYsequence"}
    with servicenow.api() as api:
        assert [row["label"] for row in rows(api, "sys_choice", **query)] == ["On Hold"]
        servicenow.instance.switches.retired_choices = True
        found = rows(api, "sys_choice", **query)
        assert [(row["label"], row["inactive"]) for row in found] == [
            ("Awaiting Problem", "true"),
            ("On Hold", "false"),
        ]
        made = make(api, state="3")
        shown = api.get(f"/incident/{made['sys_id']}", params={"sysparm_display_value": "true"}).json()["result"]
        assert shown["state"] == "On Hold"
        servicenow.instance.switches.retired_choices = False
        assert len(rows(api, "sys_choice", **query)) == 1


@pytest.mark.fact("servicenow 4.4")
def test_a_second_row_of_a_value_can_be_added_and_counts_only_where_no_other_is_in_use(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    choice = {"table": "incident", "element": "state", "value": "3"}
    servicenow.control("choices", **choice, label="Waiting", inactive=True, another=True)
    made = make(api, state="3")
    url, shape = f"/incident/{made['sys_id']}", {"sysparm_display_value": "true", "sysparm_fields": "state"}
    assert api.get(url, params=shape).json()["result"] == {"state": "On Hold"}
    servicenow.control("choices", **choice, inactive=True)
    assert api.get(url, params=shape).json()["result"]["state"] == "On Hold", "the first of two retired rows"
