"""Sharing: one ticket per form and per open action, nothing made when something is wrong, and the job with the row."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text

from app.core.errors import InvalidInput
from app.features.accounts.models import AuditEntry
from app.features.connection.active_connection import NotConnected
from app.features.connection.preferences import REOPEN, Preferences, keep_preferences
from app.features.tickets.models import Ticket, TicketAction, TicketEvent
from app.features.tickets.sharing.share import (
    AlreadyShared,
    DoneBefore,
    ShareCommand,
    Shared,
    action_link,
    check_request,
    share,
    share_many,
    ticket_link,
)
from app.features.tickets.types import TicketKind
from tests.factories.statements import counted
from tests.factories.system import PUBLIC_URL, System
from tests.factories.tickets import LATER, SENDER, an_action, an_ask, read_ticket, share_one


async def send(system: System, command: ShareCommand) -> Shared:
    async with system.resources.database.transaction() as session:
        return await share(session, system.resources.queue, command, SENDER, public_url=PUBLIC_URL)


async def send_many(system: System, commands: Sequence[ShareCommand]) -> list[Shared]:
    async with system.resources.database.transaction() as session:
        return await share_many(session, system.resources.queue, commands, SENDER, public_url=PUBLIC_URL)


async def close(system: System, ticket_id: UUID, state: str, number: str) -> None:
    """As if the ticket had arrived, and ServiceNow had reported this state."""
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, ticket_id)
        ticket.delivery, ticket.state, ticket.number, ticket.sys_id = "shared", state, number, f"{number:0>32}"


async def count(system: System) -> tuple[int, int]:
    """Tickets, and waiting jobs that send them."""
    async with system.resources.database.transaction() as session:
        tickets = (await session.execute(select(func.count()).select_from(Ticket))).scalar_one()
        jobs = await session.execute(
            text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'tickets.drain_outbox'")
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
            command = ShareCommand(an_ask(), [], str(uuid4()))
            await share(session, system.resources.queue, command, SENDER, public_url=PUBLIC_URL)
            raise LookupError

    with pytest.raises(LookupError):
        await share_and_fail()
    assert await count(system) == (0, 0)


async def test_the_same_form_sent_eight_times_at_once_makes_one_ticket(system: System) -> None:
    await system.connect()
    command = ShareCommand(an_ask(), [an_action()], str(uuid4()))
    answers = await asyncio.gather(*(send(system, command) for _ in range(8)))
    assert len({answer.ticket_id for answer in answers}) == 1
    assert sum(answer.is_new for answer in answers) == 1
    assert await count(system) == (1, 1)


async def test_two_people_sharing_the_same_action_at_once_make_one_ticket(system: System) -> None:
    await system.connect()
    commands = [ShareCommand(an_ask(), [an_action()], str(uuid4())) for _ in range(4)]
    answers = await asyncio.gather(*(send(system, command) for command in commands), return_exceptions=True)
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
    await close(system, first, "7", "INC0010007")
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


@pytest.mark.parametrize("with_actions", [True, False])
async def test_fifty_at_once_cost_a_few_statements(system: System, with_actions: bool) -> None:
    await system.connect()
    batch_id = uuid4()
    commands = [
        ShareCommand(
            an_ask(), [an_action(f"control_{number}")] if with_actions else [], f"form {number}", batch_id=batch_id
        )
        for number in range(50)
    ]
    with counted(system.resources.database) as statements:
        shared = await send_many(system, commands)
    # One per table and question, and none per ticket. The jobs, one statement more, go by the driver's own connection.
    assert len(statements) < 25, statements
    assert sum("ticket_preferences" in statement for statement in statements) == 1
    assert await count(system) == (50, 1)
    async with system.resources.database.transaction() as session:
        events = (await session.execute(select(TicketEvent.ticket_id))).scalars().all()
        entries = (await session.execute(select(AuditEntry.facts))).scalars().all()
        actions = (await session.execute(select(TicketAction.ticket_id))).scalars().all()
    made = sorted(str(one.ticket_id) for one in shared)
    assert sorted(str(ticket_id) for ticket_id in events) == made
    assert sorted(facts["ticket"] for facts in entries if "ticket" in facts) == made
    assert len(actions) == (50 if with_actions else 0)


async def test_what_was_sent_before_is_answered_among_new_ones_in_the_order_of_the_commands(system: System) -> None:
    await system.connect()
    old = ShareCommand(an_ask(), [], "the old form")
    before = await send(system, old)
    new = ShareCommand(an_ask(), [], "the new form")
    answers = await send_many(system, [new, old])
    assert [answer.is_new for answer in answers] == [True, False]
    assert answers[1].ticket_id == before.ticket_id
    assert await count(system) == (2, 1)


async def test_one_that_cannot_be_made_keeps_all_from_being_made(system: System) -> None:
    await system.connect()
    same = [ShareCommand(an_ask(), [an_action()], f"form {number}") for number in range(2)]
    with pytest.raises(AlreadyShared):
        await send_many(system, same)
    assert await count(system) == (0, 0)


async def test_the_audit_log_names_the_person_and_the_actions_once(system: System) -> None:
    await system.connect()
    command = ShareCommand(an_ask(), [an_action("second"), an_action("first")], "the form")
    ticket_id = (await send(system, command)).ticket_id
    await send(system, command)
    async with system.resources.database.transaction() as session:
        query = select(AuditEntry).where(AuditEntry.action["message"].astext == "Ticket shared")
        (entry,) = (await session.execute(query)).scalars()
    assert (entry.person_name, entry.person_email) == (SENDER.name, SENDER.email)
    assert entry.facts == {
        "name": "Require multifactor authentication",
        "kind": "change",
        "ticket": str(ticket_id),
        "actions": "first, second",
    }


async def test_a_done_ticket_is_to_be_reopened_where_the_administrator_wants_it(system: System) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        await keep_preferences(session, connection.id, Preferences(after_done=REOPEN))
    older = await share_one(system, TicketKind.INCIDENT, action=an_action())
    await close(system, older, "7", "INC0010007")
    newer = (await send(system, ShareCommand(an_ask(), [an_action()], "another", again=True))).ticket_id
    await close(system, newer, "3", "CHG0030008")
    with pytest.raises(DoneBefore) as refused:
        await share_one(system, action=an_action())
    assert refused.value.ticket_ids == [newer]
    again = await send(system, ShareCommand(an_ask(), [an_action()], "insisted", again=True))
    assert (await read_ticket(system, again.ticket_id)).predecessor_id == newer


async def test_a_ticket_that_was_given_up_does_not_count_unless_it_may_have_arrived(system: System) -> None:
    await system.connect()
    first = await share_one(system, action=an_action())
    async with system.resources.database.transaction() as session:
        (await session.get_one(Ticket, first)).delivery = "given_up"
    second = await share_one(system, action=an_action())
    async with system.resources.database.transaction() as session:
        ticket = await session.get_one(Ticket, second)
        ticket.delivery, ticket.uncertain_until = "given_up", ticket.created_at
    with pytest.raises(AlreadyShared):
        await share_one(system, action=an_action())


def test_a_request_is_checked_against_the_kind() -> None:
    check_request(an_ask(TicketKind.INCIDENT, priority=5))
    with pytest.raises(InvalidInput) as refused:
        check_request(an_ask(TicketKind.CHANGE, priority=5, name=""))
    assert list(refused.value.fields) == ["name", "priority"]


def test_links_survive_ids_with_any_letters() -> None:
    assert (
        action_link("https://portal.example", "a b/c:d") == "https://portal.example/secure-score/actions/a%20b%2Fc%3Ad"
    )
    ticket_id = uuid4()
    assert ticket_link("https://portal.example", ticket_id) == f"https://portal.example/tickets/{ticket_id}"
