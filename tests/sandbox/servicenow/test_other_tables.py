"""Tables beside tickets: tasks under their parent, problems, what sys_db_object and sys_dictionary say, abort rules."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make, rows


@pytest.mark.fact("servicenow 4.3")
def test_task_shows_the_rows_of_its_children_with_their_own_labels(servicenow: SandboxServiceNow) -> None:
    with servicenow.api() as api:
        made = {table: make(api, table) for table in ("incident", "change_request", "problem", "change_task")}
        asked = {"sysparm_query": "short_description=made by a test^ORDERBYDESCnumber", "sysparm_display_value": "true"}
        found = rows(api, "task", **asked)
        assert [row["number"] for row in found] == sorted((row["number"] for row in made.values()), reverse=True)
        assert {row["sys_class_name"]: row["state"] for row in found} == {
            "incident": "New", "change_request": "New", "problem": "New", "change_task": "Pending",
        }  # fmt: skip
        assert "caller_id" not in found[0], "a parent has the common columns only"
        one = api.get(f"/task/{made['problem']['sys_id']}").json()["result"]
        assert (one["number"], one["sys_class_name"]) == (made["problem"]["number"], "problem")
        counted = api.get(f"{servicenow.url}/api/now/stats/task", params={"sysparm_count": "true"}).json()
        assert (
            int(counted["result"]["stats"]["count"])
            == len(servicenow.records()) + len(servicenow.records("change_request")) + 2
        )
    with servicenow.api("no.roles") as outsider:
        assert rows(outsider, "task") == []
        assert outsider.get(f"/task/{made['problem']['sys_id']}").status_code == 404


@pytest.mark.parametrize("table", ["problem", "problem_task", "change_task"])
def test_other_tasks_are_made_noted_and_numbered(servicenow: SandboxServiceNow, api: httpx.Client, table: str) -> None:
    made = make(api, table, work_notes="seen")
    assert made["opened_by"]["value"]
    assert made["number"].startswith(("PRB", "PTASK", "CTASK"))
    changed = api.patch(f"/{table}/{made['sys_id']}", json={"short_description": "other"}).json()["result"]
    assert (changed["short_description"], changed["sys_mod_count"]) == ("other", "1")
    shown = api.get(f"/{table}/{made['sys_id']}", params={"sysparm_display_value": "true"}).json()["result"]
    assert "seen" in shown["work_notes"]
    with servicenow.api("no.roles") as outsider:
        assert outsider.post(f"/{table}", json={}).status_code == 403
        assert rows(outsider, table) == []


def test_the_instance_says_which_tables_and_columns_it_has(api: httpx.Client) -> None:
    tables = {row["name"] for row in rows(api, "sys_db_object", sysparm_fields="name")}
    assert {"task", "incident", "problem", "cmdb_ci", "sys_user"} <= tables
    referring = rows(api, "sys_dictionary", sysparm_query="reference=incident", sysparm_fields="name,element")
    assert {"name": "incident", "element": "parent_incident"} in referring
    assert api.get("/cmdb_ci").status_code == 200


@pytest.mark.fact("servicenow 2.4")
def test_a_password_is_stars_in_words_and_ciphertext_as_a_value(servicenow: SandboxServiceNow) -> None:
    with servicenow.api("admin") as admin:
        one = {"sysparm_query": "user_name=admin", "sysparm_fields": "user_password"}
        (all_of_it,) = rows(admin, "sys_user", **one, sysparm_display_value="all")
        assert all_of_it["user_password"]["display_value"] == "********"
        assert all_of_it["user_password"]["value"] == rows(admin, "sys_user", **one)[0]["user_password"]
        assert rows(admin, "sys_user", **one, sysparm_display_value="true") == [{"user_password": "********"}]


def test_an_abort_rule_stops_the_writes_its_condition_finds(servicenow: SandboxServiceNow) -> None:
    rule = {
        "name": "no doors", "collection": "problem", "active": "true", "when": "before", "action_update": "true",
        "abort_action": "true", "message": "Not this one", "filter_condition": "short_descriptionLIKEdoor^EQ",
    }  # fmt: skip
    with servicenow.api("admin") as admin:
        assert admin.post("/sys_script", json=rule).status_code == 201
        made = make(admin, "problem", short_description="A door is open")
        refused = admin.patch(f"/problem/{made['sys_id']}", json={"description": "still"})
        assert (refused.status_code, refused.json()["error"]["detail"]) == (403, "Not this one")
        assert make(admin, "incident", short_description="A door is open")
        (row,) = rows(admin, "sys_script", sysparm_query="name=no doors")
        admin.patch(f"/sys_script/{row['sys_id']}", json={"active": "false"})
        assert admin.patch(f"/problem/{made['sys_id']}", json={"description": "still"}).status_code == 200


@pytest.mark.fact("servicenow 6")
def test_a_chosen_key_may_have_capitals(servicenow: SandboxServiceNow) -> None:
    chosen = "AAAABBBBCCCCDDDDEEEEFFFF00001111"
    with servicenow.api("admin") as admin:
        assert make(admin, "problem", sys_id=chosen)["sys_id"] == chosen
        assert admin.get(f"/problem/{chosen}").status_code == 200
