"""Transactions that end at the same time: none waits for another one that waits for it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from app.core.database import Database
from app.features.tickets.renamed_actions import MOVES, follow_renames
from tests.factories.rows import ONE, add_row, add_ticket

COMMITTING = sql.SQL("SELECT pg_advisory_xact_lock(7240116)")
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7240116 AND NOT granted"

BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
SHARED = "UPDATE ticket SET delivery = 'shared' WHERE id = %s"


def wait_for(watching: psycopg.Connection[Any], waiting: int, query: LiteralString = WAITING) -> None:
    while watching.execute(query).fetchone() != (waiting,):
        watching.execute("SELECT pg_sleep(0.01)")


def test_an_import_that_renames_an_action_and_a_delivery_of_its_ticket_both_commit(database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as rows,
        psycopg.connect(database_url) as first,
        psycopg.connect(database_url) as importing,
        psycopg.connect(database_url) as delivering,
        ThreadPoolExecutor(2) as both,
    ):
        add_row(rows, "connection", status="removed")
        add_ticket(rows, ONE)
        for control_id in ("old", "new"):
            add_row(rows, "ticket_action", control_id=control_id, title=control_id)
        add_row(rows, "improvement_action", control_id="old")
        importing.execute("UPDATE improvement_action SET title = 'renamed'")
        for move in MOVES:
            importing.execute(move.replace(":old", "'old'").replace(":new", "'new'").encode())
        delivering.execute("UPDATE ticket SET number = 'INC0042'")
        first.execute(COMMITTING)
        ended = [both.submit(importing.commit)]
        wait_for(rows, 1)
        ended.append(both.submit(delivering.commit))
        wait_for(rows, 2)
        first.commit()
        for commit in ended:
            commit.result()
        assert rows.execute("SELECT search_text FROM ticket_search").fetchall() == [("x\x1finc0042\x1fx\x1fnew",)]


@pytest.mark.parametrize("renamed", [("a",), ("b", "a")])
async def test_a_delivery_of_tickets_whose_actions_are_renamed_meanwhile_is_no_deadlock(
    database: Database, database_url: str, renamed: tuple[str, ...]
) -> None:
    """Tickets are delivered in the order of their ids; the newest come first in the table and in the index of actions."""
    tickets = [UUID(int=number) for number in (1, 2, 3)]
    with psycopg.connect(database_url, autocommit=True) as rows, psycopg.connect(database_url) as delivering:
        add_row(rows, "connection", status="removed")
        for ticket_id in reversed(tickets):
            add_ticket(rows, ticket_id, created_at=f"2026-11-2{ticket_id.int}")
            for control_id in ("a", "b"):
                add_row(rows, "ticket_action", ticket_id=ticket_id, control_id=control_id, title=control_id)
        delivering.execute(SHARED, (tickets[0],))

        async def rename() -> None:
            async with database.transaction() as session:
                await follow_renames(session, [(control_id, f"7.{control_id}") for control_id in renamed])

        renaming = asyncio.create_task(rename())
        await asyncio.to_thread(wait_for, rows, 1, BLOCKED)
        for ticket_id in tickets[1:]:
            await asyncio.to_thread(delivering.execute, SHARED, (ticket_id,))
        delivering.commit()
        await renaming
        expected = {control_id if control_id not in renamed else f"7.{control_id}" for control_id in ("a", "b")}
        for ticket_id in tickets:
            found = rows.execute(
                "SELECT control_id FROM ticket_action WHERE ticket_id = %s AND shared_created = created_at",
                (ticket_id,),
            ).fetchall()
            assert {row[0] for row in found} == expected
