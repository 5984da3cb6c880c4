"""Delivery: attempts are noted first, waiting loses nothing, and a person's help is asked for when it is needed."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text, update

from app.core import clock
from app.core.errors import RetryLater
from app.features.connection.models import Connection
from app.features.secure_score.actions.action import Action
from app.features.tickets.delivery.deliver import deliver
from app.features.tickets.jobs import sweep
from app.features.tickets.models import Ticket
from app.features.tickets.sharing.share import AlreadyShared
from app.features.tickets.types import TicketKind
from sandbox.faults import Fault
from tests.factories.system import System
from tests.factories.tickets import an_action, calls, read_ticket, records, run_due_and_waiting, share_one, told


async def run_sweep(system: System) -> None:
    async with system.resources.database.transaction() as session:
        await system.resources.queue.defer(session, "tickets.sweep")
    await system.work()


async def set_status(system: System, status: str) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(status=status))


async def test_the_first_attempt_is_one_request(system: System) -> None:
    await system.connect()
    await share_one(system)
    await system.work()
    assert [entry.method for entry in calls(system)] == ["POST"]


async def test_the_attempt_is_committed_before_anything_is_sent(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    seen: list[tuple[int, bool]] = []

    async def die(*_: object) -> None:
        ticket = await read_ticket(system, ticket_id)
        seen.append((ticket.attempts, ticket.sent_at is not None))
        raise KeyboardInterrupt

    monkeypatch.setattr("app.integrations.servicenow.client.ServiceNowClient.create", die)
    with pytest.raises(KeyboardInterrupt):
        await deliver(system.resources, ticket_id)
    assert seen == [(1, True)]
    assert (await read_ticket(system, ticket_id)).in_flight_since is not None


async def test_another_process_leaves_a_ticket_alone_that_is_in_flight(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).values(in_flight_since=clock.now(), attempts=1, sent_at=clock.now()))
    with pytest.raises(RetryLater):
        await deliver(system.resources, ticket_id)
    assert calls(system) == []


async def test_a_ticket_waits_for_the_connection_and_is_taken_up_after_reconnecting(system: System) -> None:
    await system.connect()
    await set_status(system, "needs_attention")
    ticket_id = await share_one(system)
    await system.work()
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.next_try_at, ticket.in_flight_since) == ("queued", None, None)
    await run_sweep(system)
    assert calls(system) == []

    await set_status(system, "connected")
    await run_sweep(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert len(records(system, "change_request")) == 1


async def test_a_dead_token_holds_nothing_back_for_ever(system: System) -> None:
    """The refresh token is dead: the connection needs attention, and the ticket waits with the sentence."""
    await system.connect()
    for row in list(system.servicenow.instance.store.rows("oauth_credential")):
        system.servicenow.instance.store.remove("oauth_credential", row["sys_id"])
    ticket_id = await share_one(system)
    await system.work()
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.uncertain_until, ticket.next_try_at) == ("queued", None, None)
    assert ticket.problem is not None
    assert records(system, "change_request") == []


async def test_a_refusal_is_believed_the_second_time_and_then_held_with_the_reason(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    assert (await read_ticket(system, ticket_id)).delivery == "queued"
    await run_due_and_waiting(system)
    ticket = await read_ticket(system, ticket_id)
    assert ticket.delivery == "held"
    assert "ACL Exception Insert Failed" in str(ticket.problem)
    assert [entry.method for entry in calls(system)] == ["POST", "GET", "GET", "POST"]


async def test_retry_after_the_cause_is_gone_shares_the_ticket(system: System) -> None:
    await system.connect("no.roles")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 2)
    user = system.servicenow.instance.store.find("sys_user", user_name="no.roles")
    assert user is not None
    user["_roles"] = "itil"
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        page = await browser.get(f"/tickets/{ticket_id}")
        assert "ACL Exception Insert Failed" in page.text
        assert "Retry" in page.text
        await browser.post(f"/tickets/{ticket_id}/retry")
        await system.work()
        assert (await read_ticket(system, ticket_id)).delivery == "shared"
        twice = await browser.post(f"/tickets/{ticket_id}/retry")
        assert twice.status_code == 409
    assert len(records(system, "incident")) == 1


async def give_up(system: System, ticket_id: UUID) -> str:
    """By the button of its page; gives the page that follows."""
    async with await system.signed_in("sharer", follow_redirects=True) as browser:
        assert f"/tickets/{ticket_id}/give-up" in (await browser.get(f"/tickets/{ticket_id}")).text
        page = await browser.post(f"/tickets/{ticket_id}/give-up")
        assert page.status_code == 200
    return page.text


async def test_a_ticket_given_up_is_kept_and_nothing_more_of_it_is_sent(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await run_due_and_waiting(system, 2)
    before = len(calls(system, "POST"))
    assert "Given up. It stays here, and nothing more is sent." in await give_up(system, ticket_id)
    system.servicenow.instance.switches.acl_refuses = ""
    await run_sweep(system)
    await run_due_and_waiting(system)
    assert len(calls(system, "POST")) == before
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.uncertain_until) == ("given_up", None)
    assert "it did not arrive" in await told(system, f"/tickets/{ticket_id}")


async def held_though_it_arrived(system: System, action: Action | None = None) -> UUID:
    """Refused although it was done, and not found by a look that was refused."""
    await system.connect()
    system.servicenow.fault("refused_after_commit", method="POST", path="/table/")
    system.servicenow.fault("acl_hiccup", method="GET", path="/table/")
    ticket_id = await share_one(system, TicketKind.INCIDENT, action=action)
    await run_due_and_waiting(system, 2)
    assert (await read_ticket(system, ticket_id)).delivery == "held"
    return ticket_id


async def test_a_ticket_given_up_that_had_arrived_is_found_and_followed(system: System) -> None:
    ticket_id = await held_though_it_arrived(system)
    page = await give_up(system, ticket_id)
    (record,) = records(system, "incident")
    assert "It may have reached ServiceNow before that." in page
    assert record["correlation_id"] in page
    await run_due_and_waiting(system, 2)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.number) == ("shared", record["number"])
    assert len(records(system, "incident")) == 1


@pytest.mark.parametrize("trouble", ["acl_refuses", "api_asleep"])
async def test_while_nobody_knows_whether_it_arrived_the_page_says_so_and_sharing_again_asks(
    system: System, trouble: str
) -> None:
    action = an_action()
    ticket_id = await held_though_it_arrived(system, action)
    switches = system.servicenow.instance.switches
    setattr(switches, trouble, "incident.read" if trouble == "acl_refuses" else True)
    await give_up(system, ticket_id)
    await run_due_and_waiting(system, 2)
    assert (await read_ticket(system, ticket_id)).delivery == "given_up"
    assert "It may have reached ServiceNow before that." in await told(system, f"/tickets/{ticket_id}")
    with pytest.raises(AlreadyShared):
        await share_one(system, TicketKind.INCIDENT, action=action)


async def test_a_ticket_for_an_instance_that_is_gone_can_be_given_up_and_no_other_that_is_queued(
    system: System,
) -> None:
    await system.connect()
    await set_status(system, "needs_attention")
    waiting = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    async with await system.signed_in("sharer") as browser:
        assert "give-up" not in (await browser.get(f"/tickets/{waiting}")).text
        assert (await browser.post(f"/tickets/{waiting}/give-up")).status_code == 409
    await set_status(system, "removed")
    assert "which is not connected any more" in await told(system, f"/tickets/{waiting}")
    assert "Given up." in await give_up(system, waiting)
    await set_status(system, "connected")
    await run_sweep(system)
    assert records(system, "incident") == []
    assert (await read_ticket(system, waiting)).delivery == "given_up"


async def test_a_401_in_the_middle_renews_the_token_and_sends_once(system: System) -> None:
    await system.connect()
    for row in list(system.servicenow.instance.store.rows("oauth_credential")):
        if row["kind"] == "access":
            system.servicenow.instance.store.remove("oauth_credential", row["sys_id"])
    ticket_id = await share_one(system)
    await system.work()
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
    assert [entry.status for entry in calls(system)] == [401, 201]


async def test_a_slow_down_with_a_named_time_is_obeyed(system: System) -> None:
    await system.connect()
    system.servicenow.instance.orders.order(Fault("rate_limited", 1, "POST", "/table/"))
    ticket_id = await share_one(system)
    await system.work()
    ticket = await read_ticket(system, ticket_id)
    assert ticket.next_try_at is not None
    assert 6 <= (ticket.next_try_at - clock.now()).total_seconds() <= 7.1
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"


@pytest.mark.parametrize("trouble", ["rate_limited", "semaphore_full", "dropped_before", "bad_gateway", "hibernating"])
async def test_a_look_that_fails_says_nothing_of_the_create_before_it(system: System, trouble: str) -> None:
    """The create may still land; a look that was throttled must not free the way for a second one."""
    await system.connect()
    orders = system.servicenow.instance.orders
    orders.order(Fault("dropped_before", 1, "POST", "/table/"))
    orders.order(Fault(trouble, 1, "GET", "/table/"))
    await share_one(system)
    await run_due_and_waiting(system, 4)
    assert [entry.method for entry in calls(system)] == ["POST", "GET", "GET", "GET"]


async def test_a_ticket_whose_job_was_lost_is_queued_again_once(system: System) -> None:
    await system.connect()
    ticket_id = await share_one(system)
    async with system.resources.database.transaction() as session:
        await session.execute(text("DELETE FROM procrastinate_jobs"))
        await session.execute(update(Ticket).values(next_try_at=clock.now() - timedelta(minutes=2)))
    await sweep.function(system.resources)
    await sweep.function(system.resources)
    async with system.resources.database.transaction() as session:
        jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'tickets.deliver'")
        assert (await session.execute(jobs)).scalar_one() == 1
    await system.work()
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
