"""Roles and what they open: facts 3.6, and the tables a connector may want to read."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sandbox.servicenow.table_schema import FAMILIES
from tests.factories.servicenow import INTEGRATION_USER, Snow, make, rows


def test_the_granular_roles_are_enough_for_the_table_api(snow: Snow) -> None:
    snow.control("users", user_name="least", roles="sn_incident_write,sn_change_write,snc_platform_rest_api_access")
    with snow.api("least") as least:
        for table in ("incident", "change_request"):
            made = make(least, table)
            assert least.patch(f"/{table}/{made['sys_id']}", json={"urgency": "1"}).status_code == 200


@pytest.mark.parametrize(("role", "table"), [("sn_incident_read", "incident"), ("sn_change_read", "change_request")])
def test_a_reading_role_reads_its_table_and_writes_nothing(snow: Snow, role: str, table: str) -> None:
    snow.control("users", user_name="reader", roles=role)
    with snow.api("reader") as reader:
        assert len(rows(reader, table)) > 0
        other = {"incident": "change_request", "change_request": "incident"}[table]
        assert rows(reader, other) == []
        assert reader.post(f"/{table}", json={}).status_code == 403


@pytest.mark.parametrize("table", ["incident", "change_request"])
@pytest.mark.parametrize("action", ["read", "create", "write"])
def test_each_table_and_action_can_be_refused_alone(snow: Snow, api: httpx.Client, table: str, action: str) -> None:
    made = make(api, table)
    snow.control("switches", acl_refuses=f"{table}.{action}")
    url = f"/{table}/{made['sys_id']}"
    can_create = api.post(f"/{table}", json={}).status_code == 201
    can_write = api.patch(url, json={"urgency": "2"}).status_code == 200
    listed = len(rows(api, table)) > 0
    assert (can_create, can_write, listed) == (
        action != "create",
        action == "create",  # What cannot be read cannot be found for a change either.
        action != "read",
    )
    assert api.get(url).status_code == (404 if action == "read" else 200)


def test_work_notes_can_be_refused_alone(snow: Snow, api: httpx.Client) -> None:
    url = f"/incident/{make(api)['sys_id']}"
    snow.control("switches", acl_refuses="incident.work_notes")
    assert api.patch(url, json={"work_notes": "x"}).status_code == 403
    assert api.patch(url, json={"urgency": "1"}).status_code == 200


def test_an_active_api_acl_needs_its_role(snow: Snow, api: httpx.Client) -> None:
    snow.control("switches", api_acl_active=True)
    assert api.get("/incident").status_code == 200, "itil holds the role"
    with snow.api("no.roles") as other:
        assert other.get("/incident").json()["error"]["detail"] == "Failed API level ACL Validation"


def test_snc_read_only_means_no_tokens_and_no_writes(snow: Snow, api: httpx.Client) -> None:
    snow.control("switches", user_read_only=True)
    assert api.post("/incident", json={}).status_code == 403
    assert api.get("/incident").status_code == 200
    answer = snow.grant(grant_type="authorization_code", code=snow.code(), redirect_uri=snow.settings.redirect_uris[0])
    assert answer.status_code == 401


def test_roles_groups_and_members_can_be_read(snow: Snow, api: httpx.Client) -> None:
    query = "user.user_name=m365.integration^state=active"
    found = rows(api, "sys_user_has_role", sysparm_query=query, sysparm_fields="role.name,inherited")
    assert sorted(row["role.name"] for row in found) == ["itil", "personalize_choices"]
    groups = rows(api, "sys_user_group", sysparm_query="active=true^nameLIKEsecurity", sysparm_display_value="all")
    assert [group["name"]["value"] for group in groups] == ["Security Operations"]
    assert groups[0]["manager"]["display_value"] == "Fred Luddy"
    made = make(api, assignment_group=rows(api, "sys_user_group", sysparm_query="name=Network")[0]["sys_id"])
    shown = api.get(f"/incident/{made['sys_id']}", params={"sysparm_display_value": "true"}).json()["result"]
    assert shown["assignment_group"]["display_value"] == "Network"
    snow.control("switches", roles_readable=False)
    assert rows(api, "sys_user_has_role") == []


def test_the_dictionary_knows_lengths_types_and_columns_of_the_site(snow: Snow, api: httpx.Client) -> None:
    def about(table: str, element: str) -> list[dict[str, Any]]:
        return rows(api, "sys_dictionary", sysparm_query=f"name={table}^element={element}")

    assert about("task", "short_description")[0]["max_length"] == "160"
    assert about("task", "correlation_id")[0]["max_length"] == "100"
    assert about("task", "due_date")[0]["internal_type"] == "glide_date_time"
    assert about("incident", "u_recommendation_category") == []
    snow.control("columns", table="incident", name="u_recommendation_category", label="Category", length=60)
    assert about("incident", "u_recommendation_category")[0]["max_length"] == "60"
    made = make(api, u_recommendation_category="Identity")
    assert made["u_recommendation_category"] == "Identity"
    assert rows(api, sysparm_query="u_recommendation_category=Identity")[0]["number"] == made["number"]
    assert "u_recommendation_category" not in make(api, "change_request")
    snow.control("switches", dictionary_readable=False)
    assert api.get("/sys_dictionary").status_code == 403


def test_the_oauth_record_can_be_read_by_roles_or_is_refused_across_scopes(snow: Snow, api: httpx.Client) -> None:
    query = {"sysparm_query": f"client_id={snow.settings.client_id}"}
    record = rows(api, "oauth_entity", **query)[0]
    assert record["redirect_url"] == snow.settings.redirect_uris[0]
    assert record["refresh_token_lifespan"] == "8640000"
    snow.control("switches", oauth_entity_readable=False)
    assert rows(api, "oauth_entity", **query) == []
    with snow.api("admin") as admin:
        assert len(rows(admin, "oauth_entity", **query)) == 1
        snow.control("switches", cross_scope_refusal=True)
        assert len(rows(admin, "oauth_entity", **query)) == 1
    answer = api.get("/oauth_entity", params=query)
    assert answer.status_code == 403
    assert "cross-scope access policy" in answer.json()["error"]["detail"]


def test_37_every_family_from_kingston_to_brazil_can_be_claimed(snow: Snow, api: httpx.Client) -> None:
    assert (FAMILIES[0], FAMILIES[-1], len(FAMILIES)) == ("kingston", "brazil", 18)
    for family in FAMILIES:
        snow.control("family", family=family)
        found = rows(api, "sys_properties", sysparm_query="name=glide.buildtag", sysparm_fields="value")
        assert found[0]["value"].startswith(f"glide-{family}-")
    snow.control("switches", properties_missing=True)
    assert rows(api, "sys_properties") == []


@pytest.mark.parametrize("field", ["active", "locked_out"])
def test_a_user_who_is_shut_out_is_401(snow: Snow, api: httpx.Client, field: str) -> None:
    value = {"active": "false", "locked_out": "true"}[field]
    snow.control("users", user_name="m365.integration", **{field: value})
    assert api.get("/incident").status_code == 401


def test_a_password_that_must_be_reset_gets_no_token(snow: Snow) -> None:
    refresh = snow.tokens()["refresh_token"]
    snow.control("users", user_name="m365.integration", password_needs_reset="true")
    assert snow.grant(grant_type="refresh_token", refresh_token=refresh).status_code == 401


def test_a_locked_user_loses_its_tokens_unless_the_switch_says_otherwise(snow: Snow, api: httpx.Client) -> None:
    snow.control("users", user_name=INTEGRATION_USER, locked_out="true")
    assert api.get("/incident").status_code == 401
    snow.instance.switches.locked_keeps_tokens = True
    assert api.get("/incident").status_code == 200
    snow.control("users", user_name=INTEGRATION_USER, active="false")
    assert api.get("/incident").status_code == 200
    snow.instance.switches.locked_keeps_tokens = False
    assert api.get("/incident").status_code == 401


def test_a_closed_field_is_ignored_in_a_query_or_refused(snow: Snow, api: httpx.Client) -> None:
    make(api, correlation_id="one")
    make(api, correlation_id="two")
    asked = {"sysparm_query": "correlation_id=nobody"}
    assert api.get("/incident", params=asked).json()["result"] == []
    snow.instance.switches.closed_fields = "correlation_id"
    assert len(api.get("/incident", params=asked).json()["result"]) >= 2
    snow.instance.switches.strict_queries = True
    assert api.get("/incident", params=asked).status_code == 403


def test_the_client_record_is_told_without_its_secret(snow: Snow) -> None:
    told = httpx.get(f"{snow.url}/_sandbox/client")
    assert told.json()["redirect_url"] == ",".join(snow.settings.redirect_uris)
    assert snow.settings.client_secret not in told.text
