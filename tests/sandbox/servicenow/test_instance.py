"""State of an instance: restarts, expired users and tokens, the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from sandbox.servicenow.store import Store
from tests.factories.servicenow import INTEGRATION_USER, SandboxServiceNow, make, running_servicenow


@pytest.mark.fact("servicenow 1.8")
@pytest.mark.parametrize("field", ["active", "locked_out"])
def test_an_inactive_or_locked_user_is_401(servicenow: SandboxServiceNow, api: httpx.Client, field: str) -> None:
    value = {"active": "false", "locked_out": "true"}[field]
    servicenow.control("users", user_name="m365.integration", **{field: value})
    assert api.get("/incident").status_code == 401


@pytest.mark.fact("servicenow 1.8")
def test_a_locked_user_loses_its_tokens_unless_the_switch_says_otherwise(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    servicenow.control("users", user_name=INTEGRATION_USER, locked_out="true")
    assert api.get("/incident").status_code == 401
    servicenow.instance.switches.locked_keeps_tokens = True
    assert api.get("/incident").status_code == 200
    servicenow.control("users", user_name=INTEGRATION_USER, active="false")
    assert api.get("/incident").status_code == 200
    servicenow.instance.switches.locked_keeps_tokens = False
    assert api.get("/incident").status_code == 401


def test_the_instances_clock_can_be_off_without_ending_tokens(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("switches", clock_off_seconds=7200)
    answer = api.get("/incident")
    assert answer.status_code == 200
    shown = parsedate_to_datetime(answer.headers["date"])
    assert timedelta(minutes=119) < shown - datetime.now(UTC) < timedelta(minutes=121)
    made = make(api)["sys_created_on"]
    assert made > datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


def test_a_restart_forgets_neither_records_nor_tokens(tmp_path: Path) -> None:
    file = tmp_path / "servicenow.sqlite"
    with running_servicenow(file=file) as servicenow:
        token = servicenow.tokens()["access_token"]
        with servicenow.api() as api:
            number = api.post("/incident", json={"short_description": "kept"}).json()["result"]["number"]
    with running_servicenow(file=file) as servicenow:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        found = httpx.get(f"{servicenow.url}/api/now/v2/table/incident?sysparm_query=number={number}", headers=headers)
        assert found.json()["result"][0]["short_description"] == "kept"
        with httpx.Client(headers=headers) as client:
            made = client.post(f"{servicenow.url}/api/now/v2/table/incident", json={}).json()["result"]
    assert made["number"] > number


def test_a_file_of_an_older_version_is_seeded_again(tmp_path: Path) -> None:
    file = tmp_path / "servicenow.sqlite"
    old = Store(file)
    old.put("sys_user", {"user_name": "m365.integration"})
    old.close()
    with running_servicenow(file=file) as servicenow:
        assert servicenow.tokens()["access_token"]


def test_a_file_without_change_models_gets_them_and_keeps_its_tickets(tmp_path: Path) -> None:
    file = tmp_path / "servicenow.sqlite"
    with running_servicenow(file=file) as servicenow:
        tickets = len(servicenow.records())
    old = Store(file)
    for table in ("chg_model", "sys_choice"):
        for row in list(old.rows(table)):
            old.remove(table, row["sys_id"])
    old.close()
    with running_servicenow(file=file) as servicenow:
        store = servicenow.instance.store
        assert [row["name"] for row in store.rows("chg_model")][:3] == ["Normal", "Standard", "Emergency"]
        assert store.find("sys_choice", name="incident", element="state", value="1")
        assert len(servicenow.records()) == tickets
