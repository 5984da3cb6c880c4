"""Tickets of actions: the newest of each, however many there are, and what is said of the others."""

from __future__ import annotations

from uuid import UUID

from app.core.database import Database
from app.features.tickets.models import StateName, TicketAction
from app.features.tickets.views.tickets_of_actions import (
    EXPORTED_OF_ACTION,
    FEW_OF_ACTION,
    MOST_COUNTED_OF_ACTION,
    SHOWN_OF_ACTION,
    actions_with_tickets,
    newest_by_action,
    numbers_by_action,
    tickets_by_action,
    tickets_of_action,
)
from tests.factories.statements import counted
from tests.factories.ticket_rows import add_connection, add_tickets, ticket_row


async def fill(database: Database, connection_id: UUID, control_id: str, count: int) -> None:
    rows = [
        ticket_row(connection_id, created_at=f"2026-01-01T{n // 60:02}:{n % 60:02}:00Z", number=f"INC{n}")
        for n in range(count)
    ]
    await add_tickets(database, rows)
    async with database.transaction() as session:
        session.add_all(TicketAction(ticket_id=UUID(row["id"]), control_id=control_id, title="Title") for row in rows)


async def test_of_many_tickets_the_newest_are_read_in_one_statement(database: Database) -> None:
    connection = await add_connection(database)
    await fill(database, connection, "many", 300)
    await fill(database, connection, "few", 3)
    async with database.transaction() as session:
        with counted(database) as seen:
            found = await newest_by_action(session, ["many", "few", "none"], 2)
        assert len(seen) == 1
        assert {key: [line.number for line in one.lines] for key, one in found.items()} == {
            "many": ["INC299", "INC298"],
            "few": ["INC2", "INC1"],
        }
        many, few = found["many"], found["few"]
        assert (many.has_more, many.others) == (True, MOST_COUNTED_OF_ACTION - 2)
        assert (few.has_more, few.others, few.count) == (False, 1, 3)
        of_one = await tickets_of_action(session, "many")
        assert (len(of_one.lines), of_one.count) == (SHOWN_OF_ACTION, SHOWN_OF_ACTION + 1)
        assert {len(lines) for lines in (await tickets_by_action(session, ["many", "none"])).values()} == {
            FEW_OF_ACTION
        }
        assert len((await tickets_by_action(session, ["many"]))["many"]) == SHOWN_OF_ACTION
        numbers = await numbers_by_action(session, ["many", "few"])
        assert (len(numbers["many"]), numbers["few"]) == (EXPORTED_OF_ACTION + 1, ["INC2", "INC1", "INC0"])
        assert await actions_with_tickets(session, ["many", "none", "few"]) == {"many", "few"}


async def test_a_line_has_the_name_of_its_state_and_of_an_old_instance(database: Database) -> None:
    live, old = await add_connection(database), await add_connection(database, name="old", status="removed")
    async with database.transaction() as session:
        session.add(
            StateName(connection_id=live, kind="incident", value="2", own_label="Under way", category="waiting")
        )
    await fill(database, live, "a", 1)
    await fill(database, old, "b", 1)
    async with database.transaction() as session:
        found = await newest_by_action(session, ["a", "b"], 2)
    assert [(one.lines[0].state_name, one.lines[0].state_category, one.lines[0].archived_at) for one in found.values()] == [
        ("Under way", "waiting", ""), ("L2", "progress", "old"),
    ]  # fmt: skip
