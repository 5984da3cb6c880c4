"""Types of columns: what each keeps of a value that was sent."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from sandbox.servicenow.business_rules import kept_values
from sandbox.servicenow.field_types import date_time
from sandbox.servicenow.instance_settings import ServiceNowSandbox
from sandbox.servicenow.seeds import seed
from sandbox.servicenow.store import Store
from sandbox.servicenow.switches import Switches
from tests.factories.servicenow import SandboxServiceNow, make


@pytest.fixture(scope="module")
def store() -> Store:
    """A new instance's records, which no test of this module changes."""
    filled = Store()
    seed(filled, ServiceNowSandbox(password="p", client_id="i", client_secret="s", redirect_uris=()))
    return filled


@pytest.mark.fact("servicenow 2.4")
@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-07-01 12:00:00", "2026-07-01 12:00:00"),
        ("2021-07-15T08:00:00", "2021-07-15 08:00:00"),
        ("2026-07-01T12:00:00Z", "2026-07-01 12:00:00"),
        ("2026-07-01T12:00:00.250+02:00", "2026-07-01 10:00:00"),
        ("2026-07-01", "2026-07-01 00:00:00"),
        ("01/07/2026", None),
        ("garbage", None),
        ("2026-13-45 00:00:00", None),
        ("2026-07-01 25:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_a_date_is_kept_in_servicenows_form_or_not_at_all(sent: str, stored: str | None) -> None:
    assert date_time(sent) == stored


@pytest.mark.fact("servicenow 2.4", "servicenow 4.4")
@pytest.mark.parametrize(
    ("name", "sent", "stored"),
    [
        ("due_date", "garbage", None),
        ("due_date", "2021-07-15T08:00:00", "2021-07-15 08:00:00"),
        ("urgency", "High", None),
        ("urgency", "2.0", "2"),
        ("state", "garbage", None),
        ("state", "41", None),
        ("category", "nonsense", None),
        ("category", "network", "network"),
        ("assignment_group", "Network", None),
        ("assignment_group", "0" * 32, None),
        ("active", "perhaps", None),
        ("active", "0", "false"),
        ("reassignment_count", "many", None),
        ("reassignment_count", "4", "4"),
        ("description", "12", "12"),
        ("u_nothing", "x", None),
    ],
)
def test_a_column_keeps_only_what_its_type_takes(store: Store, name: str, sent: str, stored: str | None) -> None:
    expected = {} if stored is None else {name: stored}
    assert kept_values(store, Switches(), "incident", {name: sent}) == expected


def test_a_time_zone_that_does_not_exist_is_not_kept(store: Store) -> None:
    zones = [kept_values(store, Switches(), "sys_user", {"time_zone": zone}) for zone in ("Nowhere/Land", "Asia/Tokyo")]
    assert zones == [{}, {"time_zone": "Asia/Tokyo"}]


@pytest.mark.fact("servicenow 2.4")
def test_json_numbers_and_booleans_are_texts_and_no_column_takes_an_object(api: httpx.Client) -> None:
    sent: dict[str, Any] = {"urgency": 2, "active": False, "description": ["x"], "due_date": {"value": "2026-07-01"}}
    made = make(api, **sent)
    assert (made["urgency"], made["active"], made["description"], made["due_date"]) == ("2", "false", "", "")


@pytest.mark.fact("servicenow 2.4")
@pytest.mark.parametrize("wrong", [{"due_date": "garbage"}, {"urgency": "High"}, {"description": {"value": "x"}}])
def test_where_invalid_values_are_refused_nothing_is_written(
    servicenow: SandboxServiceNow, api: httpx.Client, wrong: dict[str, Any]
) -> None:
    servicenow.instance.switches.invalid_values = "refused"
    before = len(servicenow.records())
    answer = api.post("/incident", json={"short_description": "x"} | wrong)
    assert (answer.status_code, len(servicenow.records())) == (403, before)
    assert next(iter(wrong)) in answer.json()["error"]["detail"]


@pytest.mark.fact("servicenow 4.3")
def test_an_empty_text_clears_a_date_but_no_choice(api: httpx.Client) -> None:
    made = make(api, due_date="2026-07-01 12:00:00", category="network")
    after = api.patch(f"/incident/{made['sys_id']}", json={"due_date": "", "category": ""}).json()["result"]
    assert (after["due_date"], after["category"]) == ("", "network")


@pytest.mark.fact("servicenow 4.4")
def test_values_outside_the_choice_list_are_stored_where_the_switch_says_so(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    servicenow.instance.switches.unlisted_choices = "kept"
    made = make(api, category="nonsense", state="41", urgency="High")
    assert (made["category"], made["state"], made["urgency"]) == ("nonsense", "41", "3"), "a word is still no number"


@pytest.mark.fact("servicenow 2.2")
def test_a_name_becomes_a_reference_only_as_a_display_value(servicenow: SandboxServiceNow, api: httpx.Client) -> None:
    group = servicenow.instance.store.find("sys_user_group", name="Network")
    assert group is not None
    assert make(api, assignment_group=group["sys_id"])["assignment_group"]["value"] == group["sys_id"]
    shown = {"assignment_group": "Network", "urgency": "1 - High", "caller_id": "Unknown Person"}
    answer = api.post("/incident", params={"sysparm_input_display_value": "true"}, json=shown).json()["result"]
    assert answer["assignment_group"]["value"] == group["sys_id"]
    assert (answer["urgency"], answer["caller_id"]) == ("1", "")


@pytest.mark.fact("servicenow 2.4")
def test_a_custom_column_has_the_type_that_the_dictionary_gives_it(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    servicenow.control("columns", table="incident", name="u_count", kind="integer")
    servicenow.control("columns", table="incident", name="u_when", kind="glide_date_time")
    made = make(api, u_count="three", u_when="2026-07-01T12:00:00Z")
    assert (made["u_count"], made["u_when"]) == ("", "2026-07-01 12:00:00")
    assert make(api, u_count=3)["u_count"] == "3"
    servicenow.control("columns", table="incident", name="u_short", length=5)
    assert make(api, u_short="too long")["u_short"] == "too l"


def test_an_order_of_the_control_api_that_would_not_be_kept_is_refused(
    servicenow: SandboxServiceNow, api: httpx.Client
) -> None:
    order = {"number": make(api)["number"], "fields": {"state": "garbage"}}
    answer = httpx.post(f"{servicenow.url}/_sandbox/records", json=order)
    assert (answer.status_code, answer.json()["error"]) == (400, "incident does not keep state=garbage")
