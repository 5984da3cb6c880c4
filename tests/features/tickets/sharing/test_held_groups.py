"""Tickets held for one reason: named once, led to the place where the field is filled, and sent again in one go."""

from __future__ import annotations

from itertools import permutations
from uuid import UUID

import pytest

from app.features.tickets.sharing.held_tickets import held_groups
from app.features.tickets.types import TicketKind
from tests.factories.connecting import said
from tests.factories.system import System
from tests.factories.tickets import form_fields, read_ticket, records, run_due_and_waiting, share_one

FIELDS = "/servicenow/settings/fields/incident"


async def held_for(system: System, fields: str, count: int) -> list[UUID]:
    system.servicenow.instance.switches.mandatory_on_create = fields
    tickets = [await share_one(system, TicketKind.INCIDENT, name=f"Task {number}") for number in range(count)]
    await run_due_and_waiting(system, 4)
    assert {(await read_ticket(system, ticket)).delivery for ticket in tickets} == {"held"}
    return tickets


@pytest.mark.fact("servicenow 2.6")
async def test_tickets_held_for_a_mandatory_field_lead_to_it_and_are_sent_again_together(system: System) -> None:
    await system.connect()
    # The fourth is held unsent, because the others were refused.
    tickets = await held_for(system, "caller_id,category", 4)
    other = await share_one(system, TicketKind.CHANGE)
    await run_due_and_waiting(system, 2)
    manager = await system.signed_in("manager")
    links = [f"{FIELDS}?{'&amp;'.join(both)}" for both in permutations(("needed=Caller%20id", "needed=Category"))]
    page = await manager.get(f"/tickets/{tickets[0]}")
    [link] = [link for link in links if link in page.text]
    assert "ServiceNow wants these fields filled: " in said(page)
    held = await manager.get("/tickets?delivery=held")
    assert link in held.text
    assert "4 tickets" in said(held)
    assert link not in (await (await system.signed_in("sharer")).get(f"/tickets/{tickets[0]}")).text

    form = await manager.get(link.replace("&amp;", "&"))
    assert 'name="line:caller_id"' in form.text
    assert 'name="line:category"' in form.text
    user = system.servicenow.instance.store.find("sys_user", user_name="m365.integration")
    assert user is not None
    # One click: the account that consented is offered.
    assert f'name="value:caller_id" value="{user["sys_id"]}"' in form.text
    typed = {
        "line:caller_id": "1",
        "value:caller_id": user["sys_id"],
        "line:category": "1",
        "value:category": "network",
    }
    answer = await manager.post(FIELDS, data=typed | {"do": "save"})
    assert answer.status_code == 303, said(answer)

    saved = await manager.get(answer.headers["location"])
    assert "Send all 4 again" in said(saved)
    again = await manager.post("/tickets/retry-group", data={"cause": form_fields(saved.text)["cause"]})
    assert again.headers["location"] == "/tickets?delivery=queued"
    await system.work()
    arrived = records(system, "incident")
    assert len(arrived) == 4
    assert {(record["caller_id"], record["category"]) for record in arrived} == {(user["sys_id"], "network")}
    assert (await read_ticket(system, other)).delivery == "held"
    log = [line["what"] for line in (await manager.get("/servicenow/audit.json")).json()]
    assert "Tickets held for one reason sent again" in log
    assert "Field values changed" in log


async def test_another_reason_is_another_group_and_stays_held(system: System) -> None:
    await system.connect()
    one = await held_for(system, "caller_id", 1)
    two = await held_for(system, "category", 2)
    async with system.resources.database.transaction() as session:
        groups = await held_groups(session)
        assert await held_groups(session, TicketKind.CHANGE) == []
    assert [(group.missing, group.count) for group in groups] == [(["Category"], 2), (["Caller id"], 1)]
    system.servicenow.instance.switches.mandatory_on_create = ""
    sharer = await system.signed_in("sharer")
    await sharer.post("/tickets/retry-group", data={"cause": groups[0].key})
    await system.work()
    assert [(await read_ticket(system, ticket)).delivery for ticket in two] == ["shared", "shared"]
    assert (await read_ticket(system, one[0])).delivery == "held"
    gone = await sharer.post("/tickets/retry-group", data={"cause": "unknown"})
    assert gone.status_code == 303
