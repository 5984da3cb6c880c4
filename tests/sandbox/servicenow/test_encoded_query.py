"""Encoded queries: operators, joins, unknown, closed and refused conditions."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make, rows


@pytest.mark.fact("servicenow 2.3")
def test_a_closed_field_is_ignored_in_a_query_or_refused(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    make(api, correlation_id="one")
    make(api, correlation_id="two")
    asked = {"sysparm_query": "correlation_id=nobody"}
    assert api.get("/incident", params=asked).json()["result"] == []
    servicenow.instance.switches.closed_fields = "correlation_id"
    assert len(api.get("/incident", params=asked).json()["result"]) >= 2
    servicenow.instance.switches.strict_queries = True
    assert api.get("/incident", params=asked).status_code == 403


@pytest.mark.fact("servicenow 2.3")
@pytest.mark.parametrize(
    "query",
    [
        "sys_updated_on<2026-01-01 00:00:00",
        "sys_updated_on<=2026-01-01 00:00:00",
        "sys_updated_on>2026-01-01 00:00:00",
        "sys_updated_on>=2026-01-01 00:00:00",
        "sys_updated_onBETWEEN2026-01-01 00:00:00@2027-01-01 00:00:00",
        "sys_updated_onRELATIVEGT@hour@ago@1",
        "short_descriptionSTARTSWITHa",
        "short_descriptionENDSWITHa",
        "short_descriptionLIKEa",
        "short_descriptionNOT LIKEa",
        "number=INC0010001^ORDERBYnumber",
        "ORDERBYDESCnumber",
    ],
)
def test_a_query_acl_may_refuse_ranges_and_sorting_and_leave_equality(
    servicenow: SandboxServiceNow, api: httpx.Client, query: str
) -> None:
    made = make(api)
    servicenow.control("switches", range_refused=True)
    answer = api.get("/incident", params={"sysparm_query": query})
    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == "Insufficient rights to query records"
    assert rows(api, sysparm_query=f"sys_idIN{made['sys_id']}")
    servicenow.control("switches", range_refused_without_sorting=True)
    assert api.get("/incident", params={"sysparm_query": query}).status_code == (
        200 if query[0] == "O" or "^" in query else 403
    )


@pytest.mark.fact("servicenow 2.3")
def test_an_invalid_query_may_find_nothing(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    made = make(api)
    servicenow.control("switches", invalid_query_returns_no_rows=True)
    assert rows(api, sysparm_query=f"number={made['number']}^u_typo=1") == []
    assert rows(api, sysparm_query=f"number={made['number']}^ORu_typo=1") == []
    assert len(rows(api, sysparm_query=f"number={made['number']}")) == 1
    servicenow.control("switches", closed_fields="number")
    assert rows(api, sysparm_query=f"number={made['number']}") == []


@pytest.mark.fact("servicenow 2.3")
@pytest.mark.parametrize(
    ("query", "exactly"),
    [
        ("short_description=ALPHA 1", False),
        ("short_description=älpha 1", False),
        ("short_descriptionINx,Alpha 1", False),
        ("short_description!=ALPHA 1", True),
        ("short_descriptionNOT INALPHA 1", True),
        ("correlation_id=K1", False),
        ("short_descriptionLIKEALPHÀ", True),
        ("short_description=alpha 1", True),
    ],
)
def test_text_is_compared_without_case_and_accents_or_exactly(
    servicenow: SandboxServiceNow, api: httpx.Client, query: str, *, exactly: bool
) -> None:
    make(api, short_description="alpha 1", correlation_id="k1", correlation_display="compared")
    asked = f"{query}^correlation_display=compared"
    assert bool(rows(api, sysparm_query=asked)) == ("!=" not in query and "NOT IN" not in query)
    servicenow.control("switches", exact_text_comparison=True)
    assert bool(rows(api, sysparm_query=asked)) == exactly


@pytest.mark.fact("servicenow 2.3")
def test_a_dot_walked_condition_and_a_dot_walked_field(api: httpx.Client) -> None:
    made = make(api)
    params = {
        "sysparm_query": f"opened_by.user_name=m365.integration^number={made['number']}",
        "sysparm_fields": "number,opened_by.email,opened_by.user_password",
    }
    found = rows(api, **params)
    assert found[0]["opened_by.email"] == "m365.integration@example.com"
    assert found[0]["opened_by.user_password"].endswith("=="), "ciphertext"
    assert rows(api, sysparm_query=f"opened_by.user_name=nobody^number={made['number']}") == []


@pytest.mark.fact("servicenow sandbox-22")
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
def test_operators_with_and_without_an_index(api: httpx.Client, query: str, numbers: str) -> None:
    for n in "1234":
        make(api, correlation_id=f"k{n}", urgency="1")
    found = [row["correlation_id"][1:] for row in rows(api, sysparm_query=query) if row["correlation_id"]]
    assert "".join(found if "ORDERBY" in query else sorted(found)) == numbers


@pytest.mark.fact("servicenow sandbox-22")
def test_an_id_of_digits_is_a_text_and_no_number(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    for sys_id in ("1e5" + "0" * 29, "9" * 32, "a" * 32, "0" * 31 + "1"):
        servicenow.instance.store.put("incident", make(api) | {"sys_id": sys_id, "correlation_id": "digits"})
    first = rows(api, sysparm_query="correlation_id=digits^ORDERBYsys_id", sysparm_fields="sys_id")
    ids = [row["sys_id"] for row in first]
    assert ids == sorted(ids)
    after = rows(api, sysparm_query=f"correlation_id=digits^sys_id>{ids[1]}^ORDERBYsys_id", sysparm_no_count="true")
    assert [row["sys_id"] for row in after] == ids[2:]


@pytest.mark.fact("servicenow sandbox-21")
def test_an_unknown_field_in_a_query_matches_everything_or_is_403(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    make(api)
    everything = rows(api)
    assert rows(api, sysparm_query="u_typo=1") == everything
    servicenow.instance.switches.strict_queries = True
    for params in ({"sysparm_query": "u_typo=1"}, {"sysparm_query": "state=1^u_typo=1"}, {"u_typo": "1"}):
        answer = api.get("/incident", params=params)
        detail = "Field(s) present in the query do not have permission to be read"
        error = {"message": "Insufficient rights to query records", "detail": detail}
        assert (answer.status_code, answer.json()) == (403, {"error": error, "status": "failure"})
        servicenow.instance.switches.query_refusal_without_detail = True
        assert api.get("/incident", params=params).json()["error"] == error | {"detail": None}
        servicenow.instance.switches.query_refusal_without_detail = False
    assert api.get("/incident", params={"sysparm_query": "state=1"}).status_code == 200


@pytest.mark.fact("servicenow sandbox-21")
def test_an_unknown_condition_is_dropped_and_the_others_apply(api: httpx.Client) -> None:
    made = make(api, correlation_id="t21")
    make(api, correlation_id="another")
    assert [row["number"] for row in rows(api, sysparm_query="u_typo=1^correlation_id=t21")] == [made["number"]]
    assert len(rows(api, "sys_choice", sysparm_query="nmae=incident")) == len(rows(api, "sys_choice"))
    assert rows(api, u_typo="1") == rows(api)


@pytest.mark.fact("servicenow sandbox-22")
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
def test_operators_and_joins(api: httpx.Client, query: str, expected: str) -> None:
    for urgency, word in (("1", "alpha"), ("2", "beta"), ("3", "chroma")):
        make(api, short_description=word, urgency=urgency, correlation_display="test 22")
    found = rows(api, sysparm_query=f"{query}^correlation_display=test 22" if "^NQ" not in query else query)
    words = [row["short_description"][0] for row in found if row["correlation_display"] == "test 22"]
    assert "".join(words if "ORDERBY" in query else sorted(words)) == expected
