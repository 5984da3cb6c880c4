"""Roles, table ACLs and row ACLs."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make, rows


@pytest.mark.fact("servicenow 3.6")
def test_the_granular_roles_are_enough_for_the_table_api(servicenow: SandboxServiceNow) -> None:
    servicenow.control(
        "users", user_name="least", roles="sn_incident_write,sn_change_write,snc_platform_rest_api_access"
    )
    with servicenow.api("least") as least:
        for table in ("incident", "change_request"):
            made = make(least, table)
            assert least.patch(f"/{table}/{made['sys_id']}", json={"urgency": "1"}).status_code == 200


@pytest.mark.fact("servicenow 3.6")
@pytest.mark.parametrize(("role", "table"), [("sn_incident_read", "incident"), ("sn_change_read", "change_request")])
def test_a_reading_role_reads_its_table_and_writes_nothing(
    servicenow: SandboxServiceNow, role: str, table: str
) -> None:
    servicenow.control("users", user_name="reader", roles=role)
    with servicenow.api("reader") as reader:
        assert len(rows(reader, table)) > 0
        other = {"incident": "change_request", "change_request": "incident"}[table]
        assert rows(reader, other) == []
        assert reader.post(f"/{table}", json={}).status_code == 403


@pytest.mark.fact("servicenow 2.6")
@pytest.mark.parametrize("table", ["incident", "change_request"])
@pytest.mark.parametrize("action", ["read", "create", "write"])
def test_each_table_and_action_can_be_refused_alone(
    servicenow: SandboxServiceNow, api: httpx.Client, table: str, action: str
) -> None:
    made = make(api, table)
    servicenow.control("switches", acl_refuses=f"{table}.{action}")
    url = f"/{table}/{made['sys_id']}"
    can_create = api.post(f"/{table}", json={}).status_code == 201
    can_write = api.patch(url, json={"urgency": "2"}).status_code == 200
    listed = len(rows(api, table)) > 0
    assert (can_create, can_write, listed) == (
        action != "create",
        action == "create",  # An unreadable record cannot be updated either: it is answered 404.
        action != "read",
    )
    assert api.get(url).status_code == (404 if action == "read" else 200)


def test_work_notes_can_be_refused_alone(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    url = f"/incident/{make(api)['sys_id']}"
    servicenow.control("switches", acl_refuses="incident.work_notes")
    assert api.patch(url, json={"work_notes": "x"}).status_code == 403
    assert api.patch(url, json={"urgency": "1"}).status_code == 200


@pytest.mark.fact("servicenow 3.6")
def test_an_active_api_acl_needs_its_role(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", api_acl_active=True)
    assert api.get("/incident").status_code == 200, "itil holds the role"
    with servicenow.api("no.roles") as other:
        assert other.get("/incident").json()["error"]["detail"] == "Failed API level ACL Validation"


@pytest.mark.fact("servicenow 1.5")
def test_snc_read_only_means_no_tokens_and_no_writes(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", user_read_only=True)
    assert api.post("/incident", json={}).status_code == 403
    assert api.get("/incident").status_code == 200
    answer = servicenow.grant(
        grant_type="authorization_code", code=servicenow.code(), redirect_uri=servicenow.settings.redirect_uris[0]
    )
    assert answer.status_code == 401


def test_roles_groups_and_members_can_be_read(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    query = "user.user_name=m365.integration^state=active"
    found = rows(api, "sys_user_has_role", sysparm_query=query, sysparm_fields="role.name,inherited")
    assert sorted(row["role.name"] for row in found) == ["itil", "personalize_choices"]
    groups = rows(api, "sys_user_group", sysparm_query="active=true^nameLIKEsecurity", sysparm_display_value="all")
    assert [group["name"]["value"] for group in groups] == ["Security Operations"]
    assert groups[0]["manager"]["display_value"] == "Fred Luddy"
    made = make(api, assignment_group=rows(api, "sys_user_group", sysparm_query="name=Network")[0]["sys_id"])
    shown = api.get(f"/incident/{made['sys_id']}", params={"sysparm_display_value": "true"}).json()["result"]
    assert shown["assignment_group"]["display_value"] == "Network"
    servicenow.control("switches", roles_readable=False)
    assert rows(api, "sys_user_has_role") == []


@pytest.mark.fact("servicenow 9")
def test_the_oauth_record_can_be_read_by_roles_or_is_refused_across_scopes(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    query = {"sysparm_query": f"client_id={servicenow.settings.client_id}"}
    record = rows(api, "oauth_entity", **query)[0]
    assert record["redirect_url"] == servicenow.settings.redirect_uris[0]
    assert record["refresh_token_lifespan"] == "8640000"
    servicenow.control("switches", oauth_entity_readable=False)
    assert rows(api, "oauth_entity", **query) == []
    with servicenow.api("admin") as admin:
        assert len(rows(admin, "oauth_entity", **query)) == 1
        servicenow.control("switches", cross_scope_refusal=True)
        assert len(rows(admin, "oauth_entity", **query)) == 1
    answer = api.get("/oauth_entity", params=query)
    assert answer.status_code == 403
    assert "cross-scope access policy" in answer.json()["error"]["detail"]


@pytest.mark.fact("servicenow sandbox-36")
def test_choices_need_a_role(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    params = {"sysparm_query": "name=incident^element=state^language=en^ORDERBYsequence"}
    found = rows(api, "sys_choice", **params)
    assert [row["label"] for row in found] == ["New", "In Progress", "On Hold", "Resolved", "Closed", "Canceled"]
    told = ("name", "element", "value", "label", "language", "inactive", "dependent_value")
    assert {name: found[2][name] for name in told} == {
        "name": "incident", "element": "state", "value": "3", "label": "On Hold", "language": "en", "inactive": "false",
        "dependent_value": "",
    }  # fmt: skip
    with servicenow.api("fred.luddy") as other:
        answer = other.get("/sys_choice", params=params)
        assert (answer.status_code, answer.json()) == (200, {"result": []}), "no rows, and not a refusal"
        assert answer.headers["x-total-count"] == "6", "hidden records are counted"
        assert other.get(f"/sys_choice/{found[0]['sys_id']}").status_code == 404
        servicenow.instance.switches.choices_need_role = False
        assert len(rows(other, "sys_choice", **params)) == 6


def test_a_user_without_roles_sees_only_own_incidents_and_makes_none(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    make(api)
    with servicenow.api("no.roles") as other:
        assert rows(other) == []
        answer = other.post("/incident", json={"short_description": "x"})
    assert answer.status_code == 403
    assert answer.json()["error"]["detail"] == "ACL Exception Insert Failed due to security constraints"


@pytest.mark.fact("servicenow 3.6")
def test_an_administrator_writes_every_table_past_every_rule_and_the_integration_user_does_not(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    user = {"user_name": "new.one", "first_name": "New", "last_name": "One"}
    with servicenow.api("admin") as admin:
        assert api.post("/sys_user", json=user).status_code == 403
        made = admin.post("/sys_user", json=user).json()["result"]
        assert (made["name"], made["active"], made["locked_out"]) == ("New One", "true", "false")
        url = f"/sys_user/{made['sys_id']}"
        assert admin.patch(url, json={"active": "false"}).json()["result"]["active"] == "false"
        choice = {"name": "incident", "element": "category", "value": "cloud", "label": "Cloud"}
        assert admin.post("/sys_choice", json=choice).status_code == 201
        assert make(api, category="cloud")["category"] == "cloud"
        assert admin.delete(url).status_code == 204
        servicenow.instance.switches.acl_refuses = "incident.read,incident.create"
        assert (len(rows(api)), api.post("/incident", json={}).status_code) == (0, 403)
        assert len(rows(admin)) > 0
        assert make(admin)["number"]


@pytest.mark.fact("servicenow 3.6")
def test_a_role_given_or_taken_through_the_table_api_counts(servicenow: SandboxServiceNow) -> None:
    store = servicenow.instance.store
    robot, role = store.find("sys_user", user_name="no.roles"), store.find("sys_user_role", name="itil")
    assert robot is not None
    assert role is not None
    with servicenow.api("no.roles") as other, servicenow.api("admin") as admin:
        assert other.post("/incident", json={}).status_code == 403
        granted = admin.post("/sys_user_has_role", json={"user": robot["sys_id"], "role": role["sys_id"]}).json()
        assert other.post("/incident", json={}).status_code == 201
        assert admin.delete(f"/sys_user_has_role/{granted['result']['sys_id']}").status_code == 204
        assert other.post("/incident", json={}).status_code == 403


@pytest.mark.fact("servicenow 3.6")
@pytest.mark.parametrize("table", ["incident", "change_request"])
def test_itil_deletes_no_ticket_unless_switched(servicenow: SandboxServiceNow, api: httpx.Client, table: str) -> None:
    url = f"/{table}/{make(api, table)['sys_id']}"
    assert api.delete(url).status_code == 403
    servicenow.instance.switches.itil_may_delete = True
    assert api.delete(url).status_code == 204
