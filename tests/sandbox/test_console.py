"""Console pages of the ServiceNow sandbox."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow

DENIED = {"error_description": "access_denied", "error": "server_error"}


@pytest.mark.fact("servicenow sandbox-15")
def test_the_admin_page_revokes_access(servicenow: SandboxServiceNow) -> None:
    tokens = servicenow.tokens()
    page = httpx.get(f"{servicenow.url}/_sandbox/tokens").text
    assert servicenow.settings.client_id in page
    assert tokens["access_token"] not in page
    assert page.count(">Revoke Access<") == 2, "the access and the refresh token"
    for row in list(servicenow.instance.store.rows("oauth_credential")):
        httpx.post(f"{servicenow.url}/_sandbox/tokens", data={"sys_id": row["sys_id"]})
    assert servicenow.grant(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json() == DENIED
    headers = {"Authorization": f"Bearer {tokens['access_token']}", "Accept": "application/json"}
    assert httpx.get(f"{servicenow.url}/api/now/v2/table/incident", headers=headers).status_code == 401


def test_a_ticket_is_listed_and_moved_as_an_agent_would(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    made = api.post("/change_request", json={"short_description": "Turn on <b>MFA</b>"}).json()["result"]
    page = httpx.get(f"{servicenow.url}/_sandbox/").text
    assert made["number"] in page
    assert "Turn on &lt;b&gt;MFA" in page
    form = {"table": "change_request", "sys_id": made["sys_id"], "state": "-4", "back": "/_sandbox/"}
    assert httpx.post(f"{servicenow.url}/_sandbox/move", data=form).status_code == 303
    assert api.get(f"/change_request/{made['sys_id']}").json()["result"]["state"] == "-4"


def test_a_rule_that_stops_a_move_is_shown(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    made = api.post("/incident", json={"short_description": "x"}).json()["result"]
    form = {"table": "incident", "sys_id": made["sys_id"], "state": "6"}
    answer = httpx.post(f"{servicenow.url}/_sandbox/move", data=form)
    assert answer.status_code == 403
    assert "Data Policy Exception" in answer.text


@pytest.mark.fact("servicenow 4.5")
def test_links_to_a_record_lead_to_it(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    made = api.post("/incident", json={"short_description": "look at me"}).json()["result"]
    url = f"{servicenow.url}/nav_to.do?uri=incident.do%3Fsys_id%3D{made['sys_id']}"
    assert "look at me" in httpx.get(url, follow_redirects=True).text
    assert httpx.get(f"{servicenow.url}/incident.do?sys_id=0").status_code == 404


def test_every_page_of_the_console_opens_and_its_forms_work(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    api.get("/incident")
    for page in ("journal.html", "faults.html", "tokens"):
        assert httpx.get(f"{servicenow.url}/_sandbox/{page}").status_code == 200
    httpx.post(f"{servicenow.url}/_sandbox/faults.html", data={"fault": "ip_blocked", "times": "1"})
    assert api.get("/incident").status_code == 403
    httpx.post(f"{servicenow.url}/_sandbox/faults.html", data={"switch": "api_asleep"})
    assert "Hibernating" in api.get("/incident").text


def test_tickets_can_be_searched_and_what_is_changed_is_named(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    made = api.post("/incident", json={"short_description": "needle in the hay", "correlation_id": "abc"}).json()[
        "result"
    ]
    for wanted in ("needle", made["number"], "ABC"):
        page = httpx.get(f"{servicenow.url}/_sandbox/", params={"q": wanted}).text
        assert made["number"] in page
        assert "Printer" not in page
    assert "No ticket fits" in httpx.get(f"{servicenow.url}/_sandbox/", params={"q": "<nothing>"}).text
    servicenow.control("switches", latency_ms=1)
    assert "latency_ms" in httpx.get(f"{servicenow.url}/_sandbox/").text


def test_notes_are_written_and_records_hidden_shown_and_deleted_by_hand(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    made = api.post("/incident", json={"short_description": "x"}).json()["result"]
    where = {"table": "incident", "sys_id": made["sys_id"]}
    httpx.post(f"{servicenow.url}/_sandbox/move", data=where | {"work_notes": "looked <into> it", "comments": ""})
    assert (
        "looked &lt;into&gt; it" in httpx.get(f"{servicenow.url}/incident.do", params={"sys_id": made["sys_id"]}).text
    )
    for how, status in (("hide", 404), ("show", 200), ("delete", 404)):
        assert httpx.post(f"{servicenow.url}/_sandbox/vanish", data=where | {"how": how}).status_code == 303
        assert api.get(f"/incident/{made['sys_id']}").status_code == status


def test_roles_are_taken_away_by_hand(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    page = httpx.get(f"{servicenow.url}/_sandbox/people").text
    assert 'value="itil,personalize_choices"' in page
    assert servicenow.settings.password not in page
    form = {"user_name": "m365.integration", "roles": "sn_incident_read", "time_zone": "UTC", "active": "true"}
    httpx.post(f"{servicenow.url}/_sandbox/people", data=form)
    assert api.post("/incident", json={}).status_code == 403
    assert api.get("/incident").status_code == 200
    wrong = httpx.post(f"{servicenow.url}/_sandbox/people", data=form | {"time_zone": "Nowhere/At All"})
    assert (wrong.status_code, "no such time zone" in wrong.text) == (400, True)


def test_the_journal_is_filtered_and_forgotten(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    api.get("/incident")
    api.get("/change_request/0")
    page = httpx.get(
        f"{servicenow.url}/_sandbox/journal.html", params={"status": "4", "method": "GET", "text": "change"}
    ).text
    assert "/table/change_request/0" in page
    assert "/table/incident" not in page
    assert "None." in httpx.get(f"{servicenow.url}/_sandbox/journal.html", params={"faults": "1"}).text
    httpx.post(f"{servicenow.url}/_sandbox/journal.html", data={"forget": "1"})
    assert len(servicenow.instance.journal) == 0


def test_several_faults_are_ordered_by_hand_and_called_off(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    url = f"{servicenow.url}/_sandbox/faults.html"
    order = {"fault": "dropped", "times": "2", "method": "POST", "table": "incident", "place": "before"}
    httpx.post(url, data=order | {"probability": "50", "seed": "3", "seconds": "1", "retry_after": ""})
    httpx.post(url, data={"fault": "any", "times": "9"})
    waiting = servicenow.instance.orders.waiting
    assert [(f.name, f.times, f.table, f.place, f.probability) for f in waiting] == [
        ("dropped", 2, "incident", "before", 0.5),
        ("any", 9, "", "", 1.0),
    ]
    assert "Waiting to strike" in httpx.get(url).text
    wrong = httpx.post(url, data={"fault": "bad_gateway", "place": "midway"})
    assert (wrong.status_code, "bad_gateway strikes before or after" in wrong.text) == (400, True)
    httpx.post(url, data={"forget": "faults"})
    assert servicenow.instance.orders.waiting == []


def test_the_console_sets_switches_back_and_resets_everything(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", latency_ms=1, mfa=True)
    httpx.post(f"{servicenow.url}/_sandbox/faults.html", data={"reset": "switches"})
    assert servicenow.instance.switches.changed() == []
    api.post("/incident", json={})
    httpx.post(f"{servicenow.url}/_sandbox/faults.html", data={"reset": "all"})
    assert len(servicenow.records()) == 2
    httpx.post(f"{servicenow.url}/_sandbox/faults.html", data={"family": "brazil"})
    assert "selected>brazil" in httpx.get(f"{servicenow.url}/_sandbox/faults.html").text


def test_the_clock_is_moved_by_hand(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    httpx.post(f"{servicenow.url}/_sandbox/tokens", data={"hours": "1"})
    assert "expired" in httpx.get(f"{servicenow.url}/_sandbox/tokens").text
    assert api.get("/incident").status_code == 401
