"""Many tickets at once: few commits, at most four calls, and each accident in the middle leaves one record per ticket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.core import clock
from app.features.connection.gateway import Lane, call
from app.features.connection.slots import SLOTS, Pool
from app.features.tickets.delivery import claim_tickets, lanes, outbound, outcome_writer, prepared
from app.features.tickets.delivery.deliver import tickets_without_job
from app.features.tickets.delivery.drain import drain_outbox
from app.features.tickets.delivery.lanes import MOST_AHEAD
from app.features.tickets.types import TicketKind
from tests.factories.calling import another_process, at_once, leases, throttle
from tests.factories.delivering import run_sweep, set_status
from tests.factories.lanes import Commits, Watched, all_tickets, share_in_bulk
from tests.factories.statements import counted
from tests.factories.system import System
from tests.factories.tickets import calls, read_ticket, records, run_due_and_waiting, share_one

LANES = SLOTS[Pool.SHARED]


async def arrived_once(system: System, count: int) -> None:
    """Each ticket is shared, and has a record of its own."""
    tickets = await all_tickets(system)
    assert [ticket.delivery for ticket in tickets] == ["shared"] * count
    made = records(system, "incident")
    assert len(made) == count
    assert {ticket.sys_id for ticket in tickets} == {record["sys_id"] for record in made}


async def test_a_hundred_tickets_cost_few_commits_and_one_request_each(system: System) -> None:
    await system.connect()
    await share_in_bulk(system, 100)
    with Commits(system.resources.database) as commits, counted(system.resources.database) as statements:
        await drain_outbox(system.resources)
    await arrived_once(system, 100)
    assert len(calls(system)) == 100
    # Each commit notes or stores several; how many answers gather for one depends on the machine.
    assert commits.count <= 80
    assert len(statements) <= 600
    assert await leases(system) == []
    assert (await throttle(system)).requests == 100


async def test_what_is_noted_as_sent_and_has_not_left_is_little(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    await share_in_bulk(system, 60)
    watched, most = Watched(system, monkeypatch), list[int]()

    async def count() -> None:
        most.append(sum(ticket.in_flight_since is not None for ticket in await all_tickets(system)))

    watched.at = dict.fromkeys(range(5, 60, 9), count)
    await drain_outbox(system.resources)
    # In the lanes, ready for them, and answered but not stored yet.
    assert max(most) <= LANES + (LANES + MOST_AHEAD) + outcome_writer.MOST_AT_ONCE
    await arrived_once(system, 60)


async def test_two_processes_use_four_lanes_together(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.connect()
    await share_in_bulk(system, 80)
    watched = Watched(system, monkeypatch, seconds=0.005)
    async with another_process(system) as other:
        await asyncio.gather(drain_outbox(system.resources), drain_outbox(other))
    assert watched.most == LANES
    await arrived_once(system, 80)
    assert await leases(system) == []


async def test_a_call_of_another_process_gets_a_slot_during_a_bulk_share(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polling, a look or a note: the lanes give up one slot to it, and take it again afterwards."""
    await system.connect()
    await share_in_bulk(system, 120)
    watched = Watched(system, monkeypatch, seconds=0.01)
    begun = asyncio.Event()

    async def begin() -> None:
        begun.set()

    watched.at[5] = begin
    async with another_process(system) as other:
        draining = asyncio.create_task(drain_outbox(system.resources))
        await begun.wait()
        assert await call(other, at_once, lane=Lane.BACKGROUND) == "answered"
        assert not draining.done()
        assert await call(system.resources, at_once, lane=Lane.DELIVERY) == "answered"
        await draining
    assert watched.most <= LANES
    await arrived_once(system, 120)


async def test_a_single_share_goes_ahead_of_a_bulk_share(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.connect()
    await share_in_bulk(system, 100)
    watched, single = Watched(system, monkeypatch), list[Any]()

    async def share() -> None:
        single.append(await share_one(system, TicketKind.CHANGE))
        await drain_outbox(system.resources)  # The job of that share: it tells the lanes to look again.

    watched.at[20] = share
    await drain_outbox(system.resources)
    tables = [entry.path.rsplit("/", 1)[1] for entry in calls(system, "POST")]
    assert tables.index("change_request") <= 20 + LANES + (LANES + MOST_AHEAD)
    assert (await read_ticket(system, single[0])).delivery == "shared"


async def test_a_refusal_holds_no_other_ticket_up(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    await system.connect()
    await share_in_bulk(system, 40)
    watched = Watched(system, monkeypatch)

    async def refuse() -> None:
        system.servicenow.fault("acl_hiccup", method="POST", path="/table/")

    watched.at[15] = refuse
    await drain_outbox(system.resources)
    waiting = [ticket for ticket in await all_tickets(system) if ticket.delivery == "queued"]
    assert [(ticket.refusals, ticket.has_own_job, ticket.in_flight_since) for ticket in waiting] == [(1, True, None)]
    await run_due_and_waiting(system)
    await arrived_once(system, 40)


async def test_a_401_in_the_middle_renews_the_token_and_repeats_what_was_not_done(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    await share_in_bulk(system, 40)
    watched = Watched(system, monkeypatch)

    async def sign_out() -> None:
        for row in list(system.servicenow.instance.store.rows("oauth_credential")):
            if row["kind"] == "access":
                system.servicenow.instance.store.remove("oauth_credential", row["sys_id"])

    watched.at[15] = sign_out
    await drain_outbox(system.resources)
    await arrived_once(system, 40)
    # Those in the lanes at that moment were refused; the others went with the new token.
    assert 41 <= len(calls(system, "POST")) <= 40 + 2 * LANES
    assert {ticket.attempts for ticket in await all_tickets(system)} == {1}


async def test_a_429_stops_all_lanes_and_what_has_not_left_is_as_before(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    await share_in_bulk(system, 40)
    watched = Watched(system, monkeypatch)

    async def throttled() -> None:
        system.servicenow.fault("rate_limited", method="POST", path="/table/", retry_after="60")

    watched.at[15] = throttled
    await drain_outbox(system.resources)
    assert len(calls(system, "POST")) <= 15 + 2 * LANES
    unsent = [ticket for ticket in await all_tickets(system) if ticket.delivery == "queued" and not ticket.attempts]
    assert len(unsent) >= 40 - 15 - 2 * LANES
    assert {(row.sent_at, row.uncertain_until, row.in_flight_since, row.attempted_at) for row in unsent} == {
        (None, None, None, None)
    }
    assert all("slow down" in str(row.problem) and row.next_try_at is not None for row in unsent)
    before = len(calls(system))
    await drain_outbox(system.resources)
    assert len(calls(system)) == before
    await run_due_and_waiting(system, 2)
    await arrived_once(system, 40)
    assert len(calls(system, "POST")) == 41


async def test_tickets_wait_when_the_connection_ends_in_the_middle(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    await share_in_bulk(system, 40)
    watched = Watched(system, monkeypatch)

    async def end() -> None:
        await set_status(system, "needs_attention")

    watched.at[10] = end
    await drain_outbox(system.resources)
    waiting = [ticket for ticket in await all_tickets(system) if ticket.delivery == "queued"]
    assert len(waiting) >= 40 - 10 - LANES - LANES - MOST_AHEAD
    assert {(ticket.next_try_at, ticket.sent_at, ticket.in_flight_since) for ticket in waiting} == {(None, None, None)}
    await set_status(system, "connected")
    await run_sweep(system)
    await arrived_once(system, 40)


async def test_what_was_noted_too_long_ago_is_not_sent_but_claimed_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a process was frozen: the clock that counts is one that goes on meanwhile."""
    await system.connect()
    await share_in_bulk(system, 40)
    watched, frozen = Watched(system, monkeypatch), [0.0]
    real = clock.seconds_awake_and_asleep
    monkeypatch.setattr(clock, "seconds_awake_and_asleep", lambda: real() + frozen[0])

    async def freeze() -> None:
        frozen[0] += prepared.READY_FOR_SECONDS + 1

    watched.at = {15: freeze, 30: freeze}
    await drain_outbox(system.resources)
    await arrived_once(system, 40)
    assert len(calls(system)) == 40
    assert {ticket.attempts for ticket in await all_tickets(system)} == {1}


async def test_what_another_process_has_taken_over_is_neither_sent_nor_given_back(system: System) -> None:
    connection = await system.connect()
    await share_in_bulk(system, 3)
    async with system.resources.database.transaction() as session:
        rows = await prepared.next_rows(session, connection.id, 3)
        attempts = prepared.prepare(system.resources, rows, {})
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET attempts = 2"))
    before = [(row.attempts, row.sent_at, row.in_flight_since) for row in await all_tickets(system)]
    await prepared.give_back(system.resources, connection.id, attempts)
    assert [(row.attempts, row.sent_at, row.in_flight_since) for row in await all_tickets(system)] == before


async def test_answers_that_cannot_be_stored_are_looked_for_and_not_sent_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    await share_in_bulk(system, 30)
    real, times = prepared.store, [0]

    async def lost(*given: Any) -> None:
        times[0] += 1
        if times[0] == 3:
            raise OperationalError("COMMIT", None, ConnectionError("the server closed the connection"))
        await real(*given)

    with monkeypatch.context() as patched:
        patched.setattr("app.features.tickets.delivery.outcome_writer.store", lost)
        with pytest.raises(OperationalError):
            await drain_outbox(system.resources)
    in_doubt = [row for row in await all_tickets(system) if row.in_flight_since is not None]
    assert in_doubt
    made = len(calls(system, "POST"))
    async with system.resources.database.transaction() as session:
        old = text("UPDATE ticket SET in_flight_since = in_flight_since - make_interval(secs => :seconds)")
        await session.execute(old, {"seconds": outbound.ATTEMPT_SECONDS + 1})
    await run_due_and_waiting(system, 3)
    await arrived_once(system, 30)
    assert len(calls(system, "POST")) == made + (30 - made)


async def test_a_worker_that_is_stopped_gives_back_what_has_not_left(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    await share_in_bulk(system, 40)
    watched = Watched(system, monkeypatch)

    async def stop() -> None:
        system.resources.queue.is_stopping = True

    watched.at[10] = stop
    await drain_outbox(system.resources)
    assert len(calls(system, "POST")) <= 10 + LANES
    left = [row for row in await all_tickets(system) if row.delivery == "queued"]
    assert {(row.attempts, row.sent_at, row.in_flight_since) for row in left} == {(0, None, None)}
    assert await leases(system) == []
    system.resources.queue.is_stopping = False
    await system.work()  # Another worker: the job waits for it.
    await arrived_once(system, 40)


async def test_more_that_comes_while_the_lanes_end_is_not_left_lying(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that finds the lanes of its process at work tells them, and ends. They look once more, or it begins again."""
    await system.connect()
    real = lanes.Lanes._end

    async def late(self: lanes.Lanes) -> None:
        if not system.servicenow.instance.store.find("incident", short_description="Late"):
            await share_one(system, TicketKind.INCIDENT, name="Late")
            await drain_outbox(system.resources)
        await real(self)

    await share_in_bulk(system, 3)
    with monkeypatch.context() as patched:
        patched.setattr(lanes.Lanes, "_end", late)
        await drain_outbox(system.resources)
    assert {ticket.delivery for ticket in await all_tickets(system)} == {"shared"}


async def test_a_ticket_shared_while_a_claim_reads_the_rows_is_not_left_lying(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim finds no more, and its job is told of the new ticket before the claim is committed."""
    await system.connect()
    real, late = claim_tickets.claim, list[Any]()

    async def claims(*given: Any) -> Any:
        made = await real(*given)
        if made.is_last and not late:
            late.append(await share_one(system, TicketKind.INCIDENT))
            await drain_outbox(system.resources)
        return made

    monkeypatch.setattr("app.features.tickets.delivery.lanes.claim", claims)
    await share_in_bulk(system, 3)
    await drain_outbox(system.resources)
    await arrived_once(system, 4)


async def test_a_mistake_of_ours_in_a_claim_does_not_go_round_for_ever(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise LookupError

    await system.connect()
    await share_in_bulk(system, 10)
    with monkeypatch.context() as patched:
        patched.setattr("app.features.tickets.delivery.lanes.claim", broken)
        with pytest.raises(LookupError):
            await drain_outbox(system.resources)
    assert all(ticket.has_own_job for ticket in await all_tickets(system))
    await system.work()
    await arrived_once(system, 10)


async def test_a_ticket_that_lost_its_own_job_is_found_among_many_that_wait_for_the_lanes(system: System) -> None:
    await system.connect()
    *_, lost, waiting = await share_in_bulk(system, 6)
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET next_try_at = now() - interval '2 minutes'"))
        own = text("UPDATE ticket SET has_own_job = true, created_at = now() + interval '1 hour' WHERE id = :id")
        await session.execute(own, {"id": lost})
        for_connection = text("UPDATE ticket SET next_try_at = NULL, created_at = now() WHERE id = :id")
        await session.execute(for_connection, {"id": waiting})
    async with system.resources.database.transaction() as session:
        found = await tickets_without_job(session, set(), limit=2)
    assert {ticket.id for ticket in found} == {lost, waiting}
