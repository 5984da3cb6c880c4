"""Polling: refusals are survived, problems are stored, and nothing is polled without a connection."""

from __future__ import annotations

import gc
import sys
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.core import clock
from app.core.messages import T
from app.features.connection.models import Connection
from app.features.tickets.jobs import sweep
from app.features.tickets.models import PollCursor
from app.features.tickets.polling.poll import poll_states
from app.features.tickets.types import TicketKind
from app.integrations.http.errors import ServerError
from tests.factories.system import System
from tests.factories.tickets import (
    calls,
    cursor,
    read_ticket,
    records,
    refresh_now,
    run_due_and_waiting,
    several,
    share_one,
    shared_ticket,
    told,
)


def held_bytes() -> int:
    """The size of every list, dictionary and object of this process, without what the coverage tracer keeps in C."""
    gc.collect()
    return sum(sys.getsizeof(one) for one in gc.get_objects())


@pytest.mark.thorough
@pytest.mark.fact("other-connectors bug-80")
async def test_polling_for_long_needs_no_more_memory(system: System) -> None:
    await system.connect()
    await several(system, 5)
    for _ in range(15):
        await refresh_now(system)
    before = held_bytes()
    for _ in range(30):
        await refresh_now(system)
    # An answer kept from each call would make it grow tenfold.
    assert held_bytes() - before < 30 * 2_000


@pytest.mark.fact("servicenow 2.3", "servicenow trap-33")
async def test_where_the_range_operator_is_refused_tickets_are_read_in_turn_and_the_card_says_so(
    system: System,
) -> None:
    await system.connect()
    system.servicenow.instance.switches.range_refused = True
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    await refresh_now(system)
    assert (await cursor(system)).changes_refused == 2
    before = len(calls(system))
    await refresh_now(system)
    assert len(calls(system)) == before, "believed, and not asked again for a while"
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(system, later=600)
    assert (await read_ticket(system, ticket_id)).state == "2"
    async with system.resources.database.transaction() as session:
        old = clock.now() - timedelta(minutes=9)
        await session.execute(update(PollCursor).values(succeeded_at=old))
    assert "does not tell us what changed" in await told(system, "/")
    system.servicenow.instance.switches.range_refused = False
    async with system.resources.database.transaction() as session:
        await session.execute(update(PollCursor).values(changes_refused_at=clock.now() - timedelta(hours=2)))
    await refresh_now(system)
    assert (await cursor(system)).changes_refused == 0


@pytest.mark.fact("servicenow 5")
async def test_where_the_list_of_changes_fails_each_time_tickets_are_read_by_their_ids(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)

    async def canceled(*_: object) -> None:
        raise ServerError(T("Transaction canceled: maximum execution time exceeded"))

    monkeypatch.setattr("app.features.tickets.polling.poll.poll_changes", canceled)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    for _ in range(3):
        await refresh_now(system)
    assert (await read_ticket(system, ticket_id)).state == "2"
    assert (await cursor(system)).changes_refused == 2
    assert (await cursor(system)).problem is not None
    await refresh_now(system)
    assert (await cursor(system)).problem is None


@pytest.mark.fact("servicenow sandbox-49")
async def test_a_refusal_that_passes_changes_nothing_for_long(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    system.servicenow.fault("acl_hiccup", method="GET")
    await refresh_now(system)
    await refresh_now(system)
    assert (await cursor(system)).changes_refused == 0


async def test_a_removed_connections_tickets_stay_and_are_taken_up_when_it_comes_back(system: System) -> None:
    connection = await system.connect()
    ticket_id, record = await shared_ticket(system)
    waiting = await share_one(system, TicketKind.INCIDENT)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(status="removed"))
    await system.work()
    await sweep.function(system.resources)
    await poll_states(system.resources)
    page = await told(system, f"/tickets/{ticket_id}", "sharer")
    assert "(not connected now)" in page
    assert "Add a work note" not in page
    assert record["number"] not in await told(system, "/")
    assert record["number"] in await told(system, "/tickets")
    assert len(records(system, "incident")) == 1

    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).where(Connection.id == connection.id).values(status="connected"))
    await sweep.function(system.resources)
    await run_due_and_waiting(system)
    assert (await read_ticket(system, waiting)).delivery == "shared"
    assert record["number"] in await told(system, "/")
