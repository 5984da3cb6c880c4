"""Sharing an action again after its ticket was closed."""

from __future__ import annotations

import pytest

from tests.factories.system import System
from tests.factories.tickets import (
    an_action,
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
