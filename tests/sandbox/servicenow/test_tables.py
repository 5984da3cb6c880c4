"""The Table API: behaviours 17 to 29 of the fact sheet, each test named by its number."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.factories.servicenow import FakeServiceNow, make, rows


@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic YTpi"])
def test_17_no_good_token_is_401_in_the_envelope(servicenow: FakeServiceNow, authorization: str | None) -> None:
    headers = {"Accept": "application/json"} | ({"Authorization": authorization} if authorization else {})
    answer = httpx.get(f"{servicenow.url}/api/now/table/incident", headers=headers)
    detail = "Required to provide Auth information"
    assert answer.json() == {"error": {"message": "User Not Authenticated", "detail": detail}, "status": "failure"}
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'BASIC realm="Service-now"')
    servicenow.instance.switches.old_401_wording = False
    answer = httpx.get(f"{servicenow.url}/api/now/table/incident", headers=headers)
    assert answer.json()["error"]["message"] == "User is not authenticated"


def test_17_an_expired_token_is_401(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    httpx.post(f"{servicenow.url}/_sandbox/clock", json={"seconds": 1801}).raise_for_status()
    assert api.get("/incident").status_code == 401


def test_18_scalars_are_strings_and_references_have_their_three_shapes(
    servicenow: FakeServiceNow, api: httpx.Client
) -> None:
    made = make(api)
    assert all(isinstance(v, str) for k, v in made.items() if k not in ("opened_by",))
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


def test_18_what_is_true_counted_or_empty_is_a_string_too_and_never_missing(api: httpx.Client) -> None:
    sent = {"short_description": "x", "impact": 2, "active": True, "description": None}
    made = api.post("/incident", json=sent).json()["result"]
    assert (made["impact"], made["active"], made["description"], made["sys_mod_count"]) == ("2", "true", "", "0")
    again = api.get(f"/incident/{made['sys_id']}").json()["result"]
    assert set(again) == set(made)
    assert None not in again.values()
    in_a_list = rows(api, sysparm_query=f"sys_id={made['sys_id']}")
    assert in_a_list == [again]


def test_19_post_201_with_location_patch_and_put_200_delete_204(servicenow: FakeServiceNow, api: httpx.Client) -> None:
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


def test_20_unknown_fields_are_ignored(api: httpx.Client) -> None:
    made = make(api, u_no_such_field="x")
    assert "u_no_such_field" not in made
    found = api.get(f"/incident/{made['sys_id']}", params={"sysparm_fields": "number,u_no_such_field"})
    assert found.json()["result"] == {"number": made["number"]}


def test_21_an_unknown_field_in_a_query_matches_everything_or_is_403(
    servicenow: FakeServiceNow, api: httpx.Client
) -> None:
    make(api)
    everything = rows(api)
    assert rows(api, sysparm_query="u_typo=1") == everything
    servicenow.instance.switches.strict_queries = True
    for params in ({"sysparm_query": "u_typo=1"}, {"sysparm_query": "state=1^u_typo=1"}, {"u_typo": "1"}):
        answer = api.get("/incident", params=params)
        error = {"message": "Insufficient rights to query records", "detail": None}
        assert (answer.status_code, answer.json()) == (403, {"error": error, "status": "failure"})
    assert api.get("/incident", params={"sysparm_query": "state=1"}).status_code == 200


def test_21_an_unknown_condition_falls_away_and_the_others_still_count(api: httpx.Client) -> None:
    made = make(api, correlation_id="t21")
    make(api, correlation_id="another")
    assert [row["number"] for row in rows(api, sysparm_query="u_typo=1^correlation_id=t21")] == [made["number"]]
    assert len(rows(api, "sys_choice", sysparm_query="nmae=incident")) == len(rows(api, "sys_choice"))
    assert rows(api, u_typo="1") == rows(api)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("short_description=alpha", "a"),
        ("short_description!=alpha^short_descriptionISNOTEMPTY", "bc"),
        ("short_descriptionINalpha,chroma", "ac"),
        ("short_descriptionLIKEhro", "c"),
        ("short_descriptionSTARTSWITHbe", "b"),
        ("urgency<2", "a"),
        ("urgency<=2", "ab"),
        ("urgency>2", "c"),
        ("urgency>=2", "bc"),
        ("close_notesISEMPTY", "abc"),
        ("close_notesISNOTEMPTY", ""),
        ("urgency=1^ORurgency=2^short_descriptionLIKEa", "ab"),
        ("urgency=1^NQurgency=3", "ac"),
        ("ORDERBYDESCurgency", "cba"),
        ("ORDERBYurgency", "abc"),
        ("sys_created_on>javascript:gs.minutesAgo(5)", "abc"),
        ("sys_created_on>javascript:gs.evil()^ORDERBYurgency", "abc"),
    ],
)
def test_22_operators_and_joins(api: httpx.Client, query: str, expected: str) -> None:
    for urgency, word in (("1", "alpha"), ("2", "beta"), ("3", "chroma")):
        make(api, short_description=word, urgency=urgency, correlation_display="test 22")
    found = rows(api, sysparm_query=f"{query}^correlation_display=test 22" if "^NQ" not in query else query)
    words = [row["short_description"][0] for row in found if row["correlation_display"] == "test 22"]
    assert "".join(words if "ORDERBY" in query else sorted(words)) == expected


def test_22_a_script_that_is_no_helper_is_never_evaluated(api: httpx.Client) -> None:
    make(api)
    assert rows(api, sysparm_query="number=javascript:__import__('os').getcwd()") == []


def test_22_the_user_of_the_token_can_be_asked_for(api: httpx.Client) -> None:
    params = {"sysparm_query": "sys_id=javascript:gs.getUserID()", "sysparm_fields": "user_name"}
    assert rows(api, "sys_user", **params) == [{"user_name": "m365.integration"}]


def test_23_times_are_utc_and_helpers_read_the_users_zone(api: httpx.Client) -> None:
    made = make(api, due_date="2026-07-01 10:00:00", correlation_id="t23")
    assert made["due_date"] == "2026-07-01 10:00:00"
    assert rows(api, sysparm_query="correlation_id=t23^due_date<=2026-07-01 10:00:00")
    # The integration user's zone is Berlin, two hours ahead in July.
    late = "due_date>=javascript:gs.dateGenerate('2026-07-01','12:00:01')"
    assert rows(api, sysparm_query=f"correlation_id=t23^{late}") == []
    on_time = "due_date>=javascript:gs.dateGenerate('2026-07-01','12:00:00')"
    assert len(rows(api, sysparm_query=f"correlation_id=t23^{on_time}")) == 1
    shown = api.post(
        "/incident", params={"sysparm_input_display_value": "true"}, json={"due_date": "2026-07-01 12:00:00"}
    )
    assert shown.json()["result"]["due_date"] == "2026-07-01 10:00:00"
    display = api.get(f"/incident/{made['sys_id']}", params={"sysparm_display_value": "true"}).json()["result"]
    assert display["due_date"] == "2026-07-01 12:00:00"


def test_24_the_limit_cuts_before_hidden_rows_fall_out(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    numbers = [make(api, correlation_id="t24")["number"] for _ in range(3)]
    httpx.post(f"{servicenow.url}/_sandbox/records", json={"number": numbers[0], "hidden": True}).raise_for_status()
    query = "correlation_id=t24^ORDERBYnumber"
    assert [row["number"] for row in rows(api, sysparm_query=query, sysparm_limit="2")] == [numbers[1]]


def test_24_the_count_says_how_many_match_and_not_how_many_one_may_read(
    servicenow: FakeServiceNow, api: httpx.Client
) -> None:
    numbers = [make(api, correlation_id="t24")["number"] for _ in range(2)]
    servicenow.control("records", number=numbers[0], hidden=True)
    answer = api.get("/incident", params={"sysparm_query": "correlation_id=t24"})
    assert (len(answer.json()["result"]), answer.headers["x-total-count"]) == (1, "2")


def test_25_count_and_link_headers(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    for _ in range(3):
        make(api, correlation_id="t25")
    params = {"sysparm_query": "correlation_id=t25", "sysparm_limit": "1"}
    answer = api.get("/incident", params=params)
    total = answer.headers["x-total-count"]
    assert total == "3"
    links = answer.headers["link"].split(",")
    assert [link.split(";")[1] for link in links] == ['rel="first"', 'rel="prev"', 'rel="next"', 'rel="last"']
    assert "sysparm_offset=-1>" in links[1], "prev has offset -1 on page one"
    assert "sysparm_offset=2>" in links[3]
    last = api.get("/incident", params=params | {"sysparm_offset": "2"})
    assert 'rel="next"' not in last.headers["link"]
    quiet = api.get("/incident", params=params | {"sysparm_suppress_pagination_header": "true"})
    assert "link" not in quiet.headers
    uncounted = api.get("/incident", params=params | {"sysparm_no_count": "true"})
    assert uncounted.headers["x-total-count"] == "1"


def test_25_the_links_are_as_they_were_captured(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    """The captured trace, with the host and the count of this instance."""
    while len(rows(api)) < 4:
        make(api)
    total = len(rows(api))
    url = f"{servicenow.url}/api/now/table/incident"
    answer = api.get(url, params={"sysparm_limit": "1"})
    assert answer.headers["x-total-count"] == str(total)
    offsets = {"first": 0, "prev": -1, "next": 1, "last": total - 1}
    assert answer.headers["link"] == ",".join(
        f'<{url}?sysparm_limit=1&sysparm_offset={offset}>;rel="{rel}"' for rel, offset in offsets.items()
    )
    query = {"sysparm_query": "numberISNOTEMPTY^ORDERBYnumber", "sysparm_fields": "number"}
    answer = api.get("/incident", params=query | {"sysparm_limit": "2", "sysparm_offset": "2"})
    links = re.findall(r'<([^>]*)>;rel="(\w+)"', answer.headers["link"])
    found = {rel: httpx.URL(link) for link, rel in links}
    assert {rel: link.params["sysparm_offset"] for rel, link in found.items() if rel != "next"} == {
        "first": "0", "prev": "0", "last": str((total - 1) // 2 * 2),
    }  # fmt: skip
    for link in found.values():
        assert str(link).startswith(f"{servicenow.url}/api/now/v2/table/incident?")
        assert dict(link.params) | query == dict(link.params), "what was asked is asked again"
        assert link.params["sysparm_limit"] == "2"
    followed = api.get(found["prev"]).json()["result"]
    assert [row["number"] for row in followed] == sorted(row["number"] for row in rows(api))[:2]


def test_25_without_a_count_the_header_names_the_rows_returned(api: httpx.Client) -> None:
    for _ in range(3):
        make(api, correlation_id="t25")
    params = {"sysparm_query": "correlation_id=t25", "sysparm_limit": "2", "sysparm_no_count": "true"}
    answer = api.get("/incident", params=params)
    assert (answer.headers["x-total-count"], len(answer.json()["result"])) == ("2", 2)
    quiet = api.get("/incident", params={"sysparm_limit": "1", "sysparm_suppress_pagination_header": "true"})
    assert "link" not in quiet.headers
    assert quiet.headers["x-total-count"] == str(len(rows(api))), "the count stays"


def test_26_an_empty_list_is_404_in_version_1_and_empty_in_version_2(
    servicenow: FakeServiceNow, api: httpx.Client
) -> None:
    params = {"sysparm_query": "number=INC9999999"}
    assert rows(api, **params) == []
    answer = api.get(f"{servicenow.url}/api/now/v1/table/incident", params=params)
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "No Record found")
    assert api.get(f"{servicenow.url}/api/now/table/incident", params=params).json() == {"result": []}


def test_27_wrong_tables_records_and_paths(servicenow: FakeServiceNow, api: httpx.Client) -> None:
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


def test_28_a_field_without_read_right_is_absent(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    made = make(api)
    servicenow.instance.switches.unreadable_fields = "priority,due_date"
    found = api.get(f"/incident/{made['sys_id']}").json()["result"]
    assert "priority" not in found
    assert "due_date" not in found
    assert "state" in found


def test_29_wrong_kinds_of_body_and_answer(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    assert api.get("/incident", headers={"Accept": "image/png"}).status_code == 406
    assert api.post("/incident", content=b"a=b", headers={"Content-Type": "text/plain"}).status_code == 415
    assert api.post("/incident", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert api.post("/incident", content=b'"text"', headers={"Content-Type": "application/json"}).status_code == 400


def test_29_headers_that_are_missing(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    """httpx adds `Accept: */*` to what it builds itself, so these requests are built by hand."""

    def sent(method: str, content: bytes | None = None, **headers: str) -> httpx.Response:
        url = f"{servicenow.url}/api/now/v2/table/incident"
        signed = {"Authorization": api.headers["Authorization"], **headers}
        return api.send(httpx.Request(method, url, headers=signed, content=content))

    before = len(rows(api))
    asked = sent("GET")
    assert "accept" not in asked.request.headers
    assert (asked.status_code, asked.json()["status"]) == (400, "failure")
    made = sent("POST", b"{}", Accept="application/json")
    assert "content-type" not in made.request.headers
    assert (made.status_code, made.json()["status"]) == (400, "failure")
    assert sent("POST", b"{}", **{"Content-Type": "application/json"}).status_code == 400
    assert len(rows(api)) == before, "what is refused is not done"
    assert sent("GET", Accept="*/*").status_code == 200
    assert sent("POST", b"{}", Accept="application/json", **{"Content-Type": "application/json"}).status_code == 201
