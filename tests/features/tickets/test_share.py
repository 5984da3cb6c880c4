"""Sharing: one ticket per form and per open action, nothing made when something is wrong, and the job with the row."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text

from app.core.errors import InvalidInput
from app.features.connection.active_connection import NotConnected
from app.features.tickets.models import Ticket, TicketAction
from app.features.tickets.sharing.share import AlreadyShared, ShareCommand, Shared, share
from app.features.tickets.types import TicketKind
from tests.factories.system import PUBLIC_URL, System
from tests.factories.tickets import LATER, SENDER, an_action, an_ask, read_ticket, share_one


async def send(system: System, wish: ShareCommand) -> Shared:
    async with system.resources.database.transaction() as session:
        return await share(session, system.resources.queue, wish, SENDER, public_url=PUBLIC_URL)


async def count(system: System) -> tuple[int, int]:
    """Tickets, and jobs that deliver them."""
    async with system.resources.database.transaction() as session:
        tickets = (await session.execute(select(func.count()).select_from(Ticket))).scalar_one()
        jobs = await session.execute(
            text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'tickets.deliver'")
        )
        return tickets, jobs.scalar_one()


async def test_row_and_job_are_made_together_and_the_record_is_decided(system: System) -> None:
    await system.connect()
    ticket = await read_ticket(system, await share_one(system, action=an_action(points=2.0)))
    assert await count(system) == (1, 1)
    assert ticket.delivery == "queued"
    assert ticket.record["correlation_id"] == ticket.correlation_id
    assert len(ticket.correlation_id) == 32
    async with system.resources.database.transaction() as session:
        linked = (await session.execute(select(TicketAction))).scalar_one()
    assert (linked.control_id, linked.points, linked.max_points) == ("AdminMFAV2", 2.0, 10.0)


async def test_a_failing_transaction_leaves_neither_row_nor_job(system: System) -> None:
    await system.connect()

    async def share_and_fail() -> None:
        async with system.resources.database.transaction() as session:
            wish = ShareCommand(an_ask(), [], str(uuid4()))
            await share(session, system.resources.queue, wish, SENDER, public_url=PUBLIC_URL)
            raise LookupError

    with pytest.raises(LookupError):
        await share_and_fail()
    assert await count(system) == (0, 0)


async def test_the_same_form_sent_eight_times_at_once_makes_one_ticket(system: System) -> None:
    await system.connect()
    wish = ShareCommand(an_ask(), [an_action()], str(uuid4()))
    answers = await asyncio.gather(*(send(system, wish) for _ in range(8)))
    assert len({answer.ticket_id for answer in answers}) == 1
    assert sum(answer.is_new for answer in answers) == 1
    assert await count(system) == (1, 1)


async def test_two_people_sharing_the_same_action_at_once_make_one_ticket(system: System) -> None:
    await system.connect()
    wishes = [ShareCommand(an_ask(), [an_action()], str(uuid4())) for _ in range(4)]
    answers = await asyncio.gather(*(send(system, wish) for wish in wishes), return_exceptions=True)
    assert sum(isinstance(answer, Shared) for answer in answers) == 1
    assert sum(isinstance(answer, AlreadyShared) for answer in answers) == 3


async def test_an_open_ticket_is_offered_and_another_is_made_only_when_asked_for(system: System) -> None:
    await system.connect()
    first = await share_one(system, action=an_action())
    with pytest.raises(AlreadyShared) as refused:
        await share_one(system, action=an_action())
    assert refused.value.ticket_ids == [first]
    again = await send(system, ShareCommand(an_ask(), [an_action()], str(uuid4()), again=True))
    assert again.is_new
    assert (await read_ticket(system, again.ticket_id)).predecessor_id is None


async def test_after_a_closed_ticket_a_new_one_is_made_and_linked_to_it(system: System) -> None:
    await system.connect()
    first = await share_one(system, TicketKind.INCIDENT, action=an_action())
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, first)
        ticket.delivery, ticket.state, ticket.number, ticket.sys_id = "shared", "7", "INC0010007", "0" * 32
    second = await read_ticket(system, await share_one(system, action=an_action()))
    assert second.predecessor_id == first
    assert "Follows: INC0010007" in second.record["description"]


async def test_without_a_connection_nothing_is_made(system: System) -> None:
    with pytest.raises(NotConnected):
        await share_one(system)
    assert await count(system) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " \n"}, "name"),
        ({"description": " \0"}, "description"),
        ({"priority": 5}, "priority"),
        ({"priority": 0}, "priority"),
        ({"due_date": LATER.replace(year=2020)}, "due_date"),
        ({"due_date": LATER.replace(year=2099)}, "due_date"),
    ],
)
async def test_what_no_ticket_can_be_made_of_is_refused_by_field(
    system: System, changes: dict[str, Any], field: str
) -> None:
    await system.connect()
    with pytest.raises(InvalidInput) as refused:
        await share_one(system, TicketKind.CHANGE, **changes)
    assert list(refused.value.fields) == [field]
    assert await count(system) == (0, 0)
