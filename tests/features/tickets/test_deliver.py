"""Delivery: attempts are noted first, waiting loses nothing, and a person's help is asked for when it is needed."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text, update

from app.features.connection.models import Connection
from app.features.secure_score.action import Action
from app.features.tickets.deliver import NotYet, deliver
from app.features.tickets.jobs import sweep
from app.features.tickets.models import Ticket
from app.features.tickets.share import AlreadyShared
from app.features.tickets.ticket import Kind
from app.foundation import clock
from sandbox.faults import Fault
from tests.factories.house import House
from tests.factories.tickets import an_action, calls, read_ticket, records, run_due_and_waiting, share_one, told


async def run_sweep(house: House) -> None:
    async with house.resources.database.transaction() as session:
        await house.resources.queue.defer(session, sweep)
    await house.work()


async def set_status(house: House, status: str) -> None:
    async with house.resources.database.transaction() as session:
        await session.execute(update(Connection).values(status=status))


async def test_the_first_attempt_is_one_request(house: House) -> None:
    await house.connect()
    await share_one(house)
    await house.work()
    assert [entry.method for entry in calls(house)] == ["POST"]


async def test_the_attempt_is_committed_before_anything_is_sent(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.connect()
    ticket_id = await share_one(house)
    seen: list[tuple[int, bool]] = []

    async def die(*_: object) -> None:
        ticket = await read_ticket(house, ticket_id)
        seen.append((ticket.attempts, ticket.sent_at is not None))
        raise KeyboardInterrupt

    monkeypatch.setattr("app.remote.servicenow.client.ServiceNowClient.create", die)
    with pytest.raises(KeyboardInterrupt):
        await deliver(house.resources, ticket_id)
    assert seen == [(1, True)]
    assert (await read_ticket(house, ticket_id)).in_flight_since is not None


async def test_another_process_leaves_a_ticket_alone_that_is_in_flight(house: House) -> None:
    await house.connect()
    ticket_id = await share_one(house)
    async with house.resources.database.transaction() as session:
        await session.execute(update(Ticket).values(in_flight_since=clock.now(), attempts=1, sent_at=clock.now()))
    with pytest.raises(NotYet):
        await deliver(house.resources, ticket_id)
    assert calls(house) == []


async def test_a_ticket_waits_for_the_connection_and_is_taken_up_after_reconnecting(house: House) -> None:
    await house.connect()
    await set_status(house, "needs_attention")
    ticket_id = await share_one(house)
    await house.work()
    ticket = await read_ticket(house, ticket_id)
    assert (ticket.delivery, ticket.next_try_at, ticket.in_flight_since) == ("queued", None, None)
    await run_sweep(house)
    assert calls(house) == []

    await set_status(house, "connected")
    await run_sweep(house)
    assert (await read_ticket(house, ticket_id)).delivery == "shared"
    assert len(records(house, "change_request")) == 1


async def test_a_dead_token_holds_nothing_back_for_ever(house: House) -> None:
    """The refresh token is dead: the connection needs attention, and the ticket waits with the sentence."""
    await house.connect()
    for row in list(house.snow.instance.store.rows("oauth_credential")):
        house.snow.instance.store.remove("oauth_credential", row["sys_id"])
    ticket_id = await share_one(house)
    await house.work()
    ticket = await read_ticket(house, ticket_id)
    assert (ticket.delivery, ticket.landing_until, ticket.next_try_at) == ("queued", None, None)
    assert ticket.problem is not None
    assert records(house, "change_request") == []


async def test_a_refusal_is_believed_the_second_time_and_then_held_with_the_reason(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.acl_refuses = "incident.create"
    ticket_id = await share_one(house, Kind.INCIDENT)
    await house.work()
    assert (await read_ticket(house, ticket_id)).delivery == "queued"
    await run_due_and_waiting(house)
    ticket = await read_ticket(house, ticket_id)
    assert ticket.delivery == "held"
    assert "ACL Exception Insert Failed" in str(ticket.problem)
    assert [entry.method for entry in calls(house)] == ["POST", "GET", "GET", "POST"]


async def test_retry_after_the_cause_is_gone_shares_the_ticket(house: House) -> None:
    await house.connect("no.roles")
    ticket_id = await share_one(house, Kind.INCIDENT)
    await run_due_and_waiting(house, 2)
    user = house.snow.instance.store.find("sys_user", user_name="no.roles")
    assert user is not None
    user["_roles"] = "itil"
    async with await house.signed_in("sharer", follow_redirects=True) as browser:
        page = await browser.get(f"/tickets/{ticket_id}")
        assert "ACL Exception Insert Failed" in page.text
        assert "Retry" in page.text
        await browser.post(f"/tickets/{ticket_id}/retry")
        await house.work()
        assert (await read_ticket(house, ticket_id)).delivery == "shared"
        twice = await browser.post(f"/tickets/{ticket_id}/retry")
        assert twice.status_code == 409
    assert len(records(house, "incident")) == 1


async def give_up(house: House, ticket_id: UUID) -> str:
    """By the button of its page; gives the page that follows."""
    async with await house.signed_in("sharer", follow_redirects=True) as browser:
        assert f"/tickets/{ticket_id}/give-up" in (await browser.get(f"/tickets/{ticket_id}")).text
        page = await browser.post(f"/tickets/{ticket_id}/give-up")
        assert page.status_code == 200
    return page.text


async def test_a_ticket_given_up_is_kept_and_nothing_more_of_it_is_sent(house: House) -> None:
    await house.connect()
    house.snow.instance.switches.acl_refuses = "incident.create"
    ticket_id = await share_one(house, Kind.INCIDENT)
    await run_due_and_waiting(house, 2)
    before = len(calls(house, "POST"))
    assert "Given up. It stays here, and nothing more is sent." in await give_up(house, ticket_id)
    house.snow.instance.switches.acl_refuses = ""
    await run_sweep(house)
    await run_due_and_waiting(house)
    assert len(calls(house, "POST")) == before
    ticket = await read_ticket(house, ticket_id)
    assert (ticket.delivery, ticket.landing_until) == ("given_up", None)
    assert "it did not arrive" in await told(house, f"/tickets/{ticket_id}")


async def held_though_it_arrived(house: House, action: Action | None = None) -> UUID:
    """Refused although it was done, and not found by a look that was refused."""
    await house.connect()
    house.snow.fault("refused_after_commit", method="POST", path="/table/")
    house.snow.fault("acl_hiccup", method="GET", path="/table/")
    ticket_id = await share_one(house, Kind.INCIDENT, action=action)
    await run_due_and_waiting(house, 2)
    assert (await read_ticket(house, ticket_id)).delivery == "held"
    return ticket_id


async def test_a_ticket_given_up_that_had_arrived_is_found_and_followed(house: House) -> None:
    ticket_id = await held_though_it_arrived(house)
    page = await give_up(house, ticket_id)
    (record,) = records(house, "incident")
    assert "It may have reached ServiceNow before that." in page
    assert record["correlation_id"] in page
    await run_due_and_waiting(house, 2)
    ticket = await read_ticket(house, ticket_id)
    assert (ticket.delivery, ticket.number) == ("shared", record["number"])
    assert len(records(house, "incident")) == 1


@pytest.mark.parametrize("trouble", ["acl_refuses", "api_asleep"])
async def test_while_nobody_knows_whether_it_arrived_the_page_says_so_and_sharing_again_asks(
    house: House, trouble: str
) -> None:
    action = an_action()
    ticket_id = await held_though_it_arrived(house, action)
    switches = house.snow.instance.switches
    setattr(switches, trouble, "incident.read" if trouble == "acl_refuses" else True)
    await give_up(house, ticket_id)
    await run_due_and_waiting(house, 2)
    assert (await read_ticket(house, ticket_id)).delivery == "given_up"
    assert "It may have reached ServiceNow before that." in await told(house, f"/tickets/{ticket_id}")
    with pytest.raises(AlreadyShared):
        await share_one(house, Kind.INCIDENT, action=action)


async def test_a_ticket_for_an_instance_that_is_gone_can_be_given_up_and_no_other_that_is_queued(house: House) -> None:
    await house.connect()
    await set_status(house, "needs_attention")
    waiting = await share_one(house, Kind.INCIDENT)
    await house.work()
    async with await house.signed_in("sharer") as browser:
        assert "give-up" not in (await browser.get(f"/tickets/{waiting}")).text
        assert (await browser.post(f"/tickets/{waiting}/give-up")).status_code == 409
    await set_status(house, "removed")
    assert "which is not connected any more" in await told(house, f"/tickets/{waiting}")
    assert "Given up." in await give_up(house, waiting)
    await set_status(house, "connected")
    await run_sweep(house)
    assert records(house, "incident") == []
    assert (await read_ticket(house, waiting)).delivery == "given_up"


async def test_a_401_in_the_middle_renews_the_token_and_sends_once(house: House) -> None:
    await house.connect()
    for row in list(house.snow.instance.store.rows("oauth_credential")):
        if row["kind"] == "access":
            house.snow.instance.store.remove("oauth_credential", row["sys_id"])
    ticket_id = await share_one(house)
    await house.work()
    assert (await read_ticket(house, ticket_id)).delivery == "shared"
    assert [entry.status for entry in calls(house)] == [401, 201]


async def test_a_slow_down_with_a_named_time_is_obeyed(house: House) -> None:
    await house.connect()
    house.snow.instance.orders.order(Fault("rate_limited", 1, "POST", "/table/"))
    ticket_id = await share_one(house)
    await house.work()
    ticket = await read_ticket(house, ticket_id)
    assert ticket.next_try_at is not None
    assert 6 <= (ticket.next_try_at - clock.now()).total_seconds() <= 7.1
    await run_due_and_waiting(house)
    assert (await read_ticket(house, ticket_id)).delivery == "shared"


@pytest.mark.parametrize("trouble", ["rate_limited", "semaphore_full", "dropped_before", "bad_gateway", "hibernating"])
async def test_a_look_that_fails_says_nothing_of_the_create_before_it(house: House, trouble: str) -> None:
    """The create may still land; a look that was throttled must not free the way for a second one."""
    await house.connect()
    orders = house.snow.instance.orders
    orders.order(Fault("dropped_before", 1, "POST", "/table/"))
    orders.order(Fault(trouble, 1, "GET", "/table/"))
    await share_one(house)
    await run_due_and_waiting(house, 4)
    assert [entry.method for entry in calls(house)] == ["POST", "GET", "GET", "GET"]


async def test_a_ticket_whose_job_was_lost_is_queued_again_once(house: House) -> None:
    await house.connect()
    ticket_id = await share_one(house)
    async with house.resources.database.transaction() as session:
        await session.execute(text("DELETE FROM procrastinate_jobs"))
        await session.execute(update(Ticket).values(next_try_at=clock.now() - timedelta(minutes=2)))
    await sweep.function(house.resources)
    await sweep.function(house.resources)
    async with house.resources.database.transaction() as session:
        jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'tickets.deliver'")
        assert (await session.execute(jobs)).scalar_one() == 1
    await house.work()
    assert (await read_ticket(house, ticket_id)).delivery == "shared"
