"""Switches: set by the control API and the console, described, validated."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import httpx
import pytest

from sandbox.servicenow.switches import Switches
from tests.factories.servicenow import SandboxServiceNow

pytestmark = pytest.mark.thorough

NAMES = [item.name for item in fields(Switches)]


def other(name: str) -> Any:
    """Return a value that differs from the switch's default."""
    item = next(item for item in fields(Switches) if item.name == name)
    if item.metadata["choices"]:
        return item.metadata["choices"][-1]
    before = item.default
    return not before if isinstance(before, bool) else before + 1 if isinstance(before, int) else "a.b"


@pytest.mark.parametrize("name", NAMES)
def test_a_switch_is_set_by_the_control_api_and_from_the_console_and_reset(
    servicenow: SandboxServiceNow, name: str
) -> None:
    new = getattr(Switches(), name)
    wanted = other(name)
    servicenow.control("switches", **{name: wanted})
    assert httpx.get(f"{servicenow.url}/_sandbox/switches").json()[name] == wanted
    servicenow.control("reset")
    assert getattr(servicenow.instance.switches, name) == new
    for value in (wanted, new):
        form = {"switch": name, "value": ("on" if value else "off") if isinstance(value, bool) else str(value)}
        assert httpx.post(f"{servicenow.url}/_sandbox/faults.html", data=form).status_code == 303
        assert getattr(servicenow.instance.switches, name) == value
        assert servicenow.instance.switches.changed() == ([name] if value == wanted else []), "and no other"


def test_every_switch_is_explained_in_a_group(servicenow: SandboxServiceNow) -> None:
    groups = httpx.get(f"{servicenow.url}/_sandbox/switches?explain").json()
    lines = [line for group in groups.values() for line in group]
    assert sorted(line["name"] for line in lines) == sorted(NAMES)
    assert all(len(line["text"]) > 20 and line["number"] for line in lines)
    page = httpx.get(f"{servicenow.url}/_sandbox/faults.html").text
    assert all(name in page for name in NAMES)


@pytest.mark.parametrize(
    "order", [{"nonsense": True}, {"latency_ms": "5"}, {"state_required": 1}, {"language": "fr"}, {"api_sso": "x"}]
)
def test_a_wrong_order_is_refused_and_changes_nothing(servicenow: SandboxServiceNow, order: dict[str, Any]) -> None:
    answer = httpx.post(f"{servicenow.url}/_sandbox/switches", json={"compress": False} | order)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert servicenow.instance.switches == Switches()
