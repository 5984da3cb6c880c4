"""Following tickets: what the delta cannot see is read in turn, refusals are survived, and cards say how old they are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from app.core import clock
from app.core.messages import T
from app.features.connection.models import Connection, InstanceThrottle
from app.features.tickets.delivery.deliver import deliver
from app.features.tickets.jobs import sweep
from app.features.tickets.models import PollCursor
from app.features.tickets.polling.poll import poll_states
from app.features.tickets.polling.poll_status import PollStatus
from app.features.tickets.polling.state_choices import read_choices
from app.features.tickets.polling.state_names import list_state_names
from app.features.tickets.types import TicketKind
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
    told,
)


async def test_a_change_that_left_no_trace_is_found_within_the_hour(system: System) -> None:
    """Scripts can leave `sys_updated_on` as it was."""
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    await refresh_now(system)
    system.servicenow.control("records", number=record["number"], fields={"state": "2"}, silent=True)
    await refresh_now(system)
    await refresh_now(system, later=3600)
    assert (await read_ticket(system, ticket_id)).state == "2"


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


async def test_a_refusal_that_passes_changes_nothing_for_long(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    system.servicenow.fault("acl_hiccup", method="GET")
    await refresh_now(system)
    await refresh_now(system)
    assert (await cursor(system)).changes_refused == 0


async def test_the_cards_say_why_they_are_stale(system: System) -> None:
    await system.connect()
    await shared_ticket(system)
    await refresh_now(system)
    assert "As of " in await told(system, "/")
    system.servicenow.instance.switches.api_asleep = True
    await refresh_now(system)
    assert "hibernating" in await told(system, "/")
    async with await system.signed_in("manager") as browser:
        page = (await browser.get("/servicenow")).text
    assert "hibernating" in page
    assert "ServiceNow is connected." not in page
    system.servicenow.instance.switches.api_asleep = False
    await refresh_now(system)
    assert "hibernating" not in await told(system, "/")
    async with system.resources.database.transaction() as session:
        await session.execute(
            update(PollCursor).values(succeeded_at=clock.now() - timedelta(minutes=8), tried_at=clock.now())
        )
    assert "The background worker has not asked ServiceNow since then." in await told(system, "/")
    async with system.resources.database.transaction() as session:
        sentence = T("The sign-in has expired.").to_json()
        await session.execute(update(Connection).values(status="needs_attention", attention=sentence))
    assert "The sign-in has expired." in await told(system, "/cards/incident")


async def test_somebody_who_looks_again_has_it_refreshed_at_once(system: System) -> None:
    await system.connect()
    _, record = await shared_ticket(system)
    await refresh_now(system)
    async with system.resources.database.transaction() as session:
        await session.execute(update(InstanceThrottle).values(last_viewed_at=clock.now() - timedelta(minutes=30)))
    system.servicenow.control("records", number=record["number"], fields={"state": "2"})
    await told(system, "/cards/incident")
    await told(system, "/cards/incident")
    async with system.resources.database.transaction() as session:
        query = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'tickets.poll'")
        assert (await session.execute(query)).scalar_one() == 1
    await system.work()
    assert "In Progress" in await told(system, "/cards/incident")


async def test_the_instances_own_states_are_listed_where_our_role_allows_it(system: System) -> None:
    await system.connect()
    system.servicenow.control("choices", table="incident", element="state", value="22", label="Awaiting evidence")
    await read_choices(system.resources)
    async with system.resources.database.transaction() as session:
        lines = {line.value: line for line in await list_state_names(session, "incident")}
    assert (lines["22"].label, lines["22"].group, lines["22"].count) == ("Awaiting evidence", "unknown", 0)
    before = len(calls(system))
    await read_choices(system.resources)
    assert len(calls(system)) == before, "once a day is enough"


@pytest.mark.parametrize("user", ["fred.luddy", "no.roles"])
async def test_without_the_role_the_usual_states_are_listed(system: System, user: str) -> None:
    await system.connect(user)
    await read_choices(system.resources)
    async with system.resources.database.transaction() as session:
        lines = [line.value for line in await list_state_names(session, "change")]
    assert lines == ["-5", "-4", "-3", "-2", "-1", "0", "3", "4"]


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


async def test_a_ticket_that_is_no_more_queued_is_left_alone(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    before = len(calls(system))
    await deliver(system.resources, ticket_id)
    assert len(calls(system)) == before


def test_without_a_connection_nothing_is_fresh() -> None:
    fresh = PollStatus(None, None, {}).fresh("change")
    assert fresh.as_of is None
    assert "not connected" in str(fresh.problem)
