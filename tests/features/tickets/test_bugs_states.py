"""States, values and times: bugs of other connectors, by number, that must not be ours."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.core import clock
from app.core.clock import SetClock
from app.features.connection.models import InstanceThrottle
from app.features.tickets.models import Ticket
from app.features.tickets.polling.apply_remote import differences
from app.features.tickets.polling.state_names import Names, list_state_names
from app.features.tickets.types import StateCategory, TicketKind
from app.integrations.servicenow.parse_response import canonical_state, choices_of, parse_time, ticket_of
from app.integrations.servicenow.protocol import format_time
from tests.factories.system import System
from tests.factories.tickets import (
    a_row,
    an_action,
    calls,
    cursor,
    read_ticket,
    records,
    refresh_now,
    run_due_and_waiting,
    share_one,
    shared_ticket,
    told,
)

CLOSED = {"close_code": "Solution provided", "close_notes": "Done."}


async def test_bug_30_42_labels_in_another_language_change_no_logic(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.language = "de"
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "6", **CLOSED})
    await refresh_now(system)
    ticket = await read_ticket(system, ticket_id)
    assert ticket.state == "6"
    assert ticket.state_label not in ("", "6", "Resolved")
    assert ticket.state_label in await told(system, "/")
    assert ticket.number in await told(system, "/tickets?group=done")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("-5", "-5"), (-5, "-5"), (-5.0, "-5"), ("-5.0", "-5"), (3.0, "3"), (0, "0"), ("0", "0"), (False, "false"),
        ("", ""), (None, ""), ("Closed", "Closed"), ("3.5", "3.5"), (" 7 ", "7"), ("1e3", "1e3"), ("٣", "٣"),
    ],
)  # fmt: skip
def test_bug_31_numbers_of_either_api_are_the_same_state(value: object, plain: str) -> None:
    assert canonical_state(value) == plain
    assert ticket_of(a_row(state={"value": value, "display_value": "x"})).state == plain


def test_bug_32_a_workers_own_state_is_not_the_records() -> None:
    row = a_row(worker={"state": {"value": "9"}, "value": "w"}, messages=[{"state": "8"}])
    assert ticket_of(row).state == "2"


@pytest.mark.parametrize("value", ["18", "10", "77", "-3 ", "3,7", "6 7"])
def test_bug_33_a_state_is_compared_whole(value: str) -> None:
    assert Names({}).group(uuid4(), "incident", value) is StateCategory.UNKNOWN


async def test_bug_34_a_custom_state_keeps_its_name_and_is_never_done(system: System) -> None:
    await system.connect()
    system.servicenow.control("choices", table="incident", element="state", value="22", label="Awaiting evidence")
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "22"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "22"
    for address in ("/", f"/tickets/{ticket_id}", "/tickets?group=unknown", "/tickets?group=open"):
        assert "Awaiting evidence" in await told(system, address)
    assert record["number"] not in await told(system, "/tickets?group=done")
    async with system.resources.database.transaction() as session:
        line = next(line for line in await list_state_names(session, "incident") if line.value == "22")
    assert (line.label, line.group, line.count) == ("Awaiting evidence", "unknown", 1)


@pytest.mark.parametrize(
    ("kind", "state", "group"),
    [
        (TicketKind.INCIDENT, "6", "done"), (TicketKind.INCIDENT, "7", "done"), (TicketKind.INCIDENT, "8", "canceled"),
        (TicketKind.CHANGE, "3", "done"), (TicketKind.CHANGE, "4", "canceled"), (TicketKind.CHANGE, "0", "progress"),
    ],
)  # fmt: skip
async def test_bug_35_there_are_several_ends_and_they_differ_by_table(
    system: System, kind: TicketKind, state: str, group: str
) -> None:
    await system.connect()
    system.servicenow.instance.switches.check_transitions = False
    ticket_id, record = await shared_ticket(system, kind)
    system.servicenow.control("records", number=record["number"], fields={"state": state, **CLOSED})
    await refresh_now(system)
    ticket = await read_ticket(system, ticket_id)
    assert ticket.state == state
    assert ticket.number in await told(system, f"/tickets?group={group}")
    is_open = group == "progress"
    assert (ticket.number in await told(system, "/tickets?group=open")) is is_open


async def test_bug_36_an_incident_state_that_disagrees_is_not_asked(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    record |= {"incident_state": "7", "state": "2"}
    system.servicenow.instance.store.put("incident", record)
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert not any("incident_state" in call.query for call in calls(system))


async def test_bug_37_a_reopened_ticket_is_open_whatever_closed_at_says(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "7", **CLOSED})
    await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    assert system.servicenow.instance.store.get("incident", record["sys_id"])["closed_at"]  # type: ignore[index]
    await refresh_now(system)
    page = await told(system, f"/tickets/{ticket_id}")
    assert "Reopened: from Closed to In Progress." in page
    assert (await read_ticket(system, ticket_id)).number in await told(system, "/tickets?group=open")


async def test_bug_38_sharing_again_after_closing_writes_nothing_into_the_closed_record(system: System) -> None:
    await system.connect()
    _, record = await shared_ticket(system, action=an_action())
    system.servicenow.control("records", number=record["number"], fields={"state": "7", **CLOSED})
    await refresh_now(system)
    before = dict(system.servicenow.instance.store.get("incident", record["sys_id"]) or {})
    await shared_ticket(system, action=an_action())
    assert system.servicenow.instance.store.get("incident", record["sys_id"]) == before
    assert len(records(system, "incident")) == 2


async def test_bug_39_a_ticket_just_created_is_neither_closed_nor_hidden_by_a_refresh(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).delivery == "queued"
    await system.work()
    await refresh_now(system, later=3600)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.state, ticket.visible) == ("shared", "1", True)


async def test_bug_40_43_nothing_of_a_record_is_ever_written_but_work_notes(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    async with await system.signed_in("sharer") as browser:
        typed = {"note": "Hello", "note_id": "00000000-0000-4000-8000-000000000001"}
        await browser.post(f"/tickets/{ticket_id}/notes", data=typed)
    await system.work()
    written = [json.loads(call.body) for call in calls(system) if call.method not in ("GET", "POST")]
    assert [list(body) for body in written] == [["work_notes"]]


async def test_bug_41_a_priority_that_servicenow_replaced_is_shown(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.keep_change_priority = False
    ticket_id, _ = await shared_ticket(system, TicketKind.CHANGE, priority=1)
    page = await told(system, f"/tickets/{ticket_id}")
    assert "ServiceNow changed what you sent." in page
    assert "Priority: sent Critical, ServiceNow stored Low." in page


def test_bug_41_an_incidents_looked_up_priority_is_compared_with_the_one_asked_for() -> None:
    ticket = Ticket(kind="incident", priority=1, record={"impact": "1", "urgency": "1"})
    row = a_row(impact={"value": "1"}, urgency={"value": "1"}, priority={"value": "3"})
    (said,) = differences(ticket, ticket_of(row))
    assert "asked for Critical, ServiceNow made it Moderate" in str(said)


def test_bug_42_choices_come_in_english_or_in_whatever_there_is() -> None:
    def choice(value: str, label: str, language: str, name: str = "incident") -> dict[str, str]:
        return {"name": name, "element": "state", "value": value, "label": label, "language": language}

    rows = [
        choice("1", "Neu", "de"),
        choice("1", "New", "en"),
        choice("7", "Geschlossen", "de"),
        choice("1", "X", "fr"),
    ]
    found = choices_of(rows, "incident", "state")
    assert [(one.value, one.label) for one in found] == [("1", "New"), ("7", "Geschlossen")]
    fakes = [choice("9", "Other", "en") | {"element": "priority"}, choice("9", "Other", "en", "problem")]
    assert choices_of(fakes, "incident", "state") == []


@pytest.mark.parametrize(
    ("shape", "label"),
    [
        ("", ""), (None, ""), ("6816f79cc0a8016401c5a33be04be441", "6816f79cc0a8016401c5a33be04be441"),
        ({"link": "https://x/api", "value": "6816f79c"}, ""), ({"display_value": "Fred", "link": "https://x/api"}, "Fred"),
        ({"display_value": "Fred", "value": "6816f79c"}, "Fred"), ({"display_value": None, "value": ""}, ""),
        ({}, ""), ([], "[]"),
    ],
)  # fmt: skip
def test_bug_44_references_come_in_many_shapes(shape: object, label: str) -> None:
    assert ticket_of(a_row(assigned_to=shape)).assigned_to == label


async def test_bug_45_a_state_that_may_not_be_read_is_unknown(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.unreadable_fields = "state,priority,sys_updated_on,assigned_to"
    ticket_id, _ = await shared_ticket(system)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.state) == ("shared", "")
    page = await told(system, f"/tickets/{ticket_id}")
    assert "Not readable" in page
    assert ticket.number in await told(system, "/tickets?group=unknown")
    assert "not readable, so we cannot tell" not in page or "Priority" in page


async def test_bug_46_times_are_utc_whatever_the_users_zone(system: System) -> None:
    """The integration user lives in Berlin; display values would be an hour or two ahead."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    ticket = await read_ticket(system, ticket_id)
    assert ticket.remote_updated_at is not None
    assert format_time(ticket.remote_updated_at) == record["sys_updated_on"]
    assert record["due_date"] == "2030-12-31 12:00:00"


async def test_bug_47_questions_carry_plain_utc_and_no_script(system: System) -> None:
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


async def test_bug_48_two_changes_in_one_second_with_a_poll_between_are_both_seen(system: System) -> None:
    await system.connect()
    first_id, first = await shared_ticket(system)
    second_id, second = await shared_ticket(system)
    store = system.servicenow.instance.store
    now = store.now_text()
    store.put("incident", {**first, "state": "2", "sys_updated_on": now})
    await refresh_now(system)
    store.put("incident", {**second, "state": "2", "sys_updated_on": now})
    await refresh_now(system)
    assert [(await read_ticket(system, ticket_id)).state for ticket_id in (first_id, second_id)] == ["2", "2"]


@pytest.mark.parametrize("seconds", [-300, 300, -3600, 3600])
async def test_bug_48_a_clock_that_is_off_loses_no_change(system: System, seconds: int) -> None:
    system.servicenow.instance.switches.clock_off_seconds = seconds
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert (await cursor(system)).changes_refused == 0


@pytest.mark.parametrize(
    ("before", "after"), [(600, 0), (-600, 0), (0, 600), (0, -600), (3600, 0), (-3600, 0), (0, -3600), (7200, 3600)]
)
async def test_bug_48_a_clock_that_is_put_right_or_wrong_loses_no_change(
    system: System, before: int, after: int
) -> None:
    """An hour is what a daylight-saving change does to a clock that was set to local time."""
    system.servicenow.instance.switches.clock_off_seconds = before
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    system.servicenow.instance.switches.clock_off_seconds = after
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    system.servicenow.control("records", number=record["number"], fields={"state": "3"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "3"
    assert (await cursor(system)).changes_refused == 0


async def test_bug_48_a_clock_that_drifts_loses_no_change(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    for state in ("2", "3", "2", "3", "2", "3"):
        system.servicenow.instance.switches.clock_off_seconds -= 45
        system.servicenow.control("records", number=record["number"], fields={"state": state})
        await refresh_now(system)
        assert (await read_ticket(system, ticket_id)).state == state


@pytest.mark.parametrize("seconds", [-600, 600, -3600])
async def test_bug_48_a_clock_that_is_off_is_known_without_a_create_that_answered(system: System, seconds: int) -> None:
    """The record was found by looking for it, so that its making says nothing of the clock."""
    system.servicenow.instance.switches.clock_off_seconds = seconds
    await system.connect()
    system.servicenow.fault("dropped_after_commit", method="POST")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 2)
    (record,) = records(system, "incident")
    await refresh_now(system)
    await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"


@pytest.mark.parametrize(
    "night", [datetime(2026, 10, 25, 0, 59, 30, tzinfo=UTC), datetime(2027, 3, 28, 0, 59, 30, tzinfo=UTC)]
)
async def test_bug_48_the_hour_that_comes_twice_or_never_loses_no_change(system: System, night: datetime) -> None:
    """The integration user lives in Berlin, where clocks are changed at one o'clock UTC."""
    ours = SetClock(night)
    before = clock.use(ours)
    try:
        set_alike(system, ours)
        await system.connect()
        ticket_id, record = await shared_ticket(system)
        await refresh_now(system)
        for state in ("2", "3", "2"):
            ours.move(45)
            set_alike(system, ours)
            system.servicenow.control("records", number=record["number"], fields={"state": state})
            await refresh_now(system)
            assert (await read_ticket(system, ticket_id)).state == state
    finally:
        clock.use(before)


def set_alike(system: System, ours: SetClock) -> None:
    """Let the instance's clock show what ours shows."""
    system.servicenow.instance.switches.clock_off_seconds = round((ours.now() - datetime.now(UTC)).total_seconds())


async def test_a_clock_that_no_clock_can_show_is_not_believed(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache on the way may answer with a date of its own."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    monkeypatch.setattr("app.integrations.servicenow.parse_response.answered_at", lambda _: long_ago)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    async with system.resources.database.transaction() as session:
        assert abs((await session.execute(select(InstanceThrottle.clock_ahead_seconds))).scalar_one()) < 60


FIRST, LAST = datetime(1970, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 - a zone is drawn to it.


@given(st.builds(lambda moment, zone: moment.replace(tzinfo=zone), st.datetimes(FIRST, LAST), st.timezones()))
def test_bug_49_moments_survive_the_way_there_and_back(moment: datetime) -> None:
    back = parse_time(format_time(moment))
    assert back is not None
    assert back == moment.astimezone(UTC).replace(microsecond=0)


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-11-20", "2026-11-20T09:00:00Z", "2026-13-01 00:00:00", "20.11.2026 09:00:00"]
)
def test_bug_49_what_is_no_moment_of_theirs_is_none(text: str) -> None:
    assert parse_time(text) is None


async def test_a_lost_answer_teaches_no_wrong_clock(system: System) -> None:
    """A record found some time after it was made says nothing of how far the instance's clock is off."""
    await system.connect()
    system.servicenow.fault("dropped_after_commit", method="POST")
    await share_one(system, TicketKind.INCIDENT)
    await system.work()
    (record,) = records(system, "incident")
    system.servicenow.instance.store.put("incident", record | {"sys_created_on": "2020-01-01 00:00:00"})
    await run_due_and_waiting(system)
    async with system.resources.database.transaction() as session:
        throttle = (await session.execute(select(InstanceThrottle))).scalar_one()
    assert throttle.clock_ahead_seconds == 0
