"""Aggregate API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make


def stats(servicenow: SandboxServiceNow, api: httpx.Client, **params: str) -> Any:
    answer = api.get(f"{servicenow.url}/api/now/stats/incident", params={"sysparm_count": "true"} | params)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


@pytest.mark.fact("servicenow sandbox-40", "servicenow 3.2")
def test_counts_are_strings(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    for urgency in ("1", "1", "3"):
        make(api, correlation_id="t40", urgency=urgency)
    assert stats(servicenow, api, sysparm_query="correlation_id=t40") == {"stats": {"count": "3"}}
    assert stats(servicenow, api, sysparm_query="correlation_id=nothing") == {"stats": {"count": "0"}}
    grouped = stats(servicenow, api, sysparm_query="correlation_id=t40", sysparm_group_by="urgency")
    assert grouped == [
        {"stats": {"count": "2"}, "groupby_fields": [{"field": "urgency", "value": "1"}]},
        {"stats": {"count": "1"}, "groupby_fields": [{"field": "urgency", "value": "3"}]},
    ]
    labelled = stats(
        servicenow, api, sysparm_query="correlation_id=t40", sysparm_group_by="state", sysparm_display_value="true"
    )
    assert labelled[0]["groupby_fields"] == [{"field": "state", "value": "New"}]


@pytest.mark.fact("servicenow sandbox-40", "servicenow 3.2")
def test_without_access_it_is_403(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    with servicenow.api("no.roles") as other:
        assert other.get(f"{servicenow.url}/api/now/stats/change_request").status_code == 403
    assert api.get(f"{servicenow.url}/api/now/v1/stats/nothing").status_code == 400
