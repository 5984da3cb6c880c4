"""Finding the right record: bugs of other connectors, by number, that must not be ours."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus
from uuid import uuid4

import pytest
from sqlalchemy import update

from app.core import clock
from app.features.connection.models import Connection, ConnectionStatus
from app.features.tickets.models import Ticket
from app.features.tickets.types import TicketKind
from app.integrations.http.errors import InvalidResponse, QueryIgnored
from app.integrations.servicenow import protocol
from app.integrations.servicenow.parse_response import ticket_of
from tests.factories.system import System
from tests.factories.tickets import (
    Scripted,
    a_row,
    calls,
    client_over,
    cursor,
    read_ticket,
    records,
    refresh_now,
    replied,
    run_due_and_waiting,
    share_one,
    shared_ticket,
    told,
)

ORIGIN = "https://contoso.service-now.com"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        " ",
        "None",
        "null",
        "undefined",
        "a" * 31,
        "a" * 33,
        "A" * 32,
        "g" * 32,
        "a" * 32 + "^ORstate=1",
        "a" * 32 + "\n",
    ],
)
async def test_bug_21_an_empty_or_strange_correlation_id_never_becomes_a_request(wrong: str) -> None:
    transport = Scripted(replied([]))
    with pytest.raises(ValueError, match="of our own making"):
        await client_over(transport).find_by_correlation("incident", wrong)
    assert transport.requests == []


@pytest.mark.parametrize("other", ["", "b" * 32])
async def test_bug_22_rows_that_were_not_asked_for_are_nobodys_ticket_and_prove_nothing(other: str) -> None:
    """An instance that ignores the condition answers with fakes' tickets; ours may be among those it left out."""
    fakes = [a_row(), a_row(correlation_id={"value": other, "display_value": other})]
    with pytest.raises(QueryIgnored, match="listed other records"):
        await client_over(Scripted(replied(fakes))).find_by_correlation("incident", "a" * 32)


async def test_bug_22_a_row_without_its_id_and_a_count_without_a_row_prove_nothing() -> None:
    row = a_row()
    del row["correlation_id"]
    with pytest.raises(QueryIgnored, match="does not show the integration user the field"):
        await client_over(Scripted(replied([row]))).find_by_correlation("incident", "a" * 32)
    with pytest.raises(QueryIgnored, match="counts a record"):
        await client_over(Scripted(replied([], x_total_count="1"))).find_by_correlation("incident", "a" * 32)
    assert await client_over(Scripted(replied([], x_total_count="0"))).find_by_correlation("incident", "a" * 32) == []


async def test_bug_22_a_refresh_whose_filter_is_ignored_takes_nothing_over_and_reads_in_turn(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.instance.switches.closed_fields = "correlation_display,sys_created_by"
    system.servicenow.control("fill", table="incident", count=3, fields={"state": "2"}, changed_hours_ago=0)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    await refresh_now(system)
    assert (await cursor(system)).changes_refused == 2
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert "sys_idIN" in calls(system, "GET")[-1].query


@pytest.mark.parametrize("marker", ["", "Microsoft 365 Security and Configuration", "Ours now"])
async def test_a_marker_that_was_lost_or_cut_hides_no_change(system: System, marker: str) -> None:
    """Whoever made the record stays known, and is asked for as well."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields={"correlation_display": marker, "state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    system.servicenow.control("records", number=record["number"], fields={"state": "3"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "3"


@pytest.mark.parametrize("name", ["", "a^NQactive=true"])
async def test_an_account_whose_name_cannot_be_asked_for_is_not(system: System, name: str) -> None:
    """Then the marker alone finds what changed; a record that lost it is read within the hour."""
    await system.connect()
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(user_name=name))
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    system.servicenow.control("records", number=record["number"], fields={"correlation_display": "", "state": "3"})
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).state == "3"
    assert not any("sys_created_by%3D" in call.query for call in calls(system, "GET"))


async def test_where_its_maker_may_not_be_asked_for_the_marker_alone_is(system: System) -> None:
    await system.connect()
    switches = system.servicenow.instance.switches
    switches.closed_fields, switches.strict_queries = "sys_created_by", True
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert (await cursor(system)).changes_refused == 0


async def test_bug_23_hostile_names_never_enter_a_query(system: System) -> None:
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
        r"|correlation_display=Microsoft 365 Security and Configuration \w[\w ]*\^ORsys_created_by=m365\.integration"
        r"\^sys_updated_on>=[0-9: -]{19}"
        r"(\^sys_id>[0-9a-f]{32})?\^ORDERBYsys_id"
        r"|sys_idIN[0-9a-f,]+\^ORDERBYsys_id"
    )
    asked = [request.query for request in calls(system, "GET")]
    assert len(asked) > len(hostile)
    for query in asked:
        found = re.search(r"sysparm_query=([^&]*)", query)
        assert found
        assert allowed.fullmatch(_decoded(found[1])), query


def _decoded(query: str) -> str:

    return unquote_plus(query)


async def test_bug_24_of_two_records_the_oldest_is_kept_and_a_person_is_told(system: System) -> None:
    await system.connect()
    system.servicenow.fault("dropped_after_commit", method="POST")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    (first,) = records(system, "incident")
    store = system.servicenow.instance.store
    twin = {name: value for name, value in first.items() if name != "sys_id"}
    store.put("incident", twin | {"number": "INC0099999", "sys_created_on": "2030-01-01 00:00:00"})
    await run_due_and_waiting(system)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.number) == ("shared", first["number"])
    page = await told(system, f"/tickets/{ticket_id}")
    assert "more than one record" in page
    assert "INC0099999" in page


async def test_bug_24_a_second_record_that_turns_up_later_is_told_once(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    store = system.servicenow.instance.store
    twin = {name: value for name, value in record.items() if name != "sys_id"}
    store.put("incident", twin | {"number": "INC0099999", "sys_updated_on": store.now_text()})
    await refresh_now(system)
    await refresh_now(system)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.sys_id, len(ticket.warnings)) == (record["sys_id"], 1)
    page = await told(system, f"/tickets/{ticket_id}")
    assert "more than one record" in page
    assert "INC0099999" in page


async def test_bug_25_a_number_is_no_key(system: System) -> None:
    """The same number at another instance, whose connection was removed: only ours moves."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    async with system.resources.database.transaction() as session:
        ours = await session.get_one(Ticket, ticket_id)
        other = Connection(
            instance_name="old", origin="https://old.service-now.com", status=ConnectionStatus.REMOVED, client_id="x",
            connected_at=clock.now(),
        )  # fmt: skip
        session.add(other)
        await session.flush()
        values = {column.key: getattr(ours, column.key) for column in Ticket.__table__.columns}
        stranger = uuid4()
        fresh = {"id": stranger, "connection_id": other.id, "form_key": "old", "correlation_id": "f" * 32}
        session.add(Ticket(**{**values, **fresh}))
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert (await read_ticket(system, stranger)).state == "1"


def test_bug_26_odd_sys_ids_are_taken_from_the_server_and_refused_in_questions() -> None:
    assert ticket_of(a_row(sys_id="ABCDEF" + "0" * 26)).sys_id == "abcdef" + "0" * 26
    assert ticket_of(a_row(sys_id="glide.maint")).sys_id == "glide.maint"
    for wrong in ("", "a^b", "a,b", "a b", "x" * 65):
        with pytest.raises(InvalidResponse):
            ticket_of(a_row(sys_id=wrong))
        with pytest.raises(ValueError, match="sys_id"):
            protocol.fetch_many_request(ORIGIN, "incident", [wrong])


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"hidden": True}, "the integration user may no longer see it"),
        ({"delete": True}, "Deleted in ServiceNow"),
    ],
)
async def test_bug_27_28_a_record_that_is_gone_is_not_visible_and_not_closed(
    system: System, trouble: dict[str, bool], said: str
) -> None:
    """ServiceNow counts also what it does not show (facts 2.5)."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], **trouble)
    await refresh_now(system, later=3600)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.visible, ticket.state, ticket.delivery) == (False, "1", "shared")
    page = await told(system, f"/tickets/{ticket_id}")
    assert said in page
    assert "(last known)" in page
    assert "Closed" not in page


async def test_bug_27_28_what_the_count_cannot_tell_is_not_told(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One was deleted and one hidden, and both were asked for together; or the instance does not count."""
    await system.connect()
    (first_id, first), (second_id, second) = await shared_ticket(system), await shared_ticket(system)
    system.servicenow.control("records", number=first["number"], delete=True)
    system.servicenow.control("records", number=second["number"], hidden=True)
    await refresh_now(system, later=3600)
    for ticket_id in (first_id, second_id):
        assert "no longer shows this record to us" in await told(system, f"/tickets/{ticket_id}")
    third_id, third = await shared_ticket(system)
    monkeypatch.setattr("app.integrations.servicenow.parse_response.counted", lambda _: None)
    system.servicenow.control("records", number=third["number"], delete=True)
    await refresh_now(system, later=3600)
    assert "no longer shows this record to us" in await told(system, f"/tickets/{third_id}")


async def test_bug_27_28_a_hidden_record_that_is_deleted_later_is_told_once_more(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], hidden=True)
    for _ in range(2):
        await refresh_now(system, later=3600)
    system.servicenow.control("records", number=record["number"], delete=True)
    for _ in range(2):
        await refresh_now(system, later=3600)
    page = await told(system, f"/tickets/{ticket_id}")
    assert page.count("Deleted in ServiceNow") == 2, "above, and once in its history"
    assert page.count("may no longer see it") == 1


async def test_bug_27_a_hidden_record_that_comes_back_is_followed_again(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], hidden=True)
    await refresh_now(system, later=3600)
    system.servicenow.control("records", number=record["number"], hidden=False)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"}, silent=True)
    await refresh_now(system, later=3600)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.visible, ticket.state) == (True, "2")


async def test_bug_27_when_all_records_vanish_at_once_the_role_is_suspected(system: System) -> None:
    await system.connect()
    for _ in range(3):
        await shared_ticket(system)
    system.servicenow.control("users", user_name="m365.integration", roles="")
    for record in records(system, "incident"):
        system.servicenow.control("records", number=record["number"], hidden=True)
    await refresh_now(system, later=3600)
    assert "Check the roles of the integration user" in str((await cursor(system)).problem)


async def test_bug_29_a_record_of_another_class_is_not_followed(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    record |= {"sys_class_name": "sn_si_incident", "state": "6"}
    system.servicenow.instance.store.put("incident", record)
    await refresh_now(system, later=3600)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.visible, ticket.state) == (False, "1")
    assert "sn_si_incident" in await told(system, f"/tickets/{ticket_id}")
