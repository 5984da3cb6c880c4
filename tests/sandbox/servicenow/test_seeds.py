"""Initial records of an instance, and the release families it can report."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sandbox.servicenow.table_schema import FAMILIES
from tests.factories.servicenow import SandboxServiceNow, make, rows


def test_the_dictionary_knows_lengths_types_and_columns_of_the_site(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    def about(table: str, element: str) -> list[dict[str, Any]]:
        return rows(api, "sys_dictionary", sysparm_query=f"name={table}^element={element}")

    assert about("task", "short_description")[0]["max_length"] == "160"
    assert about("task", "correlation_id")[0]["max_length"] == "100"
    assert about("task", "due_date")[0]["internal_type"] == "glide_date_time"
    assert about("incident", "u_recommendation_category") == []
    servicenow.control("columns", table="incident", name="u_recommendation_category", label="Category", length=60)
    assert about("incident", "u_recommendation_category")[0]["max_length"] == "60"
    made = make(api, u_recommendation_category="Identity")
    assert made["u_recommendation_category"] == "Identity"
    assert rows(api, sysparm_query="u_recommendation_category=Identity")[0]["number"] == made["number"]
    assert "u_recommendation_category" not in make(api, "change_request")
    servicenow.control("switches", dictionary_readable=False)
    assert api.get("/sys_dictionary").status_code == 403


@pytest.mark.fact("servicenow sandbox-37", "servicenow trap-32")
def test_every_family_from_kingston_to_brazil_can_be_claimed(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    assert (FAMILIES[0], FAMILIES[-1], len(FAMILIES)) == ("kingston", "brazil", 18)
    for family in FAMILIES:
        servicenow.control("family", family=family)
        found = rows(api, "sys_properties", sysparm_query="name=glide.buildtag", sysparm_fields="value")
        assert found[0]["value"].startswith(f"glide-{family}-")
    servicenow.control("switches", properties_missing=True)
    assert rows(api, "sys_properties") == []


@pytest.mark.fact("servicenow sandbox-37")
@pytest.mark.parametrize("family", ["zurich", "australia", "brazil"])
def test_properties_name_the_family_or_are_refused(
    servicenow: SandboxServiceNow, api: httpx.Client, family: str
) -> None:
    httpx.post(f"{servicenow.url}/_sandbox/family", json={"family": family}).raise_for_status()
    params = {"sysparm_query": "nameINglide.buildname,glide.buildtag", "sysparm_fields": "name,value"}
    found = {row["name"]: row["value"] for row in rows(api, "sys_properties", **params)}
    assert found["glide.buildname"] == family.capitalize()
    assert found["glide.buildtag"].startswith(f"glide-{family}-")
    servicenow.instance.switches.properties_readable = False
    assert api.get("/sys_properties", params=params).status_code == 403
