"""Two instances share nothing."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make, rows, running_servicenow


def test_two_instances_run_side_by_side_and_share_nothing(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    with running_servicenow() as second, second.api() as there:
        assert second.url != servicenow.url
        made = make(there, correlation_id="second")
        assert rows(api, sysparm_query="correlation_id=second") == []
        assert len(rows(there, sysparm_query="correlation_id=second")) == 1
        second.control("switches", api_asleep=True)
        assert api.get(f"/incident/{made['sys_id']}").status_code == 404
        token = {"Authorization": there.headers["Authorization"]}
        assert api.get("/incident", headers=token).status_code == 401, "tokens of the one are nothing to the other"


@pytest.mark.fact("servicenow 2.1")
@pytest.mark.parametrize(("version", "status"), [("v1", 200), ("v2", 200), ("v9", 400)])
def test_only_versions_that_exist_are_answered(
    servicenow: SandboxServiceNow, api: httpx.Client, version: str, status: int
) -> None:
    assert api.get(f"{servicenow.url}/api/now/{version}/table/incident").status_code == status
