"""Control API and console page of the Graph sandbox."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import httpx
import pytest

from sandbox.graph_faults import GRAPH_FAULTS
from sandbox.tenant.edge_cases import EdgeCases
from tests.factories.microsoft import NEWEST, SandboxMicrosoft

pytestmark = pytest.mark.thorough

SCORES, PROFILES = "/secureScores", "/secureScoreControlProfiles"


def switch(graph: SandboxMicrosoft, **wanted: Any) -> None:
    graph.control("quirks", **wanted)


NAMES = [item.name for item in fields(EdgeCases)]


@pytest.mark.parametrize("name", NAMES)
def test_each_edge_case_is_set_by_the_control_api_and_from_the_page_and_never_breaks_an_answer(
    graph: SandboxMicrosoft, client: httpx.Client, name: str
) -> None:
    item = next(item for item in fields(EdgeCases) if item.name == name)
    choices = item.metadata["choices"]
    new = choices[-1] if choices else True if item.default is False else 3 if isinstance(item.default, int) else "a"
    switch(graph, **{name: new})
    assert httpx.get(f"{graph.url}/_sandbox/graph/quirks").json()[name] == new
    assert client.get(SCORES).status_code == 200
    assert client.get(PROFILES).status_code == 200
    httpx.post(f"{graph.url}/_sandbox/", data={"switch": name, "value": str(item.default).replace("False", "off")})
    assert getattr(graph.tenant.edge_cases, name) == item.default


def test_the_page_offers_everything(graph: SandboxMicrosoft) -> None:
    page = httpx.get(f"{graph.url}/_sandbox/").text
    assert all(name in page for name in (*NAMES, *GRAPH_FAULTS))
    httpx.post(f"{graph.url}/_sandbox/", data={"fault": "throttled", "what": "secureScores", "times": "2", "page": "0"})
    assert [(fault.name, fault.times) for fault in graph.tenant.orders] == [("throttled", 2)]
    httpx.post(f"{graph.url}/_sandbox/", data={"forget": "faults"})
    assert graph.tenant.orders == []
    httpx.post(f"{graph.url}/_sandbox/", data={"days": "1"})
    assert graph.tenant.newest == NEWEST + timedelta(days=1)
    assert httpx.post(f"{graph.url}/_sandbox/", data={"control": "nothing", "points": "1"}).status_code == 400


@pytest.mark.parametrize(
    ("what", "order"),
    [
        ("faults", {"name": "x"}),
        ("faults", {"name": "empty", "times": 0}),
        ("quirks", {"x": 1}),
        ("nothing", {}),
        ("points", {}),
    ],
)
def test_a_wrong_order_says_why(graph: SandboxMicrosoft, what: str, order: dict[str, Any]) -> None:
    answer = httpx.post(f"{graph.url}/_sandbox/graph/{what}", json=order)
    assert answer.status_code == 400
    assert answer.json()["error"]
