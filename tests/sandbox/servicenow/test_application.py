"""Two instances share nothing."""

from __future__ import annotations

import httpx

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
