"""A ticket that was given up after it was sent is looked for, and its page says what is known."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from app.core import clock
from app.core.errors import RetryLater
from app.features.secure_score.actions.browse_actions import Action
from app.features.tickets.delivery.reconcile import NOT_THERE, reconcile
from app.features.tickets.models import Ticket, TicketEvent
from app.features.tickets.sharing.share import AlreadyShared
from app.features.tickets.types import TicketKind
from app.integrations.servicenow.client import ServiceNowClient
from tests.factories.delivering import give_up, set_status
from tests.factories.system import System
from tests.factories.tickets import an_action, read_ticket, records, run_due_and_waiting, share_one, told

pytestmark = pytest.mark.thorough


async def held_though_it_arrived(system: System, action: Action | None = None) -> UUID:
    """Refused although it was done, and not found by a lookup that was refused."""
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


async def test_a_ticket_given_up_is_looked_for_after_the_connection_was_authorized_again(system: System) -> None:
    ticket_id = await held_though_it_arrived(system)
    await give_up(system, ticket_id)
    await set_status(system, "needs_attention")
    await run_due_and_waiting(system, 2)
    assert (await read_ticket(system, ticket_id)).delivery == "given_up"
    await set_status(system, "connected")
    await run_due_and_waiting(system)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"


async def test_a_ticket_given_up_at_a_removed_connection_is_not_looked_for_any_more(system: System) -> None:
    ticket_id = await held_though_it_arrived(system)
    await give_up(system, ticket_id)
    await set_status(system, "removed")
    await reconcile(system.resources, ticket_id)
    assert (await read_ticket(system, ticket_id)).delivery == "given_up"


@pytest.mark.parametrize("trouble", ["acl_refuses", "api_asleep"])
async def test_while_it_is_unknown_whether_it_arrived_the_page_says_so_and_sharing_again_asks(
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


async def given_up_in_doubt(system: System) -> UUID:
    """Sent once, long ago; nothing of it is in ServiceNow."""
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    past = clock.now() - timedelta(minutes=10)
    values = {"delivery": "given_up", "attempts": 1, "sent_at": past, "uncertain_until": past}
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).values(values))
    return ticket_id


async def times_it_was_called_absent(system: System) -> int:
    async with system.resources.database.transaction() as session:
        query = select(func.count()).where(TicketEvent.message["message"].as_string() == NOT_THERE.message)
        return (await session.execute(query)).scalar_one()


async def test_two_runs_at_once_say_once_that_a_ticket_did_not_arrive(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue rescues a job whose worker lives after all: both have looked before either one writes."""
    ticket_id = await given_up_in_doubt(system)
    both_have_looked, real = asyncio.Barrier(2), ServiceNowClient.shows_correlation_ids

    async def wait_for_the_other(client: ServiceNowClient, *arguments: Any) -> bool:
        shown = await real(client, *arguments)
        await asyncio.wait_for(both_have_looked.wait(), 10)
        return shown

    monkeypatch.setattr(ServiceNowClient, "shows_correlation_ids", wait_for_the_other)
    await asyncio.gather(*(reconcile(system.resources, ticket_id) for _ in range(2)))
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.uncertain_until, ticket.problem) == ("given_up", None, NOT_THERE.to_json())
    assert await times_it_was_called_absent(system) == 1


async def test_a_ticket_that_became_uncertain_during_the_lookup_is_not_called_absent(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket_id = await given_up_in_doubt(system)
    real = ServiceNowClient.shows_correlation_ids

    async def becomes_uncertain(client: ServiceNowClient, *arguments: Any) -> bool:
        shown = await real(client, *arguments)
        async with system.resources.database.transaction() as session:
            await session.execute(update(Ticket).values(uncertain_until=clock.now() + timedelta(minutes=5)))
        return shown

    monkeypatch.setattr(ServiceNowClient, "shows_correlation_ids", becomes_uncertain)
    with pytest.raises(RetryLater):
        await reconcile(system.resources, ticket_id)
    ticket = await read_ticket(system, ticket_id)
    assert (ticket.delivery, ticket.problem) == ("given_up", None)
    assert ticket.uncertain_until is not None
    assert await times_it_was_called_absent(system) == 0


async def test_a_ticket_given_up_that_lands_while_its_lookup_is_being_answered_is_not_called_absent(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket_id = await given_up_in_doubt(system)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).values(uncertain_until=clock.now() + timedelta(minutes=5)))
    record, real = (await read_ticket(system, ticket_id)).record, ServiceNowClient.find_by_correlation

    async def straddles(client: ServiceNowClient, table: Any, *arguments: Any) -> Any:
        found = await real(client, table, *arguments)
        if not found:
            await client.create(table, record)
            async with system.resources.database.transaction() as session:
                await session.execute(update(Ticket).values(uncertain_until=clock.now() - timedelta(seconds=1)))
        return found

    monkeypatch.setattr(ServiceNowClient, "find_by_correlation", straddles)
    with pytest.raises(RetryLater):
        await reconcile(system.resources, ticket_id)
    assert await times_it_was_called_absent(system) == 0
    await reconcile(system.resources, ticket_id)
    assert (await read_ticket(system, ticket_id)).delivery == "shared"
