"""What the list of changes asks for, and what it does with rows that it did not ask for."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import unquote_plus

import pytest

from app.core import clock
from app.features.tickets.models import PollCursor
from app.features.tickets.polling import poll_plan
from app.features.tickets.polling.fetch_page import MOST_OTHER_ROWS
from app.features.tickets.polling.poll_plan import BELIEVED_FOR, BELIEVED_REFUSALS
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.parse_response import parse_time
from tests.factories.system import System
from tests.factories.tickets import (
    calls,
    cursor,
    read_ticket,
    records,
    refresh_now,
    run_due_and_waiting,
    share_one,
    shared_ticket,
)


def _decoded(query: str) -> str:

    return unquote_plus(query)


@pytest.mark.fact("servicenow trap-6")
async def test_rows_older_than_what_was_asked_for_are_not_taken_over(system: System) -> None:
    """An instance that drops the condition on time lists everything: nothing of that is believed."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    system.servicenow.instance.store.put("incident", record | {"state": "2", "sys_updated_on": "2020-01-01 00:00:00"})
    system.servicenow.instance.switches.closed_fields = "sys_updated_on"
    await refresh_now(system)
    assert (await cursor(system)).changes_refused == 1
    assert (await read_ticket(system, ticket_id)).state == "1"


@pytest.mark.fact("other-connectors bug-22", "servicenow trap-6", "servicenow sandbox-21")
async def test_where_the_filter_is_ignored_nothing_is_taken_over_and_tickets_are_read_in_turn(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.instance.switches.closed_fields = "correlation_display,sys_created_by"
    count = MOST_OTHER_ROWS + 1
    system.servicenow.control("fill", table="incident", count=count, fields={"state": "2"}, changed_hours_ago=0)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    await refresh_now(system)
    assert (await cursor(system)).changes_refused == 2
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert "sys_idIN" in calls(system, "GET")[-1].query


@pytest.mark.parametrize("marker", ["", "Microsoft 365 Security and Configuration", "Ours now"])
async def test_a_record_that_lost_its_marker_is_found_within_the_hour_and_then_read_with_each_poll(
    system: System, marker: str
) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields={"correlation_display": marker, "state": "2"})
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).state == "2"
    system.servicenow.control("records", number=record["number"], fields={"state": "3"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "3"


async def test_what_others_do_with_our_account_costs_nothing(system: System) -> None:
    """The account may be shared with other tools: only the marker is asked for, and it is on our records alone."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    store = system.servicenow.instance.store
    for number in range(30):
        theirs = record | {"sys_id": f"{number:032x}", "correlation_id": "", "correlation_display": ""}
        store.put("incident", theirs | {"sys_updated_on": store.now_text()})
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    changes = [call.query for call in calls(system, "GET") if "sys_updated_on%3E" in call.query]
    assert changes
    assert not any("sys_created_by%3D" in query for query in changes)


async def test_where_the_instance_keeps_no_marker_records_are_read_by_their_ids_in_turn(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never by their creator: the account may be shared with other tools, and all that they do would be listed."""
    await system.connect()
    monkeypatch.setattr(poll_plan, "IDS_PER_CALL", 1)
    monkeypatch.setattr(poll_plan, "MOST_CALLS_WITHOUT_MARKER", 2)
    system.servicenow.instance.switches.dropped_fields = "correlation_display"
    tickets = [await shared_ticket(system) for _ in range(5)]
    for _, record in tickets:
        system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    for seen in (2, 4, 5):
        await refresh_now(system)
        states = [(await read_ticket(system, ticket_id)).state for ticket_id, _ in tickets]
        assert states.count("2") == seen
    assert not any("sys_created_by%3D" in call.query for call in calls(system, "GET"))


async def test_a_closed_record_that_lost_its_marker_is_read_once_a_day(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    closed = {"state": "6", "close_code": "Solution provided", "close_notes": "Done."}
    lost = closed | {"correlation_display": ""}
    system.servicenow.control("records", number=record["number"], fields=lost)
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).state == "6"
    await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).state == "6"
    await refresh_now(system, later=24 * 3600)
    assert (await read_ticket(system, ticket_id)).state == "2"
    system.servicenow.control("records", number=record["number"], fields={"state": "3"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "3", "an open one is read with each poll"


@pytest.mark.fact("servicenow 2.3")
async def test_a_record_of_another_user_whose_marker_differs_in_case_does_not_end_the_following_of_ours(
    system: System,
) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    other = record | {"sys_id": "f" * 32, "sys_created_by": "abel.tuter", "correlation_id": ""}
    other |= {"correlation_display": record["correlation_display"].lower()}
    system.servicenow.instance.store.put("incident", other)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert (await cursor(system)).changes_refused == 0


@pytest.mark.fact("other-connectors bug-23")
async def test_hostile_names_never_enter_a_query(system: System) -> None:
    await system.connect()
    hostile = [
        "^ORstate=1",
        "a^NQactive=true",
        "javascript:gs.getUserID()",
        "x\n^ORnumberSTARTSWITHINC",
        "%5E",
        "'\"--",
    ]
    system.servicenow.fault("dropped_after_commit", times=len(hostile), method="POST")
    for name in hostile:
        await share_one(system, TicketKind.INCIDENT, name=name, description=name)
    await run_due_and_waiting(system, 8)
    await refresh_now(system, later=3600)
    assert len(records(system, "incident")) == len(hostile)
    allowed = re.compile(
        r"correlation_id=[0-9a-f]{32}\^ORDERBYsys_created_on\^ORDERBYsys_id"
        r"|correlation_display=Microsoft 365 Security and Configuration \w[\w ]*"
        r"\^sys_updated_on>=[0-9: -]{19}"
        r"(\^sys_id>[0-9a-f]{32})?(\^NQsys_idIN[0-9a-f,]+(\^sys_id>[0-9a-f]{32})?)?\^ORDERBYsys_id"
        r"|sys_idIN[0-9a-f,]+"
    )
    asked = [request.query for request in calls(system, "GET")]
    assert len(asked) > len(hostile)
    for query in asked:
        found = re.search(r"sysparm_query=([^&]*)", query)
        assert found
        assert allowed.fullmatch(_decoded(found[1])), query


@pytest.mark.fact("other-connectors bug-47", "servicenow 2.3", "servicenow trap-11")
async def test_queries_carry_plain_utc_and_no_script(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    await refresh_now(system)
    system.servicenow.instance.journal.clear()
    await refresh_now(system)
    (asked,) = [call.query for call in calls(system, "GET") if "sys_updated_on%3E" in call.query]
    assert "javascript" not in asked
    moment = asked.split("sys_updated_on%3E%3D")[1][:23].replace("%3A", ":").replace("+", " ")[:19]
    since = parse_time(moment)
    assert since is not None
    assert timedelta(0) < clock.now() - since < timedelta(minutes=10)


@pytest.mark.fact("servicenow 2.3")
async def test_a_list_of_changes_that_is_empty_for_want_of_a_right_is_not_believed(system: System) -> None:
    """Some instances answer 200 and no rows where a field may not be queried; what we know to have changed is missing."""
    await system.connect()
    switches = system.servicenow.instance.switches
    switches.closed_fields, switches.invalid_query_returns_no_rows = "correlation_display", True
    ticket_id, record = await shared_ticket(system)
    for _ in range(BELIEVED_REFUSALS):
        await refresh_now(system)
    assert (await cursor(system)).changes_refused == BELIEVED_REFUSALS
    resolved = {"state": "6", "close_code": "Solution provided", "close_notes": "Done."}
    for fields in (resolved, {"state": "2"}):
        system.servicenow.control("records", number=record["number"], fields=fields)
        await refresh_now(system, later=600)
        assert (await read_ticket(system, ticket_id)).state == fields["state"]


async def test_an_hour_later_the_list_has_to_hold_the_newest_known_change_again(system: System) -> None:
    await system.connect()
    switches = system.servicenow.instance.switches
    switches.closed_fields, switches.invalid_query_returns_no_rows = "correlation_display", True
    await shared_ticket(system)
    for refusals in range(1, BELIEVED_REFUSALS + 2):
        await refresh_now(system)
        async with system.resources.database.transaction() as session:
            found = await session.get_one(PollCursor, ((await cursor(system)).connection_id, "incident"))
            found.changes_refused_at = clock.now() - BELIEVED_FOR
        assert (await cursor(system)).changes_refused == refusals
    switches.closed_fields = ""
    await refresh_now(system)
    assert (await cursor(system)).changes_refused == 0
