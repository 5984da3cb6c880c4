"""Every switch can be set per test, by the control API and from the console; two instances share nothing."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import httpx
import pytest

from sandbox.servicenow.switches import Switches
from tests.factories.servicenow import INTEGRATION_USER, FakeServiceNow, consent, make, rows, running_servicenow

NAMES = [item.name for item in fields(Switches)]


def other(name: str) -> Any:
    """A value that the switch does not have in a new instance."""
    item = next(item for item in fields(Switches) if item.name == name)
    if item.metadata["choices"]:
        return item.metadata["choices"][-1]
    before = item.default
    return not before if isinstance(before, bool) else before + 1 if isinstance(before, int) else "a.b"


@pytest.mark.parametrize("name", NAMES)
def test_a_switch_is_set_by_the_control_api_and_from_the_console_and_reset(
    servicenow: FakeServiceNow, name: str
) -> None:
    new = getattr(Switches(), name)
    wanted = other(name)
    servicenow.control("switches", **{name: wanted})
    assert httpx.get(f"{servicenow.url}/_sandbox/switches").json()[name] == wanted
    servicenow.control("reset")
    assert getattr(servicenow.instance.switches, name) == new
    for value in (wanted, new):
        form = {"switch": name, "value": ("on" if value else "off") if isinstance(value, bool) else str(value)}
        assert httpx.post(f"{servicenow.url}/_sandbox/trouble", data=form).status_code == 303
        assert getattr(servicenow.instance.switches, name) == value
        assert servicenow.instance.switches.changed() == ([name] if value == wanted else []), "and no other"


def test_every_switch_is_explained_in_a_group(servicenow: FakeServiceNow) -> None:
    groups = httpx.get(f"{servicenow.url}/_sandbox/switches?explain").json()
    lines = [line for group in groups.values() for line in group]
    assert sorted(line["name"] for line in lines) == sorted(NAMES)
    assert all(len(line["text"]) > 20 and line["number"] for line in lines)
    page = httpx.get(f"{servicenow.url}/_sandbox/trouble").text
    assert all(name in page for name in NAMES)


@pytest.mark.parametrize(
    "order", [{"nonsense": True}, {"latency_ms": "5"}, {"state_required": 1}, {"language": "fr"}, {"api_sso": "x"}]
)
def test_a_wrong_order_is_refused_and_changes_nothing(servicenow: FakeServiceNow, order: dict[str, Any]) -> None:
    answer = httpx.post(f"{servicenow.url}/_sandbox/switches", json={"compress": False} | order)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert servicenow.instance.switches == Switches()


@pytest.mark.parametrize(
    ("what", "order"),
    [
        ("nonsense", {}),
        ("records", {"number": "INC0", "fields": {}}),
        ("notes", {"number": "INC0010001", "text": "x", "element": "state"}),
        ("notes", {"number": "INC0010001", "text": "x", "by": "nobody"}),
        ("client", {"shoe_size": 43}),
        ("columns", {"table": "sys_user", "name": "u_x"}),
        ("columns", {"table": "incident", "name": "x"}),
        ("fill", {"table": "incident", "count": 50_001}),
        ("family", {"family": "../x"}),
        ("clock", {}),
    ],
)
def test_every_other_wrong_order_says_why(servicenow: FakeServiceNow, what: str, order: dict[str, Any]) -> None:
    answer = httpx.post(f"{servicenow.url}/_sandbox/{what}", json=order)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_two_instances_run_side_by_side_and_share_nothing(servicenow: FakeServiceNow, api: httpx.Client) -> None:
    with running_servicenow() as second, second.api() as there:
        assert second.url != servicenow.url
        made = make(there, correlation_id="second")
        assert rows(api, sysparm_query="correlation_id=second") == []
        assert len(rows(there, sysparm_query="correlation_id=second")) == 1
        second.control("switches", api_asleep=True)
        assert api.get(f"/incident/{made['sys_id']}").status_code == 404
        token = {"Authorization": there.headers["Authorization"]}
        assert api.get("/incident", headers=token).status_code == 401, "tokens of the one are nothing to the other"


def test_one_browser_can_be_signed_in_at_both(servicenow: FakeServiceNow) -> None:
    with running_servicenow() as second, servicenow.browser() as browser:
        consent(browser, servicenow.authorize_path(), INTEGRATION_USER, servicenow.settings.password)
        consent(browser, second.url + second.authorize_path(), "fred.luddy", second.settings.password)
        assert "M365 Integration" in browser.get(servicenow.authorize_path()).text
        assert "Fred Luddy" in browser.get(second.url + second.authorize_path()).text
