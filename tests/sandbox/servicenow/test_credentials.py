"""Credentials in a request: Basic on the APIs."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow


def read(servicenow: SandboxServiceNow, user: str, password: str) -> int:
    url = f"{servicenow.url}/api/now/table/incident"
    return httpx.get(url, auth=(user, password), headers={"Accept": "application/json"}).status_code


@pytest.mark.fact("servicenow 1.8")
def test_the_apis_take_a_name_and_password_unless_switched_off(servicenow: SandboxServiceNow) -> None:
    password = servicenow.settings.password
    assert read(servicenow, "fred.luddy", password) == 200
    assert servicenow.instance.journal.newest_first()[0].user == "fred.luddy"
    assert (read(servicenow, "fred.luddy", "wrong"), read(servicenow, "no.such", password)) == (401, 401)
    servicenow.control("users", user_name="fred.luddy", active="false")
    assert read(servicenow, "fred.luddy", password) == 401
    servicenow.control("users", user_name="fred.luddy", active="true")
    servicenow.control("switches", basic_api_auth=False)
    assert read(servicenow, "fred.luddy", password) == 401
