"""Script helpers in encoded queries, and time zones."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import make, rows


@pytest.mark.fact("servicenow sandbox-22")
def test_a_script_that_is_no_helper_is_never_evaluated(api: httpx.Client) -> None:
    make(api)
    assert rows(api, sysparm_query="number=javascript:__import__('os').getcwd()") == []


@pytest.mark.fact("servicenow sandbox-22")
def test_the_user_of_the_token_can_be_asked_for(api: httpx.Client) -> None:
    params = {"sysparm_query": "sys_id=javascript:gs.getUserID()", "sysparm_fields": "user_name"}
    assert rows(api, "sys_user", **params) == [{"user_name": "m365.integration"}]


@pytest.mark.fact("servicenow sandbox-23", "servicenow trap-11")
def test_times_are_utc_and_helpers_read_the_users_zone(api: httpx.Client) -> None:
    made = make(api, due_date="2026-07-01 10:00:00", correlation_id="t23")
    assert made["due_date"] == "2026-07-01 10:00:00"
    assert rows(api, sysparm_query="correlation_id=t23^due_date<=2026-07-01 10:00:00")
    # The integration user's zone is Berlin, two hours ahead in July.
    late = "due_date>=javascript:gs.dateGenerate('2026-07-01','12:00:01')"
    assert rows(api, sysparm_query=f"correlation_id=t23^{late}") == []
    on_time = "due_date>=javascript:gs.dateGenerate('2026-07-01','12:00:00')"
    assert len(rows(api, sysparm_query=f"correlation_id=t23^{on_time}")) == 1
    shown = api.post(
        "/incident", params={"sysparm_input_display_value": "true"}, json={"due_date": "2026-07-01 12:00:00"}
    )
    assert shown.json()["result"]["due_date"] == "2026-07-01 10:00:00"
    display = api.get(f"/incident/{made['sys_id']}", params={"sysparm_display_value": "true"}).json()["result"]
    assert display["due_date"] == "2026-07-01 12:00:00"
