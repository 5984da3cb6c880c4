"""Tickets of improvement actions: which actions have any, and the newest of each. Reads no more of an action's than it gives."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Row, Text, column, text

from app.core.database import Session
from app.features.tickets.models import StateName
from app.features.tickets.polling.state_names import StateNames
from app.features.tickets.types import StateCategory
from app.features.tickets.views.ticket_classes import LineContext
from app.features.tickets.views.ticket_list import TicketLine, line_of
from app.features.tickets.views.ticket_pages import LINE_COLUMNS

# The newest tickets of an action that its page shows, and that a form for a new one considers.
SHOWN_OF_ACTION = 50
# The same of each of several actions in a form. Whether an older one is still open is looked up when it is sent.
FEW_OF_ACTION = 5
# Beyond, only that there are more is said.
MOST_COUNTED_OF_ACTION = 20
# Numbers in one cell of the export.
EXPORTED_OF_ACTION = 10
# LIMIT keeps the plan at one look for each action, and the order keeps it in the index: without, PostgreSQL hopes to meet one
# soon by reading the whole table, which it does for an action that has none.
WITH_TICKET = text(
    """
    SELECT c.control_id FROM unnest(CAST(:control_ids AS text[])) AS c (control_id)
     CROSS JOIN LATERAL (
               SELECT 1 FROM ticket_action a WHERE a.control_id = c.control_id
                ORDER BY a.created_at DESC, a.ticket_id LIMIT 1
           ) AS a
    """
)
NUMBERS = text(
    """
    SELECT c.control_id, t.number FROM unnest(CAST(:control_ids AS text[])) AS c (control_id)
     CROSS JOIN LATERAL (
               SELECT a.ticket_id, a.created_at FROM ticket_action a WHERE a.control_id = c.control_id
                ORDER BY a.created_at DESC, a.ticket_id LIMIT :most
           ) AS a
     CROSS JOIN LATERAL (SELECT number FROM ticket WHERE id = a.ticket_id LIMIT 1) AS t
     ORDER BY c.control_id, a.created_at DESC, a.ticket_id
    """
)
# OFFSET 0 keeps the count to once for each action: else PostgreSQL may count again for each of its tickets. MATERIALIZED keeps
# all of it to once: else it may be read again for each connection, where it believes that there is but one.
NEWEST = text(
    f"""
    WITH found AS MATERIALIZED (
        SELECT c.control_id, a.place, c.counted, {", ".join(f"t.{one.key}" for one in LINE_COLUMNS)}
          FROM (
                   SELECT asked.control_id, (
                              SELECT count(*) FROM (
                                  SELECT 1 FROM ticket_action b WHERE b.control_id = asked.control_id
                                   ORDER BY b.created_at DESC, b.ticket_id LIMIT :most_counted
                              ) AS first_ones
                          ) AS counted
                     FROM unnest(CAST(:control_ids AS text[])) AS asked (control_id)
                   OFFSET 0
               ) AS c
         CROSS JOIN LATERAL (
                   SELECT a.ticket_id, row_number() OVER (ORDER BY a.created_at DESC, a.ticket_id) AS place
                     FROM ticket_action a
                    WHERE a.control_id = c.control_id ORDER BY a.created_at DESC, a.ticket_id LIMIT :most
               ) AS a
         CROSS JOIN LATERAL (SELECT * FROM ticket WHERE id = a.ticket_id LIMIT 1) AS t
    )
    SELECT t.control_id, t.place, t.counted, connection.status = 'removed' AS is_archived, connection.instance_name,
           s.own_label, s.category AS own_category, {", ".join(f"t.{one.key}" for one in LINE_COLUMNS)}
      FROM found t
      JOIN connection ON connection.id = t.connection_id
      LEFT JOIN state_name s ON s.connection_id = t.connection_id AND s.kind = t.kind AND s.value = t.state
     ORDER BY t.control_id, t.place
    """  # noqa: S608 - names of columns.
).columns(
    column("control_id", Text),
    column("place", BigInteger),
    column("counted", BigInteger),
    column("is_archived", Boolean),
    column("instance_name", Text),
    StateName.own_label,
    column("own_category", Text),
    *LINE_COLUMNS,
)


@dataclass(frozen=True)
class ActionTickets:
    """The newest tickets of an action, newest first. `count` is of all, where it is below MOST_COUNTED_OF_ACTION."""

    lines: list[TicketLine]
    count: int

    @property
    def others(self) -> int:
        """How many are not among the lines; at least so many if `has_more`."""
        return min(self.count, MOST_COUNTED_OF_ACTION) - len(self.lines)

    @property
    def has_more(self) -> bool:
        """Whether there are more than were counted."""
        return self.count > MOST_COUNTED_OF_ACTION


NO_TICKETS = ActionTickets([], 0)


async def actions_with_tickets(session: Session, control_ids: Iterable[str]) -> frozenset[str]:
    """Those of these actions that a ticket was made of."""
    found = await session.execute(WITH_TICKET, {"control_ids": list(control_ids)})
    return frozenset(found.scalars())


async def numbers_by_action(session: Session, control_ids: Collection[str]) -> dict[str, list[str]]:
    """{control id: ticket numbers}, newest first, EXPORTED_OF_ACTION + 1 at most; one is empty until its ticket is shared."""
    values = {"control_ids": list(control_ids), "most": EXPORTED_OF_ACTION + 1}
    found: dict[str, list[str]] = {}
    for control_id, number in await session.execute(NUMBERS, values):
        found.setdefault(control_id, []).append(number)
    return found


async def newest_by_action(session: Session, control_ids: Iterable[str], most: int) -> dict[str, ActionTickets]:
    """{control id: its newest tickets, `most` at most}, in one statement; without those that have no ticket."""
    values = {
        "control_ids": list(dict.fromkeys(control_ids)),
        "most": most,
        "most_counted": max(MOST_COUNTED_OF_ACTION, most) + 1,
    }
    found: dict[str, ActionTickets] = {}
    for row in await session.execute(NEWEST, values):
        found.setdefault(row.control_id, ActionTickets([], row.counted)).lines.append(line_of(row, _context(row)))
    return found


async def tickets_by_action(session: Session, control_ids: Iterable[str]) -> dict[str, list[TicketLine]]:
    """{control id: its newest tickets}, FEW_OF_ACTION of each of several; without those that have no ticket."""
    wanted = list(control_ids)
    found = await newest_by_action(session, wanted, SHOWN_OF_ACTION if len(wanted) == 1 else FEW_OF_ACTION)
    return {control_id: tickets.lines for control_id, tickets in found.items()}


async def tickets_of_action(session: Session, control_id: str) -> ActionTickets:
    """The newest SHOWN_OF_ACTION tickets of this action."""
    return (await newest_by_action(session, [control_id], SHOWN_OF_ACTION)).get(control_id, NO_TICKETS)


def _context(row: Row[*tuple[Any, ...]]) -> LineContext:
    names: Mapping[tuple[UUID, str, str], tuple[str, StateCategory]] = {}
    if row.own_label is not None:
        names = {(row.connection_id, row.kind, row.state): (row.own_label, StateCategory(row.own_category))}
    return LineContext(StateNames(names), {row.connection_id: row.instance_name} if row.is_archived else {})
