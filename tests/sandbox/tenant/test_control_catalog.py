"""Generated control profiles."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


def profiles(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/secureScoreControlProfiles").raise_for_status().json()["value"]
    return found


@pytest.mark.fact("microsoft-graph 1.4")
def test_the_catalog_is_as_uneven_as_real_ones(client: httpx.Client) -> None:
    found = profiles(client)
    assert len(found) >= 120
    assert {"Identity", "Data", "Device", "Apps"} <= {item["controlCategory"] for item in found}
    assert {item["lastModifiedDateTime"] for item in found} == {None}
    assert None in {item["userImpact"] for item in found}
    assert {"Account breach", "Account Breach"} <= {threat for item in found for threat in item["threats"]}
    assert any(item["threats"] == [] for item in found)
    assert any(item["title"].endswith(" ") for item in found)
    titles = [item["title"] for item in found]
    assert len(set(titles)) < len(titles), "some titles are shared"
    assert any(item["id"].startswith("11770.") for item in found)
    assert any(item["remediation"] == "" for item in found)
