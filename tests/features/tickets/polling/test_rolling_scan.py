"""The rolling scan: open tickets are read by their ids, in turn."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import unquote_plus

import pytest

from app.core import clock
from app.features.tickets.models import Ticket
from app.features.tickets.polling.poll_plan import BELIEVED_REFUSALS, EXPECTED
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.protocol import IDS_PER_CALL
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
    # Asked for together with the changes. Three are expected to be among those anyway.
    in_turn = [unquote_plus(call.query) for call in calls(system, "GET") if "sys_idIN" in call.query]
    asked = [query.split("sys_idIN")[1].split("^")[0].count(",") + 1 for query in in_turn]
    assert IDS_PER_CALL >= max(asked) >= min(asked) >= IDS_PER_CALL - EXPECTED, asked
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


RESOLVED = {"state": "6", "close_code": "Solution provided", "close_notes": "Done."}


@pytest.mark.fact("servicenow 2.3")
async def test_a_ticket_opened_again_is_seen_in_ten_minutes_where_changes_are_not_listed(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.range_refused = True
    ticket_id, record = await shared_ticket(system)
    for _ in range(BELIEVED_REFUSALS):
        await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields=RESOLVED)
    await refresh_now(system, later=600)
    assert (await read_ticket(system, ticket_id)).state == "6"
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system, later=600)
    assert (await read_ticket(system, ticket_id)).state == "2"


@pytest.mark.fact("servicenow trap-33")
async def test_a_closed_ticket_that_a_script_opens_again_without_a_trace_is_seen_within_a_day(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], fields=RESOLVED)
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "6"
    await refresh_now(system)
    system.servicenow.instance.store.put("incident", record | {"state": "2", "sys_updated_on": "2020-01-01 00:00:00"})
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).state == "6", "a closed one is not read each hour"
    await refresh_now(system, later=24 * 3600)
    assert (await read_ticket(system, ticket_id)).state == "2"


@pytest.mark.parametrize(
    ("closed_days_ago", "later", "is_read"), [(91, 600, False), (91, 86_400, True), (366, 86_400, False)]
)
async def test_the_longer_a_ticket_is_closed_the_more_rarely_it_is_read(
    system: System, closed_days_ago: int, later: int, is_read: bool
) -> None:
    await system.connect()
    system.servicenow.instance.switches.range_refused = True
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], fields=RESOLVED)
    for _ in range(BELIEVED_REFUSALS):
        await refresh_now(system, later=3600)
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id)
        assert ticket.state == "6"
        ticket.state_since = clock.now() - timedelta(days=closed_days_ago)
    await refresh_now(system)
    before = len(calls(system, "GET"))
    await refresh_now(system, later=later)
    assert ("sys_idIN" in "".join(call.query for call in calls(system, "GET")[before:])) is is_read
