"""What one poll asks of a table: how many ids are due, from which moment on, and whether changes are requested at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.features.tickets.models import PollCursor
from app.features.tickets.polling.poll_plan import BELIEVED_FOR, OVERLAP, PollPlan, calls_due, plan_poll
from app.integrations.servicenow.protocol import IDS_PER_CALL
from tests.factories.system import System
from tests.factories.tickets import read_ticket, refresh_now, shared_ticket

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("tickets", "since_last", "calls"),
    [
        (0, HOUR, 0),
        (1, timedelta(minutes=59), 0),
        (1, HOUR, 1),
        (1, timedelta(days=3), 1),
        (1, HOUR - timedelta(seconds=5), 1),
        (IDS_PER_CALL, HOUR, 1),
        (IDS_PER_CALL + 1, HOUR, 2),
        (IDS_PER_CALL + 1, timedelta(minutes=30), 1),
        (IDS_PER_CALL * 60, timedelta(minutes=1), 1),
        (IDS_PER_CALL * 120, timedelta(minutes=1), 2),
        (IDS_PER_CALL * 120, timedelta(days=3), 120),
        (IDS_PER_CALL * 120, timedelta(hours=-3), 0),
    ],
)
def test_the_calls_of_a_scan_are_spread_over_its_interval(tickets: int, since_last: timedelta, calls: int) -> None:
    assert calls_due(NOW, tickets, HOUR, NOW - since_last)[0] == calls


def test_the_first_scan_begins_at_once() -> None:
    assert calls_due(NOW, 1, HOUR, None) == (1, NOW)
    assert calls_due(NOW, IDS_PER_CALL * 60, HOUR, None) == (1, NOW)


def test_a_scan_has_come_as_far_as_its_calls_and_no_further() -> None:
    """The rest of a pause is not lost, so that a whole pass takes its interval however often polls run."""
    last = NOW - timedelta(minutes=50)
    assert calls_due(NOW, IDS_PER_CALL * 3, HOUR, last) == (2, last + timedelta(minutes=40))
    assert calls_due(NOW, IDS_PER_CALL, HOUR, last) == (0, last)
    assert calls_due(NOW, IDS_PER_CALL, HOUR, NOW - timedelta(days=3)) == (1, NOW)


async def plans(system: System) -> list[PollPlan]:
    return [plan async for plan in plan_poll(system.resources)]


async def test_only_tables_with_shared_tickets_of_an_active_connection_are_polled(system: System) -> None:
    assert await plans(system) == []
    await system.connect()
    assert await plans(system) == []
    ticket_id, record = await shared_ticket(system)
    (plan,) = await plans(system)
    ticket = await read_ticket(system, ticket_id)
    assert ticket.shared_at is not None
    assert (plan.kind, plan.scan, plan.ask_for_changes) == ("incident", [record["sys_id"]], True)
    assert plan.since == ticket.shared_at - OVERLAP
    assert plan.remote_since == plan.since + plan.clock_ahead


@pytest.mark.fact("other-connectors bug-48")
async def test_changes_are_requested_from_before_the_watermark(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    await refresh_now(system)
    (plan,) = await plans(system)
    async with system.resources.database.transaction() as session:
        cursor = await session.get_one(PollCursor, (plan.connection_id, plan.kind))
    assert cursor.watermark is not None
    assert plan.since == cursor.watermark - OVERLAP
    assert plan.scan == [], "it was read with the poll before"


@pytest.mark.fact("servicenow 2.3")
@pytest.mark.parametrize(
    ("refusals", "since", "asked"),
    [(0, None, True), (1, timedelta(0), True), (2, timedelta(minutes=59), False), (2, BELIEVED_FOR, True)],
)
async def test_two_refusals_are_believed_for_an_hour(
    system: System, refusals: int, since: timedelta | None, asked: bool
) -> None:
    await system.connect()
    await shared_ticket(system)
    (plan,) = await plans(system)
    async with system.resources.database.transaction() as session:
        cursor = await session.get_one(PollCursor, (plan.connection_id, plan.kind))
        cursor.changes_refused = refusals
        cursor.changes_refused_at = None if since is None else plan.asked_at - since
    assert [plan.ask_for_changes for plan in await plans(system)] == [asked]
