"""Whether the rows that triggers keep beside tickets are right: search texts, and dates at actions; and how to right them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import CursorResult, text

from app.core.database import Session

Table = Literal["ticket_search", "ticket_action"]
TABLES: tuple[Table, ...] = ("ticket_search", "ticket_action")
# What table_triggers.WRITE_SEARCH writes for one ticket.
RIGHT_TEXTS = """
SELECT t.id AS ticket_id, t.created_at,
       left(lower(concat_ws(chr(31), t.name, t.number, t.requested_by_name, a.titles)), 8000) AS search_text
  FROM ticket t LEFT JOIN (
           SELECT a.ticket_id, string_agg(DISTINCT a.title, chr(31)) FILTER (WHERE a.title <> of.name) AS titles
             FROM ticket_action a JOIN ticket of ON of.id = a.ticket_id GROUP BY a.ticket_id
       ) a ON a.ticket_id = t.id
"""
WRONG_TEXTS = f"""
SELECT r.* FROM ({RIGHT_TEXTS}) r LEFT JOIN ticket_search s ON s.ticket_id = r.ticket_id
 WHERE (s.created_at, s.search_text) IS DISTINCT FROM (r.created_at, r.search_text)
"""  # noqa: S608 - constants of this module, here and below.
RIGHT_DATES = "t.created_at, CASE WHEN t.delivery = 'shared' THEN t.created_at END"
HAS_WRONG_DATES = f"t.id = a.ticket_id AND (a.created_at, a.shared_created) IS DISTINCT FROM ({RIGHT_DATES})"
WRONG = {
    "ticket_search": f"SELECT count(*), min(ticket_id::text) FROM ({WRONG_TEXTS}) w",  # noqa: S608
    "ticket_action": f"SELECT count(*), min(t.id::text) FROM ticket_action a JOIN ticket t ON {HAS_WRONG_DATES}",  # noqa: S608
}
RIGHTED = {
    "ticket_search": f"""
        INSERT INTO ticket_search (ticket_id, created_at, search_text) {WRONG_TEXTS}
        ON CONFLICT (ticket_id) DO UPDATE SET created_at = EXCLUDED.created_at, search_text = EXCLUDED.search_text
    """,
    "ticket_action": f"""
        UPDATE ticket_action a SET (created_at, shared_created) = ({RIGHT_DATES}) FROM ticket t WHERE {HAS_WRONG_DATES}
    """,  # noqa: S608
}


@dataclass(frozen=True)
class WrongRows:
    """How many tickets or actions of tickets a table has wrong or not at all, and the id of one of the tickets."""

    table: Table
    count: int
    example: str


async def compare_kept(session: Session) -> list[WrongRows]:
    """Compare every row with what it is made of; the tables that have wrong ones."""
    found = []
    for table in TABLES:
        count, example = (await session.execute(text(WRONG[table]))).one()
        if count:
            found.append(WrongRows(table, count, example))
    return found


async def right_kept(session: Session, table: Table) -> int:
    """Write what is missing or wrong; how many rows. Needs a transaction of its own for each table."""
    # What writes these rows waits until the commit, and then writes what is right. It may hold rows of the other table, which
    # a transaction for both would wait for in turn.
    await session.execute(text(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))
    return cast(CursorResult[Any], await session.execute(text(RIGHTED[table]))).rowcount
