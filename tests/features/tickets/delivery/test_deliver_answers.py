"""What a delivery makes of each answer: waits that are named, web pages, refusals, and the codes of success."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.core import clock
from app.features.tickets.delivery.deliver import deliver
from app.features.tickets.types import TicketKind
from tests.factories.connecting import expire
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
)

pytestmark = pytest.mark.thorough


async def expire_landing(system: System) -> None:
    """Time passes, until nothing that was sent can still arrive."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE ticket SET uncertain_until = now() - interval '1 second'"))


@pytest.mark.fact("other-connectors bug-58")
@pytest.mark.parametrize(
    ("asked", "retry_after", "least", "most"),
    [
        ("ServiceNow", "600", 600, 661),
        ("ServiceNow", "7200", 7200, 7921),
        ("its token service", "600", 600, 661),
        ("its token service", "7200", 7200, 7921),
        ("its token service", "0", 0, 3),
    ],
)
async def test_a_delivery_waits_as_long_as_servicenow_or_its_token_service_says(
    system: System, asked: str, retry_after: str, least: float, most: float
) -> None:
    await system.connect()
    path, job = ("/table/", "drain_outbox") if asked == "ServiceNow" else ("/oauth_token", "deliver")
    if path == "/oauth_token":
        await expire(system)
    system.servicenow.fault("rate_limited", path=path, retry_after=retry_after)
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    ticket = await read_ticket(system, ticket_id)
    assert ticket.next_try_at is not None
    async with system.resources.database.transaction() as session:
        paused_until, job_at = (
            await session.execute(
                text(
                    "SELECT paused_until, scheduled_at FROM instance_throttle, procrastinate_jobs WHERE task_name = :task"
                ),
                {"task": f"tickets.{job}"},
            )
        ).one()
    for moment in (ticket.next_try_at, paused_until, job_at):
        assert least - 2 <= (moment - clock.now()).total_seconds() <= most
    assert records(system, "incident") == []


@pytest.mark.fact("other-connectors bug-58")
async def test_a_delivery_that_is_told_to_wait_0_seconds_again_and_again_waits_longer_each_time(system: System) -> None:
    await system.connect()
    system.servicenow.fault("rate_limited", times=4, path="/table/", retry_after="0")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    waits = []
    for _ in range(3):
        await run_due_and_waiting(system)
        ticket = await read_ticket(system, ticket_id)
        assert ticket.next_try_at is not None
        waits.append((ticket.next_try_at - clock.now()).total_seconds())
    # The first wait is a second, which the lanes wait themselves.
    assert len(calls(system)) == 4
    assert 5 < waits[0] < waits[2]
    assert waits[2] > 25


@pytest.mark.fact("other-connectors bug-60", "other-connectors bug-61", "servicenow sandbox-46")
@pytest.mark.parametrize(
    "trouble", ["hibernating", "sso_page", "sso_redirect", "hibernating_503", "bad_gateway", "unavailable"]
)
async def test_a_web_page_is_no_ticket_and_no_state(system: System, trouble: str) -> None:
    await system.connect()
    ticket_id, record = await shared_ticket(system)
    system.servicenow.fault(trouble, times=3)
    waiting = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    await refresh_now(system)
    assert (await read_ticket(system, waiting)).delivery == "queued"
    assert (await read_ticket(system, ticket_id)).state == record["state"]
    problem = str((await cursor(system)).problem)
    assert "hibernating" in problem or "error page" in problem
    system.servicenow.control("faults", clear=True)
    await expire_landing(system)
    await run_due_and_waiting(system, 2)
    assert (await read_ticket(system, waiting)).delivery == "shared"
    assert len(records(system, "incident")) == 2


@pytest.mark.fact("other-connectors bug-60")
async def test_a_create_that_is_answered_200_in_place_of_201_has_arrived(system: System) -> None:
    await system.connect()
    system.servicenow.fault("not_created", method="POST")
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    await system.work()
    assert (await read_ticket(system, ticket_id)).delivery == "shared"


async def test_a_role_that_is_missing_for_one_table_holds_up_no_other(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "incident.create"
    for _ in range(4):
        await share_one(system, TicketKind.INCIDENT)
    await system.work()
    change = await share_one(system, TicketKind.CHANGE)
    await system.work()
    assert (await read_ticket(system, change)).delivery == "shared"


async def test_a_ticket_that_is_no_longer_queued_is_left_alone(system: System) -> None:
    await system.connect()
    ticket_id, _ = await shared_ticket(system)
    before = len(calls(system))
    await deliver(system.resources, ticket_id)
    assert len(calls(system)) == before
