"""How many requests polling costs: by what changed, not by how many tickets there are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import insert, text

from app.core import clock
from app.core.clock import SetClock
from app.features.tickets.models import Ticket
from app.features.tickets.polling import changed_records
from app.features.tickets.polling.changed_records import PAGE_SIZE
from app.features.tickets.polling.poll import poll_states
from app.features.tickets.types import MARKERS, TABLES, TicketKind
from app.integrations.servicenow.protocol import IDS_PER_CALL
from sandbox.control_api import MAX_FILLED
from tests.factories.servicenow import INTEGRATION_USER
from tests.factories.system import System
from tests.factories.tickets import LATER, calls, cursor

FULL = os.environ.get("SOAK") == "full"


SIZES = [1000, pytest.param(10_000, marks=pytest.mark.skipif(not FULL, reason="make soak"))]


async def known_tickets(system: System, count: int) -> None:
    """`count` open tickets of both kinds, in the sandbox and here, created hours ago."""
    connection = await system.connect()
    made = clock.now() - timedelta(hours=5)
    for kind in TicketKind:
        fields = {"correlation_display": MARKERS[kind]}
        answer = system.servicenow.control(
            "fill", table=TABLES[kind], count=count // 2, fields=fields, changed_hours_ago=6
        )
        states = {"incident": "1", "change": "-5"}
        rows = [
            {
                "id": uuid4(), "connection_id": connection.id, "kind": kind, "form_key": str(uuid4()),
                "source": "User recommendation", "category": "Apps", "name": f"Ticket {number}", "description": "x",
                "priority": 3, "due_date": LATER, "requested_by_oid": "x", "requested_by_name": "Megan", "created_at": made,
                "record": {}, "delivery": "shared", "correlation_id": uuid4().hex, "shared_at": made, "sys_id": sys_id,
                "state": states[kind], "state_since": made, "verified_at": made + timedelta(seconds=number),
            }
            for number, sys_id in enumerate(answer["sys_ids"])
        ]  # fmt: skip
        async with system.resources.database.transaction() as session:
            await session.execute(insert(Ticket), rows)


async def minute(system: System) -> int:
    """One poll while pages are viewed; the number of its requests."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE instance_throttle SET last_viewed_at = :now"), {"now": clock.now()})
    before = len(calls(system))
    await poll_states(system.resources)
    return len(calls(system)) - before


def by_id(system: System) -> int:
    """The number of requests until now that asked for records by their ids, and for no changes."""
    return sum("sys_idIN" in call.query and "sys_updated_on%3E" not in call.query for call in calls(system, "GET"))


def pass_time(system: System, ticking: SetClock, seconds: int) -> None:
    """On our clock and on the instance's."""
    ticking.move(seconds)
    system.servicenow.instance.switches.clock_off_seconds += seconds


@pytest.fixture
def ticking() -> Iterator[SetClock]:
    """A clock that shows the true time until it is moved."""
    still = SetClock(datetime.now(UTC))
    before = clock.use(still)
    yield still
    clock.use(before)


@pytest.mark.thorough
@pytest.mark.parametrize("count", SIZES)
async def test_an_hour_in_which_nothing_changes(system: System, ticking: SetClock, count: int) -> None:
    await known_tickets(system, count)
    await minute(system)  # The first one catches up with what it does not know.
    system.servicenow.instance.journal.clear()
    made = []
    for _ in range(60):
        made.append(await minute(system))
        pass_time(system, ticking, 60)
    in_turn = by_id(system)
    print(f"{count} tickets, an hour, none changed: {sum(made) - in_turn} + {in_turn} requests")
    assert sum(made) - in_turn == 2 * 60
    # Of the ids that are due in a minute, 50 of each table are asked for together with its changes.
    assert in_turn == 0 if count == 1000 else in_turn <= 84
    await minute(system)  # The hour is over: what was due in its last minute is read.
    async with system.resources.database.transaction() as session:
        query = text("SELECT count(*) FROM ticket WHERE verified_at < :then")
        unread = (await session.execute(query, {"then": ticking.now() - timedelta(minutes=61)})).scalar_one()
    assert unread == 0, "every open ticket is read by its id within the hour"


@pytest.mark.thorough
@pytest.mark.parametrize("count", SIZES)
async def test_a_minute_in_which_everything_changes(system: System, ticking: SetClock, count: int) -> None:
    await known_tickets(system, count)
    await minute(system)
    before = by_id(system)
    store = system.servicenow.instance.store
    for kind, state in ((TicketKind.INCIDENT, "2"), (TicketKind.CHANGE, "-4")):
        for row in list(store.rows(TABLES[kind])):
            if row["correlation_display"]:
                store.put(TABLES[kind], {**row, "state": state, "sys_updated_on": store.now_text()})
    requests = await minute(system) - (by_id(system) - before)
    print(f"{count} tickets, all changed: {requests} requests")
    assert requests <= 6 * count // 1000
    async with system.resources.database.transaction() as session:
        moved = text("SELECT count(*) FROM ticket WHERE state IN ('2', '-4')")
        assert (await session.execute(moved)).scalar_one() == count
    assert (await cursor(system)).last_change_at is not None


async def test_a_change_is_not_listed_forever(
    system: System, ticking: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages are small here, so that asking for all there is would cost several requests each minute."""
    monkeypatch.setattr(changed_records, "PAGE_SIZE", 20)
    await known_tickets(system, 200)
    store = system.servicenow.instance.store
    for kind in TicketKind:
        for row in list(store.rows(TABLES[kind])):
            if row["correlation_display"]:
                store.put(TABLES[kind], {**row, "sys_updated_on": store.now_text()})
    assert await minute(system) >= 10
    pass_time(system, ticking, 200)
    await minute(system)
    for _ in range(3):
        pass_time(system, ticking, 60)
        assert await minute(system) == 2


async def test_while_nothing_changes_and_no_page_is_viewed_it_polls_every_five_minutes(
    system: System, ticking: SetClock
) -> None:
    await known_tickets(system, 100)
    await poll_states(system.resources)
    system.servicenow.instance.journal.clear()
    for _ in range(60):
        pass_time(system, ticking, 60)
        await poll_states(system.resources)
    assert 20 <= len(calls(system)) <= 26
    assert await minute(system) >= 2, "a page is viewed again"


def fill(system: System, count: int, *, marked: bool, hours_ago: float) -> None:
    """Records of neither kind of ticket that we know, made by our own account; `marked` as those of another installation."""
    for kind in TicketKind:
        for done in range(0, count, MAX_FILLED):
            system.servicenow.control(
                "fill", table=TABLES[kind], count=min(count - done, MAX_FILLED), by=INTEGRATION_USER,
                fields={"correlation_display": MARKERS[kind] if marked else ""}, changed_hours_ago=hours_ago,
            )  # fmt: skip


@pytest.mark.parametrize("others", [300, pytest.param(5_000, marks=pytest.mark.thorough)])
async def test_the_first_look_after_connecting_costs_one_request_for_each_table(
    system: System, ticking: SetClock, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Whatever else is in the tables, as many with our marker as without, of which nothing changed for hours."""
    if others < PAGE_SIZE:
        monkeypatch.setattr(changed_records, "PAGE_SIZE", IDS_PER_CALL + 1)
    await known_tickets(system, 200)
    for marked in (True, False):
        fill(system, others, marked=marked, hours_ago=6)
    assert await minute(system) == 2
    assert await minute(system) == 2


BUSY = [300, pytest.param(5_000, marks=pytest.mark.thorough)]
BUSY += [pytest.param(100_000, marks=pytest.mark.skipif(not FULL, reason="make soak"))]


@pytest.mark.parametrize("others", BUSY)
async def test_what_others_do_with_our_account_adds_no_request(
    system: System, ticking: SetClock, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Records that the same account made and changed within the last minute: a small page would show each of them."""
    if others < PAGE_SIZE:
        monkeypatch.setattr(changed_records, "PAGE_SIZE", IDS_PER_CALL + 1)
    await known_tickets(system, 200)
    assert await minute(system) == 2
    for _ in range(2):
        pass_time(system, ticking, 60)
        fill(system, others, marked=False, hours_ago=0)
        assert await minute(system) == 2
    assert not any("sys_created_by%3D" in call.query or "sys_updated_by" in call.query for call in calls(system))


async def test_records_that_lost_their_marker_are_read_with_the_changes(system: System, ticking: SetClock) -> None:
    """Up to 50 of each table cost nothing more, and a hundred one request more."""
    await known_tickets(system, 200)
    await minute(system)
    for count, requests in ((25, 2), (100, 4)):
        async with system.resources.database.transaction() as session:
            unmarked = (
                "UPDATE ticket SET has_marker = false WHERE id IN (SELECT id FROM ticket ORDER BY name, kind LIMIT :n)"
            )
            await session.execute(text(unmarked), {"n": 2 * count})
        store = system.servicenow.instance.store
        for kind in TicketKind:
            for row in list(store.rows(TABLES[kind])):
                if row["correlation_display"]:
                    store.put(TABLES[kind], {**row, "correlation_display": ""})
        pass_time(system, ticking, 60)
        assert await minute(system) == requests


@pytest.mark.thorough
async def test_it_stops_at_the_hourly_budget_and_goes_on_in_the_next_hour(system: System, ticking: SetClock) -> None:
    system.servicenow.instance.switches.rate_limit_per_hour = 100
    await known_tickets(system, 100)
    for _ in range(70):
        await minute(system)
    assert len(calls(system)) == 80, "four fifths of the limit that the instance named"
    assert not [call for call in calls(system) if call.status == 429]
    async with await system.signed_in("viewer") as browser:
        assert "budget of 80 requests to ServiceNow is used up" in (await browser.get("/")).text
    pass_time(system, ticking, 3600)
    assert await minute(system) > 0
