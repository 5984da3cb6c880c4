"""The rolling scan: open tickets are read by their ids, in turn."""

from __future__ import annotations

import pytest

from app.features.tickets.types import TicketKind
from tests.factories.system import System
from tests.factories.tickets import (
    calls,
    cursor,
    read_ticket,
    records,
    refresh_now,
    several,
    share_one,
    shared_ticket,
)


@pytest.mark.thorough
@pytest.mark.fact("other-connectors bug-55", "servicenow 2.9", "other-connectors 5")
async def test_fifty_ids_fit_where_long_queries_are_refused(system: System) -> None:
    await system.connect()
    ids = await several(system, 51)
    system.servicenow.instance.switches.long_query_limit = 500
    await refresh_now(system)
    await refresh_now(system, later=3600)
    assert (await cursor(system)).problem is None
    in_turn = [call.query for call in calls(system, "GET") if "sys_idIN" in call.query]
    assert [query.count("%2C") - query.split("sysparm_query")[0].count("%2C") for query in in_turn] == [49, 49, 0]
    assert len(ids) == 51


@pytest.mark.fact("other-connectors bug-27", "servicenow 3.6")
async def test_when_all_records_vanish_at_once_the_role_is_suspected(system: System) -> None:
    await system.connect()
    for _ in range(3):
        await shared_ticket(system)
    system.servicenow.control("users", user_name="m365.integration", roles="")
    for record in records(system, "incident"):
        system.servicenow.control("records", number=record["number"], hidden=True)
    await refresh_now(system, later=3600)
    assert "Check the roles of the integration user" in str((await cursor(system)).problem)


@pytest.mark.fact("other-connectors bug-39")
async def test_a_ticket_just_created_is_neither_closed_nor_hidden_by_a_poll(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).delivery == "queued"
    await system.work()
    await refresh_now(system, later=3600)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.state, ticket.visible) == ("shared", "1", True)


@pytest.mark.fact("servicenow trap-33", "servicenow sandbox-34")
async def test_a_change_that_left_no_trace_is_found_within_the_hour(system: System) -> None:
    """Scripts can leave `sys_updated_on` as it was."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"}, silent=True)
    await refresh_now(system)
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).state == "2"
