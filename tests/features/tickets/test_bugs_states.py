"""States, values and times: bugs of other connectors, by number, that must not be ours."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.features.tickets.follow import differences
from app.features.tickets.models import Pace, Ticket
from app.features.tickets.state_names import Names, list_state_names
from app.features.tickets.ticket import Group, Kind
from app.foundation import clock
from app.foundation.clock import SetClock
from app.remote.servicenow.answers import canonical_state, choices_of, parse_time, ticket_of
from app.remote.servicenow.protocol import format_time
from tests.factories.house import House
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


async def test_bug_30_42_labels_in_another_language_change_no_logic(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.language = "de"
    ticket_id, record = await shared_ticket(house)
    house.snow.control("records", number=record["number"], fields={"state": "6", **CLOSED})
    await refresh_now(house)
    ticket = await read_ticket(house, ticket_id)
    assert ticket.state == "6"
    assert ticket.state_label not in ("", "6", "Resolved")
    assert ticket.state_label in await told(house, "/")
    assert ticket.number in await told(house, "/tickets?group=done")


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
    assert Names({}).group(uuid4(), "incident", value) is Group.UNKNOWN


async def test_bug_34_a_custom_state_keeps_its_name_and_is_never_done(house: House) -> None:
    await house.connect()
    house.snow.control("choices", table="incident", element="state", value="22", label="Awaiting evidence")
    ticket_id, record = await shared_ticket(house)
    house.snow.control("records", number=record["number"], fields={"state": "22"})
    await refresh_now(house)
    assert (await read_ticket(house, ticket_id)).state == "22"
    for address in ("/", f"/tickets/{ticket_id}", "/tickets?group=unknown", "/tickets?group=open"):
        assert "Awaiting evidence" in await told(house, address)
    assert record["number"] not in await told(house, "/tickets?group=done")
    async with house.resources.database.transaction() as session:
        line = next(line for line in await list_state_names(session, "incident") if line.value == "22")
    assert (line.label, line.group, line.count) == ("Awaiting evidence", "unknown", 1)


@pytest.mark.parametrize(
    ("kind", "state", "group"),
    [
        (Kind.INCIDENT, "6", "done"), (Kind.INCIDENT, "7", "done"), (Kind.INCIDENT, "8", "canceled"),
        (Kind.CHANGE, "3", "done"), (Kind.CHANGE, "4", "canceled"), (Kind.CHANGE, "0", "progress"),
    ],
)  # fmt: skip
async def test_bug_35_there_are_several_ends_and_they_differ_by_table(
    house: House, kind: Kind, state: str, group: str
) -> None:
    await house.connect()
    house.snow.instance.switches.check_transitions = False
    ticket_id, record = await shared_ticket(house, kind)
    house.snow.control("records", number=record["number"], fields={"state": state, **CLOSED})
    await refresh_now(house)
    ticket = await read_ticket(house, ticket_id)
    assert ticket.state == state
    assert ticket.number in await told(house, f"/tickets?group={group}")
    is_open = group == "progress"
    assert (ticket.number in await told(house, "/tickets?group=open")) is is_open


async def test_bug_36_an_incident_state_that_disagrees_is_not_asked(house: House) -> None:
    await house.connect()
    ticket_id, record = await shared_ticket(house)
    record |= {"incident_state": "7", "state": "2"}
    house.snow.instance.store.put("incident", record)
    await refresh_now(house, later=3600)
    assert (await read_ticket(house, ticket_id)).state == "2"
    assert not any("incident_state" in call.query for call in calls(house))


async def test_bug_37_a_reopened_ticket_is_open_whatever_closed_at_says(house: House) -> None:
    await house.connect()
    ticket_id, record = await shared_ticket(house)
    house.snow.control("records", number=record["number"], fields={"state": "7", **CLOSED})
    await refresh_now(house)
    house.snow.control("records", number=record["number"], fields={"state": "2"})
    assert house.snow.instance.store.get("incident", record["sys_id"])["closed_at"]  # type: ignore[index]
    await refresh_now(house)
    page = await told(house, f"/tickets/{ticket_id}")
    assert "Reopened: from Closed to In Progress." in page
    assert (await read_ticket(house, ticket_id)).number in await told(house, "/tickets?group=open")


async def test_bug_38_sharing_again_after_closing_writes_nothing_into_the_closed_record(house: House) -> None:
    await house.connect()
    _, record = await shared_ticket(house, action=an_action())
    house.snow.control("records", number=record["number"], fields={"state": "7", **CLOSED})
    await refresh_now(house)
    before = dict(house.snow.instance.store.get("incident", record["sys_id"]) or {})
    await shared_ticket(house, action=an_action())
    assert house.snow.instance.store.get("incident", record["sys_id"]) == before
    assert len(records(house, "incident")) == 2


async def test_bug_39_a_ticket_just_created_is_neither_closed_nor_hidden_by_a_refresh(house: House) -> None:
    await house.connect()
    await shared_ticket(house)
    ticket_id = await share_one(house, Kind.INCIDENT)
    await refresh_now(house, later=3600)
    assert (await read_ticket(house, ticket_id)).delivery == "queued"
    await house.work()
    await refresh_now(house, later=3600)
    ticket = await read_ticket(house, ticket_id)
    assert (ticket.delivery, ticket.state, ticket.visible) == ("shared", "1", True)


async def test_bug_40_43_nothing_of_a_record_is_ever_written_but_work_notes(house: House) -> None:
    await house.connect()
    ticket_id, _ = await shared_ticket(house)
    async with await house.signed_in("sharer") as browser:
        typed = {"note": "Hello", "note_id": "00000000-0000-4000-8000-000000000001"}
        await browser.post(f"/tickets/{ticket_id}/notes", data=typed)
    await house.work()
    written = [json.loads(call.body) for call in calls(house) if call.method not in ("GET", "POST")]
    assert [list(body) for body in written] == [["work_notes"]]


async def test_bug_41_a_priority_that_servicenow_replaced_is_shown(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.keep_change_priority = False
    ticket_id, _ = await shared_ticket(house, Kind.CHANGE, priority=1)
    page = await told(house, f"/tickets/{ticket_id}")
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
    strangers = [choice("9", "Other", "en") | {"element": "priority"}, choice("9", "Other", "en", "problem")]
    assert choices_of(strangers, "incident", "state") == []


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


async def test_bug_45_a_state_that_may_not_be_read_is_unknown(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.unreadable_fields = "state,priority,sys_updated_on,assigned_to"
    ticket_id, _ = await shared_ticket(house)
    ticket = await read_ticket(house, ticket_id)
    assert (ticket.delivery, ticket.state) == ("shared", "")
    page = await told(house, f"/tickets/{ticket_id}")
    assert "Not readable" in page
    assert ticket.number in await told(house, "/tickets?group=unknown")
    assert "not readable, so we cannot tell" not in page or "Priority" in page


async def test_bug_46_times_are_utc_whatever_the_users_zone(house: House) -> None:
    """The integration user lives in Berlin; display values would be an hour or two ahead."""
    await house.connect()
    ticket_id, record = await shared_ticket(house)
    ticket = await read_ticket(house, ticket_id)
    assert ticket.remote_updated_at is not None
    assert format_time(ticket.remote_updated_at) == record["sys_updated_on"]
    assert record["due_date"] == "2030-12-31 12:00:00"


async def test_bug_47_questions_carry_plain_utc_and_no_script(house: House) -> None:
    await house.connect()
    await shared_ticket(house)
    await refresh_now(house)
    house.snow.instance.journal.clear()
    await refresh_now(house)
    (asked,) = [call.query for call in calls(house, "GET") if "sys_updated_on%3E" in call.query]
    assert "javascript" not in asked
    moment = asked.split("sys_updated_on%3E%3D")[1][:23].replace("%3A", ":").replace("+", " ")[:19]
    since = parse_time(moment)
    assert since is not None
    assert timedelta(0) < clock.now() - since < timedelta(minutes=10)


async def test_bug_48_two_changes_in_one_second_with_a_poll_between_are_both_seen(house: House) -> None:
    await house.connect()
    first_id, first = await shared_ticket(house)
    second_id, second = await shared_ticket(house)
    store = house.snow.instance.store
    now = store.now_text()
    store.put("incident", {**first, "state": "2", "sys_updated_on": now})
    await refresh_now(house)
    store.put("incident", {**second, "state": "2", "sys_updated_on": now})
    await refresh_now(house)
    assert [(await read_ticket(house, ticket_id)).state for ticket_id in (first_id, second_id)] == ["2", "2"]


@pytest.mark.parametrize("seconds", [-300, 300, -3600, 3600])
async def test_bug_48_a_clock_that_is_off_loses_no_change(house: House, seconds: int) -> None:
    house.snow.instance.switches.clock_off_seconds = seconds
    await house.connect()
    ticket_id, record = await shared_ticket(house)
    await refresh_now(house)
    await refresh_now(house)
    house.snow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(house)
    assert (await read_ticket(house, ticket_id)).state == "2"
    assert (await cursor(house)).changes_refused == 0


@pytest.mark.parametrize(
    ("before", "after"), [(600, 0), (-600, 0), (0, 600), (0, -600), (3600, 0), (-3600, 0), (0, -3600), (7200, 3600)]
)
async def test_bug_48_a_clock_that_is_put_right_or_wrong_loses_no_change(house: House, before: int, after: int) -> None:
    """An hour is what a daylight-saving change does to a clock that was set to local time."""
    house.snow.instance.switches.clock_off_seconds = before
    await house.connect()
    ticket_id, record = await shared_ticket(house)
    await refresh_now(house)
    house.snow.instance.switches.clock_off_seconds = after
    house.snow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(house)
    assert (await read_ticket(house, ticket_id)).state == "2"
    house.snow.control("records", number=record["number"], fields={"state": "3"})
    await refresh_now(house)
    assert (await read_ticket(house, ticket_id)).state == "3"
    assert (await cursor(house)).changes_refused == 0


async def test_bug_48_a_clock_that_drifts_loses_no_change(house: House) -> None:
    await house.connect()
    ticket_id, record = await shared_ticket(house)
    await refresh_now(house)
    for state in ("2", "3", "2", "3", "2", "3"):
        house.snow.instance.switches.clock_off_seconds -= 45
        house.snow.control("records", number=record["number"], fields={"state": state})
        await refresh_now(house)
        assert (await read_ticket(house, ticket_id)).state == state


@pytest.mark.parametrize("seconds", [-600, 600, -3600])
async def test_bug_48_a_clock_that_is_off_is_known_without_a_create_that_answered(house: House, seconds: int) -> None:
    """The record was found by looking for it, so that its making says nothing of the clock."""
    house.snow.instance.switches.clock_off_seconds = seconds
    await house.connect()
    house.snow.fault("dropped_after_commit", method="POST")
    ticket_id = await share_one(house, Kind.INCIDENT)
    await run_due_and_waiting(house, 2)
    (record,) = records(house, "incident")
    await refresh_now(house)
    await refresh_now(house)
    house.snow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(house)
    assert (await read_ticket(house, ticket_id)).state == "2"


@pytest.mark.parametrize(
    "night", [datetime(2026, 10, 25, 0, 59, 30, tzinfo=UTC), datetime(2027, 3, 28, 0, 59, 30, tzinfo=UTC)]
)
async def test_bug_48_the_hour_that_comes_twice_or_never_loses_no_change(house: House, night: datetime) -> None:
    """The integration user lives in Berlin, where clocks are changed at one o'clock UTC."""
    ours = SetClock(night)
    before = clock.use(ours)
    try:
        set_alike(house, ours)
        await house.connect()
        ticket_id, record = await shared_ticket(house)
        await refresh_now(house)
        for state in ("2", "3", "2"):
            ours.move(45)
            set_alike(house, ours)
            house.snow.control("records", number=record["number"], fields={"state": state})
            await refresh_now(house)
            assert (await read_ticket(house, ticket_id)).state == state
    finally:
        clock.use(before)


def set_alike(house: House, ours: SetClock) -> None:
    """Let the instance's clock show what ours shows."""
    house.snow.instance.switches.clock_off_seconds = round((ours.now() - datetime.now(UTC)).total_seconds())


async def test_a_clock_that_no_clock_can_show_is_not_believed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache on the way may answer with a date of its own."""
    await house.connect()
    ticket_id, record = await shared_ticket(house)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    monkeypatch.setattr("app.remote.servicenow.answers.answered_at", lambda _: long_ago)
    house.snow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(house)
    assert (await read_ticket(house, ticket_id)).state == "2"
    async with house.resources.database.transaction() as session:
        assert abs((await session.execute(select(Pace.clock_ahead_seconds))).scalar_one()) < 60


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


async def test_a_lost_answer_teaches_no_wrong_clock(house: House) -> None:
    """A record found some time after it was made says nothing of how far the instance's clock is off."""
    await house.connect()
    house.snow.fault("dropped_after_commit", method="POST")
    await share_one(house, Kind.INCIDENT)
    await house.work()
    (record,) = records(house, "incident")
    house.snow.instance.store.put("incident", record | {"sys_created_on": "2020-01-01 00:00:00"})
    await run_due_and_waiting(house)
    async with house.resources.database.transaction() as session:
        pace = (await session.execute(select(Pace))).scalar_one()
    assert pace.clock_ahead_seconds == 0
