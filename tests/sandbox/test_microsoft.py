"""Request journal of the Microsoft sandbox."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.microsoft import SandboxMicrosoft

SCORES = "/secureScores"


@pytest.mark.fact("microsoft-graph edge-2")
def test_each_request_is_journaled_and_counted(graph: SandboxMicrosoft, client: httpx.Client) -> None:
    client.get(SCORES, params={"$top": "1"})
    assert [entry.query for entry in graph.calls("secureScores")] == ["%24top=1"]
    counts = httpx.get(f"{graph.url}/_sandbox/graph/counts").json()
    assert counts["GET /v1.0/security/secureScores"] == 1
