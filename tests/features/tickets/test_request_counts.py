"""How many requests following tickets costs: by what changed, not by how many there are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import insert, text

from app.features.tickets import refresh as refreshing
from app.features.tickets.models import Ticket
from app.features.tickets.refresh import refresh_states
from app.features.tickets.ticket import MARKERS, TABLES, Kind
from app.foundation import clock
from app.foundation.clock import SetClock
from tests.factories.house import House
from tests.factories.tickets import LATER, calls, cursor

FULL = os.environ.get("SOAK") == "full"
SIZES = [1000, pytest.param(10_000, marks=pytest.mark.skipif(not FULL, reason="make soak"))]


async def known_tickets(house: House, count: int) -> None:
    """So many open tickets of both kinds, in the stand-in and here, made hours ago."""
    connection = await house.connect()
    made = clock.now() - timedelta(hours=5)
    for kind in Kind:
        fields = {"correlation_display": MARKERS[kind]}
        answer = house.snow.control("fill", table=TABLES[kind], count=count // 2, fields=fields, changed_hours_ago=5)
        states = {"incident": "1", "change": "-5"}
        rows = [
            {
                "id": uuid4(), "connection_id": connection.id, "kind": kind, "form_key": str(uuid4()),
                "source": "User recommendation", "category": "Apps", "name": f"Ticket {number}", "description": "x",
                "priority": 3, "due_date": LATER, "sender_oid": "x", "sender_name": "Megan", "created_at": made,
                "record": {}, "delivery": "shared", "correlation_id": uuid4().hex, "shared_at": made, "sys_id": sys_id,
                "state": states[kind], "state_since": made, "verified_at": made + timedelta(seconds=number),
            }
            for number, sys_id in enumerate(answer["sys_ids"])
        ]  # fmt: skip
        async with house.resources.database.transaction() as session:
            await session.execute(insert(Ticket), rows)


async def minute(house: House) -> int:
    """One refresh with somebody looking; how many requests it made."""
    async with house.resources.database.transaction() as session:
        await session.execute(text("UPDATE pace SET looked_at = :now"), {"now": clock.now()})
    before = len(calls(house))
    await refresh_states(house.resources)
    return len(calls(house)) - before


def rolling(house: House) -> int:
    """Requests of the rolling pass so far."""
    return sum("sys_idIN" in call.query for call in calls(house, "GET"))


def pass_time(house: House, ticking: SetClock, seconds: int) -> None:
    """Here and over there."""
    ticking.move(seconds)
    house.snow.instance.switches.clock_off_seconds += seconds


@pytest.fixture
def ticking() -> Iterator[SetClock]:
    """The true time, until it is moved."""
    still = SetClock(datetime.now(UTC))
    before = clock.use(still)
    yield still
    clock.use(before)


@pytest.mark.parametrize("count", SIZES)
async def test_an_hour_in_which_nothing_changes(house: House, ticking: SetClock, count: int) -> None:
    await known_tickets(house, count)
    await minute(house)  # The first one catches up with what it does not know.
    house.snow.instance.journal.clear()
    made = []
    for _ in range(60):
        made.append(await minute(house))
        pass_time(house, ticking, 60)
    in_turn = rolling(house)
    print(f"{count} tickets, an hour, none changed: {sum(made) - in_turn} + {in_turn} requests")
    assert sum(made) - in_turn <= 2 * 60
    assert in_turn <= 20 * count // 1000
    async with house.resources.database.transaction() as session:
        query = text("SELECT count(*) FROM ticket WHERE verified_at < :then")
        unread = (await session.execute(query, {"then": ticking.now() - timedelta(minutes=61)})).scalar_one()
    assert unread == 0, "every open ticket is read by its id within the hour"


@pytest.mark.parametrize("count", SIZES)
async def test_a_minute_in_which_everything_changes(house: House, ticking: SetClock, count: int) -> None:
    await known_tickets(house, count)
    await minute(house)
    before = rolling(house)
    store = house.snow.instance.store
    for kind, state in ((Kind.INCIDENT, "2"), (Kind.CHANGE, "-4")):
        for row in list(store.rows(TABLES[kind])):
            if row["correlation_display"]:
                store.put(TABLES[kind], {**row, "state": state, "sys_updated_on": store.now_text()})
    requests = await minute(house) - (rolling(house) - before)
    print(f"{count} tickets, all changed: {requests} requests")
    assert requests <= 6 * count // 1000
    async with house.resources.database.transaction() as session:
        moved = text("SELECT count(*) FROM ticket WHERE state IN ('2', '-4')")
        assert (await session.execute(moved)).scalar_one() == count
    assert (await cursor(house)).moved_at is not None


async def test_what_changed_once_is_not_listed_for_ever(
    house: House, ticking: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages are small here, so that asking for all there is would cost several requests each minute."""
    monkeypatch.setattr(refreshing, "PAGE", 20)
    await known_tickets(house, 200)
    store = house.snow.instance.store
    for kind in Kind:
        for row in list(store.rows(TABLES[kind])):
            if row["correlation_display"]:
                store.put(TABLES[kind], {**row, "sys_updated_on": store.now_text()})
    before = rolling(house)
    assert await minute(house) - (rolling(house) - before) >= 10
    pass_time(house, ticking, 200)
    await minute(house)
    for _ in range(3):
        pass_time(house, ticking, 60)
        before = rolling(house)
        assert await minute(house) - (rolling(house) - before) == 2


async def test_when_nothing_moves_and_nobody_looks_it_asks_every_five_minutes(house: House, ticking: SetClock) -> None:
    await known_tickets(house, 100)
    await refresh_states(house.resources)
    house.snow.instance.journal.clear()
    for _ in range(60):
        pass_time(house, ticking, 60)
        await refresh_states(house.resources)
    asked = len(calls(house)) - rolling(house)
    assert 20 <= asked <= 26
    assert await minute(house) >= 2, "somebody looks again"


async def test_it_stops_at_the_hourly_budget_and_goes_on_in_the_next_hour(house: House, ticking: SetClock) -> None:
    house.snow.instance.switches.rate_limit_per_hour = 100
    await known_tickets(house, 100)
    for _ in range(70):
        await minute(house)
    assert len(calls(house)) == 80, "four fifths of the limit that the instance named"
    assert not [call for call in calls(house) if call.status == 429]
    async with await house.signed_in("viewer") as browser:
        assert "budget of 80 requests to ServiceNow is used up" in (await browser.get("/")).text
    pass_time(house, ticking, 3600)
    assert await minute(house) > 0
