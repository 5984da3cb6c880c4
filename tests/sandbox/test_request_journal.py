"""Request journal: counters, filters, removed secrets."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow


def test_the_journal_keeps_no_secret(servicenow: SandboxServiceNow) -> None:
    tokens = servicenow.tokens()
    journal = httpx.get(f"{servicenow.url}/_sandbox/journal").text
    assert "oauth_token.do" in journal
    for secret in (
        servicenow.settings.client_secret,
        tokens["access_token"],
        tokens["refresh_token"],
        servicenow.settings.password,
    ):
        assert secret not in journal


def test_the_journal_counts_filters_and_names_transactions(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    servicenow.control("journal")
    answer = api.get("/incident", params={"sysparm_limit": "1"})
    api.get("/incident/0")
    servicenow.fault("dropped")
    with pytest.raises(httpx.RemoteProtocolError):
        api.get("/change_request")
    counts = httpx.get(f"{servicenow.url}/_sandbox/counts").json()
    assert (counts["total"], counts["GET incident"], counts["GET change_request"]) == (3, 2, 1)
    assert (counts["status 404"], counts["status dropped"]) == (1, 1)
    found = httpx.get(f"{servicenow.url}/_sandbox/journal", params={"text": answer.headers["x-transaction-id"]}).json()
    assert [entry["query"] for entry in found] == ["sysparm_limit=1"]
    faults = httpx.get(f"{servicenow.url}/_sandbox/journal", params={"faults": "1"}).json()
    assert [entry["fault"] for entry in faults] == ["dropped"]
