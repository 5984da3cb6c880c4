"""Which tries count as attempts: those that failed before anything left us do, those that had to wait do not."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from app.core import clock
from app.core.errors import RetryLater
from app.features.connection import slots
from app.features.connection.models import CallLease
from app.features.connection.slots import SLOTS, Pool
from app.features.connection.throttle import throttle_of
from app.features.tickets.delivery.deliver import deliver
from app.features.tickets.notes.deliver_note import deliver_note
from app.features.tickets.types import TicketKind
from tests.factories.delivering import let_time_pass, note_row, set_status, shared_change, write_note
from tests.factories.lanes import Watched
from tests.factories.system import System
from tests.factories.tickets import calls, read_ticket, records, run_due_and_waiting, share_one, told

TRIES = 4


async def let_the_token_end(system: System, *, lost_renewals: int) -> None:
    """The next call has to renew it, and the token service does not answer that often."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE connection SET access_expires_at = now()"))
    system.servicenow.fault("dropped_before", path="/oauth_token", times=lost_renewals)


async def end_the_pause(system: System) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE instance_throttle SET paused_until = NULL"))


async def occupy_all_slots(system: System, connection_id: UUID) -> None:
    async with system.resources.database.transaction() as session:
        await throttle_of(session, connection_id)
        session.add_all(
            CallLease(
                id=uuid4(),
                connection_id=connection_id,
                pool=Pool.SHARED,
                expires_at=clock.now() + timedelta(minutes=1),
            )
            for _ in range(SLOTS[Pool.SHARED])
        )


async def test_a_ticket_without_a_token_counts_its_attempts_and_waits_longer_each_time(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    await let_the_token_end(system, lost_renewals=TRIES)
    waits = []
    for attempt in range(1, TRIES + 1):
        await end_the_pause(system)
        with pytest.raises(RetryLater) as later:
            await deliver(system.resources, ticket_id)
        waits.append(later.value.seconds)
        ticket = await read_ticket(system, ticket_id)
        assert (ticket.delivery, ticket.attempts, ticket.sent_at, ticket.in_flight_since) == (
            "queued",
            attempt,
            None,
            None,
        )
        assert ticket.attempted_at is not None
        assert ticket.next_try_at is not None
    assert calls(system) == []
    # Each wait is twice the one before, with a jitter of a quarter.
    assert waits == sorted(waits)
    assert waits[-1] > 4 * waits[0]
    page = await told(system, f"/tickets/{ticket_id}")
    assert f"{TRIES} attempts so far, the last" in page
    assert "Next attempt" in page
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(records(system, "change_request")) == 1


async def test_a_note_without_a_token_counts_its_attempts_and_waits_longer_each_time(system: System) -> None:
    await write_note(system, await shared_change(system), "Once, please.")
    note_id = (await note_row(system)).id
    await let_the_token_end(system, lost_renewals=TRIES)
    waits = []
    for _ in range(TRIES):
        await end_the_pause(system)
        with pytest.raises(RetryLater) as later:
            await deliver_note(system.resources, note_id)
        waits.append(later.value.seconds)
    note = await note_row(system)
    assert (note.delivery, note.attempts, note.sent_at, note.in_flight_since) == ("queued", TRIES, None, None)
    assert note.attempted_at is not None
    assert waits == sorted(waits)
    assert waits[-1] > 4 * waits[0]


async def test_a_ticket_without_a_connection_shows_that_it_was_attempted(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    await set_status(system, "needs_attention")
    await deliver(system.resources, ticket_id)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.attempts, ticket.next_try_at) == ("queued", 1, None)
    assert ticket.attempted_at is not None
    page = await told(system, f"/tickets/{ticket_id}")
    assert "1 attempt so far, the last" in page
    assert "It goes on when the connection is there again." in page


async def test_an_attempt_that_made_a_lookup_and_lost_its_token_before_the_send_counts_once(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    system.servicenow.fault("dropped_before", method="POST", path="/table/")
    with pytest.raises(RetryLater):
        await deliver(system.resources, ticket_id)
    await let_time_pass(system)
    # The lookup is refused as signed out, and the token cannot be renewed.
    system.servicenow.fault("signed_out", method="GET", path="/table/")
    system.servicenow.fault("dropped_before", path="/oauth_token")
    with pytest.raises(RetryLater):
        await deliver(system.resources, ticket_id)
    assert (await read_ticket(system, ticket_id)).attempts == 2


@pytest.mark.parametrize("full", [True, False], ids=["no slot", "pause"])
async def test_waiting_for_a_slot_or_for_the_end_of_a_pause_is_no_attempt(
    system: System, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    connection = await system.connect()
    ticket_id = await share_one(system)
    if full:
        monkeypatch.setitem(slots.LONGEST_WAIT_SECONDS, Pool.SHARED, 0.1)
        await occupy_all_slots(system, connection.id)
    else:
        system.servicenow.fault("rate_limited", method="POST", path="/table/")
        with pytest.raises(RetryLater):
            await deliver(system.resources, await share_one(system))
    with pytest.raises(RetryLater):
        await deliver(system.resources, ticket_id)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.attempts, ticket.attempted_at, ticket.sent_at) == (0, None, None)


@pytest.mark.parametrize("fault", ["dropped_after_commit", "acl_hiccup", "semaphore_full"])
async def test_an_attempt_that_fails_after_another_one_began_keeps_the_tickets_job(
    system: System, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """The other attempt may have been the same job's, given to a worker that died: then nothing else brings the ticket."""
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    watched = Watched(system, monkeypatch)

    async def begin_another() -> None:
        async with system.resources.database.transaction() as session:
            await session.execute(text("UPDATE ticket SET attempts = attempts + 1"))

    watched.at[1] = begin_another
    system.servicenow.fault(fault, method="POST", path="/table/")
    with pytest.raises(RetryLater):
        await deliver(system.resources, ticket_id)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.attempts, ticket.sent_at is None) == ("queued", 2, False)


async def test_an_attempt_that_fails_after_the_ticket_was_decided_ends_its_job(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    watched = Watched(system, monkeypatch)

    async def decide() -> None:
        async with system.resources.database.transaction() as session:
            await session.execute(text("UPDATE ticket SET delivery = 'given_up'"))

    watched.at[1] = decide
    system.servicenow.fault("dropped_after_commit", method="POST", path="/table/")
    await deliver(system.resources, ticket_id)
    assert (await read_ticket(system, ticket_id)).delivery == "given_up"
