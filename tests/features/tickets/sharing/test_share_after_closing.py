"""Sharing an action again after its ticket was closed."""

from __future__ import annotations

import pytest

from tests.factories.system import System
from tests.factories.tickets import (
    an_action,
    read_ticket,
    records,
    refresh_now,
    shared_ticket,
)

CLOSED = {"close_code": "Solution provided", "close_notes": "Done."}


@pytest.mark.fact("other-connectors bug-38")
async def test_sharing_again_after_closing_writes_nothing_into_the_closed_record(system: System) -> None:
    await system.connect()
    _, record = await shared_ticket(system, action=an_action())
    system.servicenow.control("records", number=record["number"], fields={"state": "7", **CLOSED})
    await refresh_now(system)
    before = dict(system.servicenow.instance.store.get("incident", record["sys_id"]) or {})
    await shared_ticket(system, action=an_action())
    assert system.servicenow.instance.store.get("incident", record["sys_id"]) == before
    assert len(records(system, "incident")) == 2


async def test_an_action_whose_record_was_deleted_is_shared_again_without_a_question(system: System) -> None:
    await system.connect()
    for number in (1, 2, 3):
        await shared_ticket(system, action=an_action(f"Action{number}"))
    deleted = records(system, "incident")[0]
    system.servicenow.instance.store.remove("incident", deleted["sys_id"])
    await refresh_now(system, later=3600)
    again, _ = await shared_ticket(system, action=an_action("Action1"))
    assert len(records(system, "incident")) == 3
    assert (await read_ticket(system, again)).predecessor_id is not None, "it names the deleted one"
