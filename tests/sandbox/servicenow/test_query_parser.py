"""Joins, related lists, text search, and what the sandbox does not reproduce."""

from __future__ import annotations

import httpx
import pytest

from sandbox.servicenow.query_operators import DYNAMIC_ME
from tests.factories.servicenow import SandboxServiceNow, make, rows


def names(api: httpx.Client, query: str) -> set[str]:
    return {row["user_name"] for row in rows(api, "sys_user", sysparm_query=query)}


def with_role(servicenow: SandboxServiceNow, role: str = "") -> set[str]:
    store = servicenow.instance.store
    found = set()
    for row in store.rows("sys_user_has_role"):
        named = (store.get("sys_user_role", row["role"]) or {}).get("name")
        if role in ("", named):
            found.add((store.get("sys_user", row["user"]) or {})["user_name"])
    return found


@pytest.mark.fact("servicenow 2.3")
def test_a_related_list_keeps_the_records_that_so_many_rows_refer_to(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    everyone, some = names(api, ""), with_role(servicenow)
    assert some < everyone
    assert names(api, "RLQUERYsys_user_has_role.user,>0^ENDRLQUERY") == some
    assert names(api, "RLQUERYsys_user_has_role.user,=0^ENDRLQUERY^ORDERBYname") == everyone - some
    admins = with_role(servicenow, "admin")
    assert names(api, "active=true^RLQUERYsys_user_has_role.user,>=1,m2m^role.name=admin^ENDRLQUERY") == admins
    assert 0 < len(admins) < len(some)


@pytest.mark.fact("servicenow 2.3")
def test_a_join_keeps_the_records_with_a_matching_row_of_another_table(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    join = "JOINsys_user.sys_id=sys_user_has_role.user"
    assert names(api, f"{join}!") == with_role(servicenow)
    assert names(api, f"{join}!role.name=admin^user.active=true^ORDERBYname") == with_role(servicenow, "admin")


@pytest.mark.fact("servicenow 2.3")
def test_an_unknown_field_of_a_joined_table_is_dropped_like_any_other(api: httpx.Client) -> None:
    assert names(api, "JOINsys_user.sys_id=sys_user_has_role.u_typo!") == names(api, "")


@pytest.mark.fact("servicenow 2.3")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("impactSAMEASurgency", "bd"),
        ("impactNSAMEASurgency", "ac"),
        ("impactGT_FIELDurgency", "a"),
        ("impactLT_OR_EQUALS_FIELDurgency", "bcd"),
        ("assigned_toDYNAMIC" + DYNAMIC_ME, "d"),
        ("123TEXTQUERY321=PRINTER floor", "c"),
        ("short_descriptionCONTAINSprinter", "c"),
        ("short_descriptionDOES NOT CONTAINprinter", "abd"),
        ("sys_class_nameINSTANCEOFtask", "abcd"),
        ("sys_class_nameINSTANCEOFchange_request", ""),
        ("due_dateRELATIVEGT@dayofweek@ahead@20", "b"),
        ("due_dateISNOTEMPTY^due_dateRELATIVELT@year@ago@1", "a"),
        ("due_dateRELATIVEEE@month@ahead@600", ""),
        ("due_dateONThat day@javascript:gs.dateGenerate('2001-01-01','start')"
         "@javascript:gs.dateGenerate('2001-01-01','end')", "a"),
        ("GOTOshort_description>=c", "cd"),
        ("due_dateEMPTYSTRING", "cd"),
    ],
)  # fmt: skip
def test_operators_beyond_the_usual_ones(
    servicenow: SandboxServiceNow, api: httpx.Client, query: str, expected: str
) -> None:
    me = rows(api, "sys_user", sysparm_query="user_name=m365.integration")[0]["sys_id"]
    for fields in (
        {"short_description": "a", "impact": "3", "urgency": "1", "due_date": "2001-01-01 12:00:00"},
        {"short_description": "b", "impact": "2", "urgency": "2", "due_date": "2090-01-01 12:00:00"},
        {"short_description": "c: the printer on floor 3", "impact": "1", "urgency": "2"},
        {"short_description": "d", "impact": "1", "urgency": "1", "assigned_to": me},
    ):
        make(api, correlation_display="beyond", **fields)
    found = rows(api, sysparm_query=f"correlation_display=beyond^{query}")
    assert "".join(sorted(row["short_description"][0] for row in found)) == expected


@pytest.mark.fact("servicenow 2.3")
@pytest.mark.parametrize(
    "query",
    [
        "stateVALCHANGES",
        "stateCHANGESTO2",
        "sys_idIN_HIERARCHYx",
        "stateFROBNICATES1",
        "state~1",
        "GROUPBYstate",
        "assigned_toDYNAMICsomething",
        "opened_atRELATIVEGT@fortnight@ago@1",
        "opened_atONToday",
        "RLQUERYsys_user_has_role.user,>0",
        "RLQUERYREL:x.y,>0^ENDRLQUERY",
        "JOINproblem.sys_id=incident.caller_id!",
        "JOINincident.sys_id=u_other.parent!",
    ],
)
def test_what_the_sandbox_does_not_know_it_refuses_and_writes_down(
    servicenow: SandboxServiceNow, api: httpx.Client, query: str
) -> None:
    answer = api.get("/incident", params={"sysparm_query": query})
    assert answer.status_code == 501
    assert servicenow.calls()[-1].note.startswith("the sandbox does not reproduce this part of the query: ")


@pytest.mark.fact("servicenow sandbox-21")
def test_a_name_in_capitals_is_an_unknown_field_and_no_operator(api: httpx.Client) -> None:
    made = make(api)
    found = rows(api, sysparm_query=f"AAAA=BBBB^sys_id={made['sys_id']}")
    assert [row["sys_id"] for row in found] == [made["sys_id"]]


@pytest.mark.fact("servicenow 2.2")
def test_pairs_of_name_and_value_take_display_values(api: httpx.Client) -> None:
    made = make(api, correlation_id="pairs", urgency="2")
    for pairs in (
        {"state": "New"},
        {"state": "1"},
        {"opened_by": made["opened_by"]["value"]},
        {"urgency": "2 - medium"},
    ):
        assert [row["number"] for row in rows(api, correlation_id="pairs", **pairs)] == [made["number"]], pairs
    name = rows(api, "sys_user", sysparm_query="user_name=m365.integration")[0]["name"]
    assert len(rows(api, correlation_id="pairs", opened_by=name)) == 1
    assert rows(api, correlation_id="pairs", state="Closed") == []
    assert rows(api, correlation_id="pairs", opened_by="Another Person") == []
