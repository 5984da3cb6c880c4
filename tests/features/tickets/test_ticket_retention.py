"""Closed tickets go with all that belongs to them. One with work left stays, here and in ServiceNow."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, select, text, update

from app.core import clock
from app.features.tickets.delivery.visibility import KNOWN_RECORDS
from app.features.tickets.models import Ticket, TicketNote
from app.features.tickets.polling.state_names import set_state_name
from app.features.tickets.ticket_retention import forget_closed_tickets
from app.features.tickets.types import TicketKind
from tests.factories.delivering import write_note
from tests.factories.system import System
from tests.factories.tickets import records, several, share_one

LONG_AGO = timedelta(days=400)
CLOSED = "7"


async def _closed_tickets(system: System, count: int) -> list[UUID]:
    """Incidents that were closed long ago, oldest first, and beside them the few that are kept as proof."""
    await system.connect()
    await several(system, count + KNOWN_RECORDS)
    async with system.resources.database.transaction() as session:
        ids = list((await session.execute(select(Ticket.id).order_by(Ticket.shared_at, Ticket.id))).scalars())
        for place, ticket_id in enumerate(ids):
            moment = clock.now() - LONG_AGO + timedelta(minutes=place)
            await session.execute(
                update(Ticket)
                .where(Ticket.id == ticket_id)
                .values(state=CLOSED, state_since=moment, verified_at=moment)
            )
    return ids[:count]


async def _change(system: System, ticket_id: UUID, **values: Any) -> None:
    async with system.resources.database.transaction() as session:
        await session.execute(update(Ticket).where(Ticket.id == ticket_id).values(**values))


async def _forget(system: System, *, days: int = 365, limit: int = 100) -> int:
    async with system.resources.database.transaction() as session:
        return await forget_closed_tickets(session, clock.now() - timedelta(days=days), limit=limit)


async def _left(system: System) -> set[UUID]:
    async with system.resources.database.transaction() as session:
        return set((await session.execute(select(Ticket.id))).scalars())


async def test_a_closed_ticket_goes_with_its_history_and_stays_in_servicenow(system: System) -> None:
    (ticket_id,) = await _closed_tickets(system, 1)
    assert await _forget(system) == 1
    assert ticket_id not in await _left(system)
    async with system.resources.database.transaction() as session:
        left = await session.execute(text("SELECT count(*) FROM ticket_event WHERE ticket_id = :id"), {"id": ticket_id})
        assert left.scalar_one() == 0
    assert len(records(system, "incident")) == 1 + KNOWN_RECORDS


async def test_no_more_go_at_once_than_asked_and_the_oldest_first(system: System) -> None:
    first, second, third = await _closed_tickets(system, 3)
    assert await _forget(system, limit=2) == 2
    assert {first, second, third} & await _left(system) == {third}


async def test_one_that_was_closed_lately_stays(system: System) -> None:
    await _closed_tickets(system, 1)
    assert await _forget(system, days=500) == 0


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"state": "2"}, id="open"),
        pytest.param({"state": "3"}, id="on hold there"),
        pytest.param({"state": "99"}, id="in a state without a meaning"),
        pytest.param({"absence": "hidden"}, id="not shown"),
        pytest.param({"delivery": "queued", "sys_id": None}, id="queued"),
        pytest.param({"delivery": "held", "sys_id": None}, id="held"),
        pytest.param({"delivery": "given_up", "sys_id": None}, id="given up"),
    ],
)
async def test_one_with_work_left_stays(system: System, values: dict[str, Any]) -> None:
    (ticket_id,) = await _closed_tickets(system, 1)
    await _change(system, ticket_id, **values)
    assert await _forget(system) == 0


async def test_one_with_a_note_on_its_way_stays(system: System) -> None:
    (ticket_id,) = await _closed_tickets(system, 1)
    await write_note(system, ticket_id, "Reopened by phone.")
    assert await _forget(system) == 0
    async with system.resources.database.transaction() as session:
        await session.execute(update(TicketNote).values(delivery="shared"))
    assert await _forget(system) == 1


async def test_one_that_another_ticket_follows_goes_after_that(system: System) -> None:
    first, second = await _closed_tickets(system, 2)
    await _change(system, second, predecessor_id=first)
    open_one = await share_one(system, TicketKind.INCIDENT)
    await _change(system, open_one, predecessor_id=second)
    assert await _forget(system) == 0
    await _change(system, open_one, predecessor_id=None)
    assert await _forget(system) == 1
    assert await _forget(system) == 1
    assert {first, second} & await _left(system) == set()


async def test_the_meaning_that_an_administrator_gave_a_state_counts(system: System) -> None:
    await _closed_tickets(system, 1)
    async with system.resources.database.transaction() as session:
        await set_state_name(session, "incident", CLOSED, own_label="Waits for the audit", category="waiting")
    assert await _forget(system) == 0


async def test_it_is_found_by_an_index(system: System) -> None:
    (_,) = await _closed_tickets(system, 1)
    plans: list[str] = []
    async with system.resources.database.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        await session.execute(text("SET LOCAL enable_sort = off"))

        def explain(connection: Any, statement: Any, *_: Any) -> None:
            if not connection.info.get("explaining"):
                connection.info["explaining"] = True
                plans.extend(row[0] for row in connection.execute(text("EXPLAIN " + _literal(statement, connection))))
                connection.info["explaining"] = False

        connection = (await session.connection()).sync_connection
        event.listen(connection, "before_execute", explain)
        await forget_closed_tickets(session, clock.now() - LONG_AGO / 2, limit=5)
        event.remove(connection, "before_execute", explain)
    told = "\n".join(plans)
    assert "ix_ticket_state_since" in told
    assert "ix_ticket_verified" in told


def _literal(statement: Any, connection: Any) -> str:
    return str(statement.compile(connection, compile_kwargs={"literal_binds": True})).replace("%%", "%")


async def test_what_proves_that_records_are_shown_stays(system: System) -> None:
    await _closed_tickets(system, 0)
    assert await _forget(system) == 0
    assert len(await _left(system)) == KNOWN_RECORDS
