"""What the home page needs to know, in one statement: the active connection, else the one whose tickets are kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from app.core import clock
from app.features.connection.models import Connection, ConnectionStatus
from app.features.provisioning.home_state import HomeState, home_state
from app.features.tickets.polling.poll_status import poll_status
from app.features.tickets.types import TicketKind
from app.features.tickets.views.ticket_list import lines_of, load_line_context
from tests.factories.statements import counted
from tests.factories.system import System
from tests.factories.tickets import refresh_now, share_one, shared_ticket


async def state_of(system: System, *kinds: TicketKind) -> HomeState:
    async with system.resources.database.transaction() as session:
        with counted(system.resources.database) as seen:
            found = await home_state(session, kinds)
    assert len(seen) == 1
    return found


async def test_before_any_connection_there_is_nothing(system: System) -> None:
    state = await state_of(system, *TicketKind)
    assert state == HomeState(poll=state.poll)
    assert not state.has_tickets


async def test_it_says_what_the_statements_of_other_pages_say(system: System) -> None:
    connection = await system.connect()
    ticket_id, _ = await shared_ticket(system)
    await share_one(system, TicketKind.INCIDENT)
    await refresh_now(system)
    state = await state_of(system, *TicketKind)
    async with system.resources.database.transaction() as session:
        status = await poll_status(session, connection)
        assert state.context == await load_line_context(session)
        (line,) = await lines_of(session, [ticket_id])
    card = state.cards[TicketKind.INCIDENT]
    assert card.newest[-1] == line
    assert len(card.newest) == card.total == 2
    assert card.fresh == state.poll.fresh("incident") == status.fresh("incident")
    assert card.fresh.as_of is not None
    assert state.results_of == connection.id


async def test_nothing_secret_of_a_connection_is_read(system: System) -> None:
    await system.connect()
    state = await state_of(system)
    assert state.connection is not None
    with pytest.raises(SQLAlchemyError):
        _ = state.connection.client_secret


async def test_only_kinds_that_are_asked_for_have_cards(system: System) -> None:
    await system.connect()
    assert (await state_of(system)).cards == {}
    assert list((await state_of(system, TicketKind.CHANGE)).cards) == ["change"]


async def test_without_shared_tickets_there_are_no_results(system: System) -> None:
    await system.connect()
    await share_one(system, TicketKind.INCIDENT)
    assert (await state_of(system)).results_of is None


async def test_of_removed_connections_the_last_one_with_tickets_counts_until_another_is_there(system: System) -> None:
    first = await system.connect()
    await shared_ticket(system)
    gone = {"status": ConnectionStatus.REMOVED, "removed_at": clock.now() - timedelta(days=1)}
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(gone))
        later = Connection(instance_name="later", origin="https://l.example", client_id="c", connected_at=clock.now())
        later.status, later.removed_at = ConnectionStatus.REMOVED, clock.now()
        session.add(later)
    state = await state_of(system, *TicketKind)
    assert (state.connection, state.results_of, state.cards) == (None, first.id, {})
    assert state.context.archived == {first.id: "contoso"}
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).where(Connection.id == later.id).values(status="connected"))
    state = await state_of(system, *TicketKind)
    assert state.connection is not None
    assert (state.connection.id, state.results_of, state.cards["incident"].total) == (later.id, None, 0)
