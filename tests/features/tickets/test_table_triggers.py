"""What triggers keep beside tickets: the text that search finds them by, and the dates at their actions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text, update

from app.core.database import Database
from app.features.tickets.models import Ticket, TicketAction, TicketSearch
from tests.factories.ticket_rows import add_connection, add_tickets, ticket_row

PARTS = "\x1f"


async def texts(database: Database) -> list[list[str]]:
    async with database.transaction() as session:
        return [found.split(PARTS) for found in (await session.execute(select(TicketSearch.search_text))).scalars()]


async def change(database: Database, *statements: Any) -> None:
    async with database.transaction() as session:
        for statement in statements:
            await session.execute(statement)


async def one_ticket(database: Database, **changes: Any) -> UUID:
    row = ticket_row(await add_connection(database), **changes)
    await add_tickets(database, [row])
    return UUID(row["id"])


async def test_the_search_text_follows_the_ticket_and_its_actions(database: Database) -> None:
    ticket_id = await one_ticket(database, name="Über MFA", number="")
    assert await texts(database) == [["über mfa", "", "megan bowen"]]
    async with database.transaction() as session:
        session.add_all(
            TicketAction(ticket_id=ticket_id, control_id=title, title=title)
            for title in ("Z", "Über MFA", "A 한국", "Z ")
        )
    assert await texts(database) == [["über mfa", "", "megan bowen", "a 한국", "z", "z "]]
    await change(database, update(Ticket).values(number="INC1", requested_by_name="Removed person"))
    await change(database, update(TicketAction).where(TicketAction.control_id == "Z").values(title="Y"))
    assert await texts(database) == [["über mfa", "inc1", "removed person", "a 한국", "y", "z "]]
    await change(database, delete(TicketAction).where(TicketAction.control_id != "Z"))
    assert await texts(database) == [["über mfa", "inc1", "removed person", "y"]]
    await change(database, delete(Ticket))
    assert await texts(database) == []


async def test_a_poll_writes_no_search_text(database: Database) -> None:
    await one_ticket(database)
    version = text("SELECT xmin::text FROM ticket_search")
    async with database.transaction() as session:
        before = (await session.execute(version)).scalar_one()
    await change(database, text("UPDATE ticket SET verified_at = now(), state = '7', number = number, name = name"))
    async with database.transaction() as session:
        assert (await session.execute(version)).scalar_one() == before


async def test_a_ticket_of_many_actions_writes_its_text_once(database: Database) -> None:
    ticket_id = await one_ticket(database)
    async with database.transaction() as session:
        for number in range(100):
            session.add(TicketAction(ticket_id=ticket_id, control_id=str(number), title=f"Title {number}"))
            await session.flush()
        await session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        written = text("SELECT pg_stat_get_xact_tuples_updated('ticket_search'::regclass)")
        assert (await session.execute(written)).scalar_one() == 1


async def test_the_worst_text_is_cut(database: Database) -> None:
    ticket_id = await one_ticket(database, name="한" * 5_000)
    async with database.transaction() as session:
        session.add(TicketAction(ticket_id=ticket_id, control_id="1", title="國" * 20_000))
    async with database.transaction() as session:
        length = await session.execute(
            text("SELECT length(search_text), cardinality(grams(search_text)) FROM ticket_search")
        )
        letters, found = length.one()
        assert letters == 8_000
        # Threes and twos, and those of the overlaps of its parts twice.
        assert 2 * letters - 3 <= found < 2 * letters + 100


async def test_dates_at_actions_follow_the_ticket(database: Database) -> None:
    ticket_id = await one_ticket(database, delivery="queued")
    async with database.transaction() as session:
        session.add(TicketAction(ticket_id=ticket_id, control_id="mfa", title="MFA"))
    dates = select(Ticket.created_at, TicketAction.created_at, TicketAction.shared_created).join_from(
        TicketAction, Ticket, Ticket.id == TicketAction.ticket_id
    )
    for delivery in ("queued", "shared", "held", "shared", "given_up"):
        await change(database, update(Ticket).values(delivery=delivery))
        async with database.transaction() as session:
            made, created, shared = (await session.execute(dates)).one()
        assert (created, shared) == (made, made if delivery == "shared" else None), delivery


async def test_grams_are_all_sequences_of_three_and_pairs_beyond_latin(database: Database) -> None:
    async with database.transaction() as session:
        for given, grams in {
            "": [], "ab": [], "abc": ["abc"], "한국": ["한국"], "a한국b": ["a한국", "한국b", "한국"], "äöü": ["äöü"],
        }.items():  # fmt: skip
            found = (await session.execute(text("SELECT grams(:given)"), {"given": given})).scalar_one()
            assert sorted(found) == sorted(grams), given
        long = "".join(chr(97 + n % 26) + str(n % 7) for n in range(700))
        found = (await session.execute(text("SELECT grams(:given)"), {"given": long})).scalar_one()
        assert set(found) == {long[n : n + 3] for n in range(len(long) - 2)}
