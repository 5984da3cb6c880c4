"""The type or model of new change requests: what is offered, what is kept and sent, and who may choose another one."""

from __future__ import annotations

import json

import pytest

from app.features.connection.preferences import ChangeType, load_preferences
from app.features.tickets.types import TicketKind
from tests.factories.connecting import said
from tests.factories.system import System
from tests.factories.tickets import (
    calls,
    fill_and_send,
    form_fields,
    records,
    share_one,
)

PAGE = "/servicenow/settings/fields/change"


@pytest.mark.fact("servicenow 4.2")
async def test_a_change_is_sent_with_the_type_normal_unless_decided_otherwise(system: System) -> None:
    await system.connect()
    await share_one(system, TicketKind.CHANGE)
    await share_one(system, TicketKind.INCIDENT)
    await system.work()
    bodies = [json.loads(entry.body) for entry in calls(system, "POST")]
    assert sorted(body.get("type", "none") for body in bodies) == ["none", "normal"]


async def test_the_type_is_chosen_from_what_the_instance_offers_and_audited(system: System) -> None:
    connection = await system.connect()
    system.servicenow.control("users", user_name="m365.integration", roles="itil")
    manager = await system.signed_in("manager")
    page = await manager.get(PAGE)
    assert '<option value="type:normal" selected>Normal</option>' in page.text
    assert "role personalize_choices" in said(page)
    assert "A standard change is made from a template" in said(page)
    refused = await manager.post(f"{PAGE}/type", data={"change_type": "type:secret"})
    assert refused.status_code == 422
    assert "does not offer this one" in said(refused)
    answer = await manager.post(f"{PAGE}/type", data={"change_type": "type:emergency"})
    assert answer.status_code == 303
    async with system.resources.database.transaction() as session:
        decided = await load_preferences(session, connection.id)
    assert (decided.change_type.value, decided.change_types) == ("emergency", ())
    [entry] = (await manager.get("/servicenow/audit.json")).json()
    assert (entry["what"], entry["facts"]["value"]) == ("Change type changed", "Emergency")
    await share_one(system, TicketKind.CHANGE)
    await system.work()
    (record,) = records(system, "change_request")
    assert record["type"] == "emergency"


async def test_people_choose_another_type_only_where_the_administrator_allows_it(system: System) -> None:
    await system.connect()
    manager, sharer = await system.signed_in("manager"), await system.signed_in("sharer")
    typed = {"kind": "change", "name": "Turn on MFA", "description": "Please.", "category": "Identity"}
    assert "As configured" not in (await sharer.get("/tickets/new")).text
    refused = await fill_and_send(sharer, "/tickets/new", **typed, change_type="type:emergency")
    assert refused.status_code == 422
    await manager.post(f"{PAGE}/type", data={"change_type": "type:normal", "may_choose": "true"})
    page = (await sharer.get("/tickets/new")).text
    assert "As configured: Normal" in page
    assert form_fields(page)["change_type"] == ""
    answer = await fill_and_send(sharer, "/tickets/new", **typed, change_type="type:emergency")
    assert answer.status_code == 303, said(answer)
    await system.work()
    (record,) = records(system, "change_request")
    assert record["type"] == "emergency"


@pytest.mark.fact("servicenow 4.2")
async def test_a_model_of_the_instance_is_sent_as_the_model_alone(system: System) -> None:
    await system.connect()
    model = system.servicenow.instance.store.find("chg_model", name="Change registration")
    assert model is not None
    manager = await system.signed_in("manager")
    assert f'<option value="chg_model:{model["sys_id"]}">Change registration</option>' in (await manager.get(PAGE)).text
    await manager.post(f"{PAGE}/type", data={"change_type": f"chg_model:{model['sys_id']}"})
    await share_one(system, TicketKind.CHANGE)
    await system.work()
    (record,) = records(system, "change_request")
    assert record["chg_model"] == model["sys_id"]
    (call,) = calls(system, "POST")
    assert "type" not in json.loads(call.body)


def test_a_models_key_names_its_column() -> None:
    assert ChangeType("chg_model", "a" * 32, "Cloud change").key == f"chg_model:{'a' * 32}"
