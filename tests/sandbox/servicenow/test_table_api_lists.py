"""Lists of the Table API: paging, counts, order."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make, rows


@pytest.mark.fact("servicenow 2.3", "servicenow trap-13")
@pytest.mark.parametrize("counted", ["true", "false"])
def test_keyset_pages_lose_and_repeat_nothing(servicenow: SandboxServiceNow, api: httpx.Client, counted: str) -> None:
    servicenow.control("fill", table="incident", count=2500, fields={"correlation_display": "ours"})
    seen: list[str] = []
    last = ""
    while True:
        query = f"correlation_display=ours^sys_updated_on>=2020-01-01 00:00:00{last}^ORDERBYsys_id"
        page = rows(api, sysparm_query=query, sysparm_limit="400", sysparm_fields="sys_id", sysparm_no_count=counted)
        if not page:
            break
        seen += [row["sys_id"] for row in page]
        last = f"^sys_id>{seen[-1]}"
    assert len(seen) == len(set(seen)) == 2500


@pytest.mark.fact("servicenow 2.3")
def test_without_an_order_pages_may_come_in_any(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("fill", table="incident", count=60)
    servicenow.control("switches", shuffle_unordered=True)
    orders = {tuple(row["number"] for row in rows(api, sysparm_fields="number")) for _ in range(3)}
    assert len(orders) > 1
    ordered = {
        tuple(row["number"] for row in rows(api, sysparm_fields="number", sysparm_query="ORDERBYnumber"))
        for _ in range(3)
    }
    assert len(ordered) == 1


@pytest.mark.fact("servicenow sandbox-25")
def test_offsets_may_be_ignored_and_links_lead_elsewhere(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", offset_ignored=True, foreign_links=True)
    first = api.get("/incident", params={"sysparm_limit": "1", "sysparm_query": "ORDERBYnumber"})
    second = api.get(
        "/incident", params={"sysparm_limit": "1", "sysparm_offset": "1", "sysparm_query": "ORDERBYnumber"}
    )
    assert first.json() == second.json()
    assert servicenow.url not in first.headers["link"]


@pytest.mark.fact("servicenow 2.9")
def test_a_long_query_needs_its_pagination_headers_suppressed(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", long_query_limit=1000)
    params = {"sysparm_query": "sys_idIN" + ",".join("0" * 32 for _ in range(50))}
    answer = api.get("/incident", params=params)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Pagination not supported")
    assert api.get("/incident", params=params | {"sysparm_suppress_pagination_header": "true"}).status_code == 200


@pytest.mark.fact("servicenow sandbox-24")
def test_the_limit_applies_before_row_acls(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    numbers = [make(api, correlation_id="t24")["number"] for _ in range(3)]
    httpx.post(f"{servicenow.url}/_sandbox/records", json={"number": numbers[0], "hidden": True}).raise_for_status()
    query = "correlation_id=t24^ORDERBYnumber"
    assert [row["number"] for row in rows(api, sysparm_query=query, sysparm_limit="2")] == [numbers[1]]


@pytest.mark.fact("servicenow sandbox-24")
def test_the_count_includes_matching_rows_that_are_unreadable(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    numbers = [make(api, correlation_id="t24")["number"] for _ in range(2)]
    servicenow.control("records", number=numbers[0], hidden=True)
    answer = api.get("/incident", params={"sysparm_query": "correlation_id=t24"})
    assert (len(answer.json()["result"]), answer.headers["x-total-count"]) == (1, "2")


@pytest.mark.fact("servicenow sandbox-25")
def test_count_and_link_headers(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
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


@pytest.mark.fact("servicenow sandbox-25")
def test_the_links_are_as_they_were_captured(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
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


@pytest.mark.fact("servicenow sandbox-25")
def test_without_a_count_the_header_names_the_rows_returned(api: httpx.Client) -> None:
    for _ in range(3):
        make(api, correlation_id="t25")
    params = {"sysparm_query": "correlation_id=t25", "sysparm_limit": "2", "sysparm_no_count": "true"}
    answer = api.get("/incident", params=params)
    assert (answer.headers["x-total-count"], len(answer.json()["result"])) == ("2", 2)
    quiet = api.get("/incident", params={"sysparm_limit": "1", "sysparm_suppress_pagination_header": "true"})
    assert "link" not in quiet.headers
    assert quiet.headers["x-total-count"] == str(len(rows(api))), "the count stays"


@pytest.mark.fact("servicenow sandbox-26")
def test_an_empty_list_is_404_in_version_1_and_empty_in_version_2(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    params = {"sysparm_query": "number=INC9999999"}
    assert rows(api, **params) == []
    answer = api.get(f"{servicenow.url}/api/now/v1/table/incident", params=params)
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "No Record found")
    assert api.get(f"{servicenow.url}/api/now/table/incident", params=params).json() == {"result": []}
