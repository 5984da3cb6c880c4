"""Table API: writes, unknown fields, unknown tables and records."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make


@pytest.mark.fact("servicenow sandbox-19")
def test_post_201_with_location_patch_and_put_200_delete_204(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.instance.switches.itil_may_delete = True
    answer = api.post("/incident", json={"short_description": "one"})
    record = answer.json()["result"]
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{servicenow.url}/api/now/v2/table/incident/{record['sys_id']}"
    assert "sys_mod_count" in record, "the full record"
    url = f"/incident/{record['sys_id']}"
    assert api.patch(url, json={"urgency": "1"}).status_code == 200
    changed = api.put(url, json={"impact": "1"}).json()["result"]
    assert (changed["short_description"], changed["urgency"], changed["impact"]) == ("one", "1", "1")
    answer = api.delete(url)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.fact("servicenow sandbox-20")
def test_unknown_fields_are_ignored(api: httpx.Client) -> None:
    made = make(api, u_no_such_field="x")
    assert "u_no_such_field" not in made
    found = api.get(f"/incident/{made['sys_id']}", params={"sysparm_fields": "number,u_no_such_field"})
    assert found.json()["result"] == {"number": made["number"]}


@pytest.mark.fact("servicenow sandbox-27")
def test_wrong_tables_records_and_paths(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    def error(answer: httpx.Response) -> tuple[int, str, str | None]:
        told = answer.json()
        assert set(told) == {"error", "status"}
        assert told["status"] == "failure"
        assert set(told["error"]) == {"message", "detail"}
        return answer.status_code, told["error"]["message"], told["error"]["detail"]

    invalid = (400, "Invalid table no_such_table", "Table no_such_table does not exist")
    assert error(api.get("/no_such_table")) == invalid
    assert error(api.get(f"/no_such_table/{'0' * 32}")) == invalid
    assert error(api.post("/no_such_table", json={})) == invalid
    servicenow.instance.switches.itil_may_delete = True
    hidden = make(api)
    servicenow.control("records", number=hidden["number"], hidden=True)
    for sys_id in ("0" * 32, hidden["sys_id"]):
        for answer in (
            api.get(f"/incident/{sys_id}"),
            api.patch(f"/incident/{sys_id}", json={"urgency": "1"}),
            api.delete(f"/incident/{sys_id}"),
        ):
            assert error(answer) == (
                404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval",
            )  # fmt: skip
    for path in ("/api/now/nothing/here", "/api/now/table/", "/api/now/v2/table/incident/one/two"):
        answer = api.get(f"{servicenow.url}{path}")
        assert error(answer) == (400, "Requested URI does not represent any resource", None), path
