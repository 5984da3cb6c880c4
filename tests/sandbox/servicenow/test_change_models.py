"""Type and model of changes: what a new one gets, when both are fixed, which states follow."""

from __future__ import annotations

import httpx
import pytest

from tests.factories.servicenow import SandboxServiceNow, make


def model(servicenow: SandboxServiceNow, name: str) -> str:
    found = servicenow.instance.store.find("chg_model", name=name)
    assert found is not None
    return found["sys_id"]


def kind_of(servicenow: SandboxServiceNow, made: dict[str, str]) -> tuple[str, str]:
    """Return type and the model's name, as stored."""
    row = servicenow.instance.store.get("change_request", made["sys_id"]) or {}
    return row["type"], (servicenow.instance.store.get("chg_model", row["chg_model"]) or {"name": ""})["name"]


@pytest.mark.fact("servicenow 3.5")
@pytest.mark.parametrize(
    ("default", "expected"), [("model", ("normal", "Normal")), ("type", ("normal", "")), ("neither", ("", ""))]
)
def test_a_change_with_neither_type_nor_model_gets_what_the_instance_defaults_to(
    servicenow: SandboxServiceNow, api: httpx.Client, default: str, expected: tuple[str, str]
) -> None:
    servicenow.instance.switches.change_default = default
    assert kind_of(servicenow, make(api, "change_request")) == expected


@pytest.mark.fact("servicenow 3.5")
def test_without_type_compatibility_the_model_counts(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    assert kind_of(servicenow, make(api, "change_request", type="emergency")) == ("emergency", "Emergency")
    both = make(api, "change_request", type="emergency", chg_model=model(servicenow, "Standard"))
    assert kind_of(servicenow, both) == ("standard", "Standard")
    servicenow.control("models", name="Emergency", active=False)
    assert kind_of(servicenow, make(api, "change_request", type="emergency")) == ("emergency", ""), "Legacy"


@pytest.mark.fact("servicenow 3.5")
def test_with_type_compatibility_a_type_makes_a_change_without_a_model(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    servicenow.instance.switches.type_compatibility = True
    assert kind_of(servicenow, make(api, "change_request", type="standard")) == ("standard", "")


@pytest.mark.fact("servicenow 3.5")
@pytest.mark.parametrize("sent", [{"type": "nonsense"}, {"chg_model": "Normal"}, {"chg_model": "0" * 32}])
def test_a_type_or_model_that_does_not_exist_is_not_kept(
    servicenow: SandboxServiceNow, api: httpx.Client, sent: dict[str, str]
) -> None:
    assert kind_of(servicenow, make(api, "change_request", **sent)) == ("normal", "Normal")


@pytest.mark.fact("servicenow 4.2")
def test_type_and_model_are_fixed_once_the_change_has_left_new(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    made = make(api, "change_request")
    url = f"/change_request/{made['sys_id']}"
    assert api.patch(url, json={"type": "standard"}).status_code == 200
    assert kind_of(servicenow, made) == ("standard", "Standard")
    assert api.patch(url, json={"state": "-2"}).json()["result"]["state"] == "-2"
    late = api.patch(url, json={"type": "emergency", "chg_model": model(servicenow, "Normal")})
    assert (late.status_code, kind_of(servicenow, made)) == (200, ("standard", "Standard"))
    servicenow.instance.switches.invalid_values = "refused"
    assert api.patch(url, json={"type": "emergency"}).status_code == 403
    assert api.patch(url, json={"type": "standard", "impact": "1"}).json()["result"]["impact"] == "1", (
        "no change of type"
    )


@pytest.mark.fact("servicenow 4.2", "servicenow sandbox-33")
@pytest.mark.parametrize("state", ["-4", "0", "3"])
def test_a_change_begins_in_its_initial_state_only(
    servicenow: SandboxServiceNow, api: httpx.Client, state: str
) -> None:
    refused = api.post("/change_request", json={"short_description": "x", "state": state})
    assert refused.status_code == 403
    assert "Check State Transition" in refused.json()["error"]["detail"]
    assert make(api, "change_request", state="-5")["state"] == "-5"
    servicenow.instance.switches.check_transitions = False
    assert make(api, "change_request", state=state)["state"] == state


@pytest.mark.fact("servicenow 4.2")
def test_a_model_of_the_sites_own_walks_states_of_its_own(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    url = "/change_request/{sys_id}".format_map
    registered = make(api, "change_request", chg_model=model(servicenow, "Change registration"))
    assert kind_of(servicenow, registered) == ("normal", "Change registration")
    assert api.patch(url(registered), json={"state": "-4"}).status_code == 403
    assert api.patch(url(registered), json={"state": "-1"}).status_code == 200
    servicenow.control("choices", table="change_request", element="state", value="20", label="Piloting")
    servicenow.control("models", name="Pilot", states={"-5": ["20"], "20": ["3"], "3": []})
    piloted = make(api, "change_request", chg_model=model(servicenow, "Pilot"))
    assert api.patch(url(piloted), json={"state": "20"}).json()["result"]["state"] == "20"
    assert api.patch(url(piloted), json={"state": "-1"}).status_code == 403
