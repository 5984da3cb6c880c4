"""The console: records, moves as an agent, faults by hand; and a restart that forgets nothing."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.factories.servicenow import Snow, running_snow


def test_a_ticket_is_listed_and_moved_as_an_agent_would(snow: Snow, api: httpx.Client) -> None:
    made = api.post("/change_request", json={"short_description": "Turn on <b>MFA</b>"}).json()["result"]
    page = httpx.get(f"{snow.url}/_sandbox/").text
    assert made["number"] in page
    assert "Turn on &lt;b&gt;MFA" in page
    form = {"table": "change_request", "sys_id": made["sys_id"], "state": "-4", "back": "/_sandbox/"}
    assert httpx.post(f"{snow.url}/_sandbox/move", data=form).status_code == 303
    assert api.get(f"/change_request/{made['sys_id']}").json()["result"]["state"] == "-4"


def test_a_rule_that_stops_a_move_is_shown(snow: Snow, api: httpx.Client) -> None:
    made = api.post("/incident", json={"short_description": "x"}).json()["result"]
    form = {"table": "incident", "sys_id": made["sys_id"], "state": "6"}
    answer = httpx.post(f"{snow.url}/_sandbox/move", data=form)
    assert answer.status_code == 403
    assert "Data Policy Exception" in answer.text


def test_links_to_a_record_lead_to_it(snow: Snow, api: httpx.Client) -> None:
    made = api.post("/incident", json={"short_description": "look at me"}).json()["result"]
    url = f"{snow.url}/nav_to.do?uri=incident.do%3Fsys_id%3D{made['sys_id']}"
    assert "look at me" in httpx.get(url, follow_redirects=True).text
    assert httpx.get(f"{snow.url}/incident.do?sys_id=0").status_code == 404


def test_every_page_of_the_console_opens_and_its_forms_work(snow: Snow, api: httpx.Client) -> None:
    api.get("/incident")
    for page in ("journal.html", "trouble", "tokens"):
        assert httpx.get(f"{snow.url}/_sandbox/{page}").status_code == 200
    httpx.post(f"{snow.url}/_sandbox/trouble", data={"fault": "ip_blocked", "times": "1"})
    assert api.get("/incident").status_code == 403
    httpx.post(f"{snow.url}/_sandbox/trouble", data={"switch": "api_asleep"})
    assert "Hibernating" in api.get("/incident").text


def test_a_restart_forgets_neither_records_nor_tokens(tmp_path: Path) -> None:
    file = tmp_path / "snow.sqlite"
    with running_snow(file=file) as snow:
        token = snow.tokens()["access_token"]
        with snow.api() as api:
            number = api.post("/incident", json={"short_description": "kept"}).json()["result"]["number"]
    with running_snow(file=file) as snow:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        found = httpx.get(f"{snow.url}/api/now/v2/table/incident?sysparm_query=number={number}", headers=headers)
        assert found.json()["result"][0]["short_description"] == "kept"
        with httpx.Client(headers=headers) as client:
            made = client.post(f"{snow.url}/api/now/v2/table/incident", json={}).json()["result"]
    assert made["number"] > number
