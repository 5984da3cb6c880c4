"""Lists that go wrong as they do in the field, dot-walked names, and labels: facts 2.2 to 2.5."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import FakeServiceNow, make, rows


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "BETWEEN"])
def test_2_3_a_query_acl_may_refuse_ranges_and_leave_equality(
    servicenow: FakeServiceNow, api: httpx.Client, operator: str
) -> None:
    made = make(api)
    servicenow.control("switches", range_refused=True)
    value = "2026-01-01 00:00:00@2027-01-01 00:00:00" if operator == "BETWEEN" else "2026-01-01 00:00:00"
    answer = api.get("/incident", params={"sysparm_query": f"sys_updated_on{operator}{value}"})
    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == "Insufficient rights to query records"
    assert rows(api, sysparm_query=f"sys_idIN{made['sys_id']}")


def test_2_3_a_dot_walked_condition_and_a_dot_walked_field(api: httpx.Client) -> None:
    made = make(api)
    params = {
        "sysparm_query": f"opened_by.user_name=m365.integration^number={made['number']}",
        "sysparm_fields": "number,opened_by.email,opened_by.user_password",
    }
    found = rows(api, **params)
    assert found[0]["opened_by.email"] == "m365.integration@example.com"
    assert found[0]["opened_by.user_password"].endswith("=="), "ciphertext"
    assert rows(api, sysparm_query=f"opened_by.user_name=nobody^number={made['number']}") == []


def test_2_4_passwords_read_as_ciphertext(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    text = api.get("/sys_user").text + api.get("/oauth_entity").text
    assert servicenow.settings.password not in text
    assert servicenow.settings.client_secret not in text
    assert rows(api, "oauth_entity")[0]["client_secret"] != ""


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("correlation_idBETWEENk2@k3", "23"),
        ("correlation_id>k2", "34"),
        ("correlation_idANYTHING^correlation_idSTARTSWITHk", "1234"),
        ("correlation_idENDSWITH4", "4"),
        ("correlation_id=k1^ORcorrelation_id=k4^urgency=1", "14"),
        ("correlation_id=k1^NQcorrelation_id=k3", "13"),
        ("correlation_idINk1,k9,k2", "12"),
        ("correlation_idNOT INk1,k2^correlation_idSTARTSWITHk", "34"),
        ("correlation_idSTARTSWITHk^correlation_idNOT LIKE3", "124"),
        ("correlation_idSTARTSWITHk^sys_updated_on>=2020-01-01 00:00:00^ORDERBYDESCcorrelation_id", "4321"),
    ],
)
def test_22_operators_with_and_without_an_index(api: httpx.Client, query: str, numbers: str) -> None:
    for n in "1234":
        make(api, correlation_id=f"k{n}", urgency="1")
    found = [row["correlation_id"][1:] for row in rows(api, sysparm_query=query) if row["correlation_id"]]
    assert "".join(found if "ORDERBY" in query else sorted(found)) == numbers


def test_22_an_id_of_digits_is_a_text_and_no_number(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    for sys_id in ("1e5" + "0" * 29, "9" * 32, "a" * 32, "0" * 31 + "1"):
        servicenow.instance.store.put("incident", make(api) | {"sys_id": sys_id, "correlation_id": "digits"})
    first = rows(api, sysparm_query="correlation_id=digits^ORDERBYsys_id", sysparm_fields="sys_id")
    ids = [row["sys_id"] for row in first]
    assert ids == sorted(ids)
    after = rows(api, sysparm_query=f"correlation_id=digits^sys_id>{ids[1]}^ORDERBYsys_id", sysparm_no_count="true")
    assert [row["sys_id"] for row in after] == ids[2:]


@pytest.mark.parametrize("counted", ["true", "false"])
def test_2_3_keyset_pages_lose_and_repeat_nothing(servicenow: FakeServiceNow, api: httpx.Client, counted: str) -> None:
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


def test_2_3_without_an_order_pages_may_come_in_any(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    servicenow.control("fill", table="incident", count=60)
    servicenow.control("switches", shuffle_unordered=True)
    orders = {tuple(row["number"] for row in rows(api, sysparm_fields="number")) for _ in range(3)}
    assert len(orders) > 1
    ordered = {
        tuple(row["number"] for row in rows(api, sysparm_fields="number", sysparm_query="ORDERBYnumber"))
        for _ in range(3)
    }
    assert len(ordered) == 1


def test_25_offsets_may_be_ignored_and_links_lead_elsewhere(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", offset_ignored=True, foreign_links=True)
    first = api.get("/incident", params={"sysparm_limit": "1", "sysparm_query": "ORDERBYnumber"})
    second = api.get(
        "/incident", params={"sysparm_limit": "1", "sysparm_offset": "1", "sysparm_query": "ORDERBYnumber"}
    )
    assert first.json() == second.json()
    assert servicenow.url not in first.headers["link"]


def test_2_9_a_long_query_needs_its_pagination_headers_suppressed(
    servicenow: FakeServiceNow, api: httpx.Client
) -> None:
    servicenow.control("switches", long_query_limit=1000)
    params = {"sysparm_query": "sys_idIN" + ",".join("0" * 32 for _ in range(50))}
    answer = api.get("/incident", params=params)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Pagination not supported")
    assert api.get("/incident", params=params | {"sysparm_suppress_pagination_header": "true"}).status_code == 200


def test_2_1_a_method_may_be_overridden(api: httpx.Client) -> None:
    made = make(api)
    answer = api.post(f"/incident/{made['sys_id']}", json={"urgency": "1"}, headers={"X-HTTP-Method-Override": "PATCH"})
    assert (answer.status_code, answer.json()["result"]["urgency"]) == (200, "1")


def test_4_3_work_notes_are_journal_entries_and_read_as_text_blocks(
    servicenow: FakeServiceNow, api: httpx.Client
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


def test_4_3_a_work_note_touches_its_record_and_is_never_replaced(
    servicenow: FakeServiceNow, api: httpx.Client
) -> None:
    made = make(api)
    url, note = f"/incident/{made['sys_id']}", {"work_notes": "same words"}
    api.patch(url, json=note)
    changed = api.patch(url, json=note).json()["result"]
    assert int(changed["sys_mod_count"]) == int(made["sys_mod_count"]) + 2
    found = rows(api, "sys_journal_field", sysparm_query=f"element_id={made['sys_id']}^element=work_notes")
    assert len(found) == 2, "sent twice, it stands there twice"


def test_4_4_labels_may_be_german_and_custom_states_have_names_of_their_own(
    servicenow: FakeServiceNow, api: httpx.Client
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


def test_2_4_display_dates_come_in_the_users_own_format(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    made = make(api, due_date="2026-07-01 20:05:00")
    servicenow.control("users", user_name="m365.integration", date_format="dd/MM/yyyy", time_format="hh:mm:ss a")
    shown = api.get(f"/incident/{made['sys_id']}", params={"sysparm_display_value": "all"}).json()["result"]["due_date"]
    assert shown == {"display_value": "01/07/2026 10:05:00 PM", "value": "2026-07-01 20:05:00"}
