"""Changes are found with a wrong clock of the instance too."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

import pytest
from sqlalchemy import select

from app.core import clock
from app.core.clock import SetClock
from app.features.connection.models import InstanceThrottle
from app.features.tickets.polling.changed_records import clock_ahead
from app.features.tickets.polling.poll_plan import cursor_of
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.schemas import Listed
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

pytestmark = pytest.mark.thorough


def delta_calls(system: System) -> list[Any]:
    return [call for call in calls(system, "GET") if "sys_updated_on%3E" in call.query]


def set_alike(system: System, ours: SetClock) -> None:
    """Let the instance's clock show what ours shows."""
    system.servicenow.instance.switches.clock_off_seconds = round((ours.now() - datetime.now(UTC)).total_seconds())


async def test_a_list_read_to_its_end_is_not_requested_again(system: System) -> None:
    """The watermark moves on with each poll: cost follows what changed, not what there is."""
    await system.connect()
    await shared_ticket(system)
    # What is known of the instance's clock, in whole seconds, may shrink by one from poll to poll.
    await asyncio.sleep(2.1)
    await refresh_now(system)
    seen = [(await cursor(system)).watermark]
    for _ in range(2):
        await asyncio.sleep(2.1)
        await refresh_now(system)
        seen.append((await cursor(system)).watermark)
    assert all(later > earlier for earlier, later in itertools.pairwise(moment for moment in seen if moment))
    asked = [unquote_plus(call.query).split("sys_updated_on>=")[1][:19] for call in delta_calls(system)]
    assert asked == sorted(set(asked)), "each question begins later than the one before it"


@pytest.mark.fact("other-connectors bug-48")
async def test_two_changes_in_one_second_with_a_poll_between_are_both_seen(system: System) -> None:
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


@pytest.mark.fact("other-connectors bug-48")
@pytest.mark.parametrize("seconds", [-300, 300, -3600, 3600])
async def test_a_clock_that_is_off_loses_no_change(system: System, seconds: int) -> None:
    system.servicenow.instance.switches.clock_off_seconds = seconds
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert (await cursor(system)).changes_refused == 0


@pytest.mark.fact("other-connectors bug-48")
@pytest.mark.parametrize(
    ("before", "after"), [(600, 0), (-600, 0), (0, 600), (0, -600), (3600, 0), (-3600, 0), (0, -3600), (7200, 3600)]
)
async def test_a_clock_that_is_put_right_or_wrong_loses_no_change(system: System, before: int, after: int) -> None:
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


@pytest.mark.fact("other-connectors bug-48")
async def test_a_clock_that_drifts_loses_no_change(system: System) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    for state in ("2", "3", "2", "3", "2", "3"):
        system.servicenow.instance.switches.clock_off_seconds -= 45
        system.servicenow.control("records", number=record["number"], fields={"state": state})
        await refresh_now(system)
        assert (await read_ticket(system, ticket_id)).state == state


@pytest.mark.fact("other-connectors bug-48")
@pytest.mark.parametrize("seconds", [-600, 600, -3600])
async def test_a_clock_that_is_off_is_known_without_a_create_that_answered(system: System, seconds: int) -> None:
    """The record was found by a lookup, so that its creation does not tell the clock."""
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


@pytest.mark.fact("other-connectors bug-48")
@pytest.mark.parametrize(
    "night", [datetime(2026, 10, 25, 0, 59, 30, tzinfo=UTC), datetime(2027, 3, 28, 0, 59, 30, tzinfo=UTC)]
)
async def test_the_hour_that_comes_twice_or_never_loses_no_change(system: System, night: datetime) -> None:
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


async def test_a_date_that_no_clock_can_show_is_not_believed(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache on the way may answer with a date of its own."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    monkeypatch.setattr("app.integrations.servicenow.parse_response.answered_at", lambda _: long_ago)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    async with system.resources.database.transaction() as session:
        assert abs((await session.execute(select(InstanceThrottle.clock_ahead_seconds))).scalar_one() or 0) < 60


@pytest.mark.parametrize(
    ("shown", "ahead"),
    [
        (timedelta(0), timedelta(0)),
        (timedelta(hours=-1), timedelta(hours=-1)),
        (timedelta(hours=23), timedelta(hours=23)),
        (timedelta(days=1), None),
        (timedelta(days=-400), None),
        (None, None),
    ],
)
def test_a_date_of_a_day_or_more_off_and_a_missing_one_tell_nothing(
    shown: timedelta | None, ahead: timedelta | None
) -> None:
    now = datetime(2026, 11, 20, 9, tzinfo=UTC)
    page = Listed([], 0, None if shown is None else now + shown)
    assert clock_ahead(page, now) == ahead


def asked_since(system: System) -> list[datetime]:
    """The moments from which changes were asked for until now, on the instance's clock."""
    asked = [unquote_plus(call.query).split("sys_updated_on>=")[1][:19] for call in delta_calls(system)]
    return [datetime.fromisoformat(f"{moment}+00:00") for moment in asked]


@pytest.mark.fact("other-connectors bug-48")
@pytest.mark.parametrize("off", [0, -7200, 7200, -50_000, 50_000])
@pytest.mark.parametrize("created", [True, False])
async def test_the_first_look_reads_minutes_and_misses_no_change_whatever_the_clock_shows(
    system: System, off: int, created: bool
) -> None:
    """`created`: a create has shown the clock. Otherwise the record was found, and the answer's date shows it."""
    system.servicenow.instance.switches.clock_off_seconds = off
    await system.connect()
    if not created:
        system.servicenow.fault("dropped_after_commit", method="POST")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 2)
    (record,) = records(system, "incident")
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await forget_scan(system)
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2", "by the list of changes alone"
    now = datetime.now(UTC) + timedelta(seconds=off)
    assert (
        timedelta(minutes=1)
        < now - min(asked_since(system))
        < timedelta(minutes=5) + timedelta(seconds=0 if created or off < 0 else off)
    )
    assert len(asked_since(system)) == (1 if created or off >= 0 else 2)
    system.servicenow.instance.journal.clear()
    await refresh_now(system)
    assert now - min(asked_since(system)) < timedelta(minutes=5), "from then on, minutes"


async def test_without_a_date_the_first_look_reads_a_day_and_the_next_one_minutes(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.servicenow.instance.switches.clock_off_seconds = -40_000
    await system.connect()
    system.servicenow.fault("dropped_after_commit", method="POST")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 2)
    (record,) = records(system, "incident")
    monkeypatch.setattr("app.integrations.servicenow.parse_page.answered_at", lambda _: None)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await forget_scan(system)
    await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert timedelta(hours=24) < datetime.now(UTC) - min(asked_since(system)) < timedelta(hours=24, minutes=5)
    system.servicenow.instance.journal.clear()
    await refresh_now(system)
    assert datetime.now(UTC) - min(asked_since(system)) < timedelta(minutes=5)


async def forget_scan(system: System) -> None:
    """Let no id be due, so that only the list of changes shows anything."""
    async with system.resources.database.transaction() as session:
        connection_id = (await session.execute(select(InstanceThrottle.connection_id))).scalar_one()
        for kind in TicketKind:
            (await cursor_of(session, connection_id, kind)).last_scan_at = clock.now()
