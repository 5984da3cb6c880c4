"""The tenant over time: new days, changed points, hidden writes."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from sandbox.entra import EntraSandbox
from sandbox.microsoft import create_app
from sandbox.tenant.tenant_data import Tenant, yesterday
from tests.factories.microsoft import NEWEST, SandboxMicrosoft

SCORES, PROFILES = "/secureScores", "/secureScoreControlProfiles"


BODY = {"state": "Reviewed", "comment": "x", "vendorInformation": {"provider": "SecureScore", "vendor": "Microsoft"}}


def values(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(path).raise_for_status().json()["value"]
    return found


def newest(client: httpx.Client) -> dict[str, Any]:
    return values(client, SCORES)[0]


def switch(graph: SandboxMicrosoft, **wanted: Any) -> None:
    graph.control("quirks", **wanted)


@pytest.mark.fact("microsoft-graph edge-46")
def test_a_write_may_be_seen_much_later_or_fall_back(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    def state() -> Any:
        return client.get(f"{PROFILES}/RoleOverlap").json()["controlStateUpdates"][-1]["state"]

    switch(graph, writes_hidden=True)
    assert client.patch(f"{PROFILES}/RoleOverlap", json=BODY).status_code == 204
    assert state() == "Default"
    switch(graph, writes_hidden=False)
    assert state() == "Reviewed"
    switch(graph, reviewed_lost=True)
    client.patch(f"{PROFILES}/RoleOverlap", json=BODY)
    assert state() == "Default"


def test_days_pass_and_points_change(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    before = newest(client)
    graph.control("day", days=2)
    graph.control("points", control="AdminMFAV2", points=10)
    today, yesterdays = values(client, SCORES)[:2]
    assert date.fromisoformat(today["createdDateTime"][:10]) == NEWEST + timedelta(days=2)
    entry = next(one for one in today["controlScores"] if one["controlName"] == "AdminMFAV2")
    assert (entry["score"], entry["scoreInPercentage"]) == (10, 100)
    assert yesterdays["currentScore"] == before["currentScore"]
    assert today["currentScore"] == pytest.approx(before["currentScore"] + 6)
    assert len(values(client, SCORES)) <= 91


def test_a_tenant_of_the_demo_follows_the_calendar() -> None:
    tenant = Tenant("t", yesterday() - timedelta(days=3), follows_calendar=True)
    assert tenant.scores[0]["createdDateTime"][:10] == yesterday().isoformat()
    settings = EntraSandbox("t", "c", "s", ())
    assert create_app(settings).state.tenant.follows_calendar
    assert not create_app(settings, NEWEST).state.tenant.follows_calendar
