"""Following tickets: what the delta cannot see is read in turn, refusals are survived, and cards say how old they are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from app.features.connection.models import Connection
from app.features.tickets.deliver import deliver
from app.features.tickets.freshness import Watch
from app.features.tickets.jobs import sweep
from app.features.tickets.models import Pace, RefreshCursor
from app.features.tickets.read_choices import read_choices
from app.features.tickets.refresh import refresh_states
from app.features.tickets.state_names import list_state_names
from app.features.tickets.ticket import Kind
from app.foundation import clock
from app.foundation.text import T
from tests.factories.house import House
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


async def test_a_change_that_left_no_trace_is_found_within_the_hour(house: House) -> None:
    """Scripts can leave `sys_updated_on` as it was."""
    await house.connect()
    ticket_id, record = await shared_ticket(house)
    await refresh_now(house)
    house.snow.control("records", number=record["number"], fields={"state": "2"}, silent=True)
    await refresh_now(house)
    await refresh_now(house, later=3600)
    assert (await read_ticket(house, ticket_id)).state == "2"


async def test_where_the_range_operator_is_refused_tickets_are_read_in_turn_and_the_card_says_so(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.range_refused = True
    ticket_id, record = await shared_ticket(house)
    await refresh_now(house)
    await refresh_now(house)
    assert (await cursor(house)).changes_refused == 2
    before = len(calls(house))
    await refresh_now(house)
    assert len(calls(house)) == before, "believed, and not asked again for a while"
    house.snow.control("records", number=record["number"], fields={"state": "2"})
    await refresh_now(house, later=600)
    assert (await read_ticket(house, ticket_id)).state == "2"
    async with house.resources.database.transaction() as session:
        old = clock.now() - timedelta(minutes=9)
        await session.execute(update(RefreshCursor).values(succeeded_at=old))
    assert "does not tell us what changed" in await told(house, "/")
    house.snow.instance.switches.range_refused = False
    async with house.resources.database.transaction() as session:
        await session.execute(update(RefreshCursor).values(changes_refused_at=clock.now() - timedelta(hours=2)))
    await refresh_now(house)
    assert (await cursor(house)).changes_refused == 0


async def test_a_refusal_that_passes_changes_nothing_for_long(house: House) -> None:
    await house.connect()
    await shared_ticket(house)
    house.snow.fault("acl_hiccup", method="GET")
    await refresh_now(house)
    await refresh_now(house)
    assert (await cursor(house)).changes_refused == 0


async def test_the_cards_say_why_they_are_stale(house: House) -> None:
    await house.connect()
    await shared_ticket(house)
    await refresh_now(house)
    assert "As of " in await told(house, "/")
    house.snow.instance.switches.api_asleep = True
    await refresh_now(house)
    assert "hibernating" in await told(house, "/")
    async with await house.signed_in("manager") as browser:
        page = (await browser.get("/servicenow")).text
    assert "hibernating" in page
    assert "ServiceNow is connected." not in page
    house.snow.instance.switches.api_asleep = False
    await refresh_now(house)
    assert "hibernating" not in await told(house, "/")
    async with house.resources.database.transaction() as session:
        await session.execute(
            update(RefreshCursor).values(succeeded_at=clock.now() - timedelta(minutes=8), tried_at=clock.now())
        )
    assert "The background worker has not asked ServiceNow since then." in await told(house, "/")
    async with house.resources.database.transaction() as session:
        sentence = T("The sign-in has expired.").to_json()
        await session.execute(update(Connection).values(status="needs_attention", attention=sentence))
    assert "The sign-in has expired." in await told(house, "/cards/incident")


async def test_somebody_who_looks_again_has_it_refreshed_at_once(house: House) -> None:
    await house.connect()
    _, record = await shared_ticket(house)
    await refresh_now(house)
    async with house.resources.database.transaction() as session:
        await session.execute(update(Pace).values(looked_at=clock.now() - timedelta(minutes=30)))
    house.snow.control("records", number=record["number"], fields={"state": "2"})
    await told(house, "/cards/incident")
    await told(house, "/cards/incident")
    async with house.resources.database.transaction() as session:
        query = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'tickets.refresh'")
        assert (await session.execute(query)).scalar_one() == 1
    await house.work()
    assert "In Progress" in await told(house, "/cards/incident")


async def test_the_instances_own_states_are_listed_where_our_role_allows_it(house: House) -> None:
    await house.connect()
    house.snow.control("choices", table="incident", element="state", value="22", label="Awaiting evidence")
    await read_choices(house.resources)
    async with house.resources.database.transaction() as session:
        lines = {line.value: line for line in await list_state_names(session, "incident")}
    assert (lines["22"].label, lines["22"].group, lines["22"].count) == ("Awaiting evidence", "unknown", 0)
    before = len(calls(house))
    await read_choices(house.resources)
    assert len(calls(house)) == before, "once a day is enough"


@pytest.mark.parametrize("user", ["fred.luddy", "no.roles"])
async def test_without_the_role_the_usual_states_are_listed(house: House, user: str) -> None:
    await house.connect(user)
    await read_choices(house.resources)
    async with house.resources.database.transaction() as session:
        lines = [line.value for line in await list_state_names(session, "change")]
    assert lines == ["-5", "-4", "-3", "-2", "-1", "0", "3", "4"]


async def test_a_removed_connections_tickets_stay_and_are_taken_up_when_it_comes_back(house: House) -> None:
    connection = await house.connect()
    ticket_id, record = await shared_ticket(house)
    waiting = await share_one(house, Kind.INCIDENT)
    async with house.resources.database.transaction() as session:
        await session.execute(update(Connection).values(status="removed"))
    await house.work()
    await sweep.function(house.resources)
    await refresh_states(house.resources)
    page = await told(house, f"/tickets/{ticket_id}", "sharer")
    assert "(not connected now)" in page
    assert "Add a work note" not in page
    assert record["number"] not in await told(house, "/")
    assert record["number"] in await told(house, "/tickets")
    assert len(records(house, "incident")) == 1

    async with house.resources.database.transaction() as session:
        await session.execute(update(Connection).where(Connection.id == connection.id).values(status="connected"))
    await sweep.function(house.resources)
    await run_due_and_waiting(house)
    assert (await read_ticket(house, waiting)).delivery == "shared"
    assert record["number"] in await told(house, "/")


async def test_a_ticket_that_is_no_more_queued_is_left_alone(house: House) -> None:
    await house.connect()
    ticket_id, _ = await shared_ticket(house)
    before = len(calls(house))
    await deliver(house.resources, ticket_id)
    assert len(calls(house)) == before


def test_without_a_connection_nothing_is_fresh() -> None:
    fresh = Watch(None, None, {}).fresh("change")
    assert fresh.as_of is None
    assert "not connected" in str(fresh.problem)
