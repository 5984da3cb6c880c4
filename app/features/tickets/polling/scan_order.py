"""Which tickets of a table are read by their ids next: those read longest ago. Reads rows only.

A poll asks this each minute, so what it costs does not grow with the number of tickets: it is read off an index in this
order, and the number of open ones is in the tally. Closed ones are counted on the index alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, func, select, text

from app.core.database import Session
from app.features.tickets.models import TicketTally
from app.features.tickets.types import Delivery, TicketKind

# For each state by itself, because the index has the order within one. What is compared with a constant is written as the
# partial indexes say it, or PostgreSQL cannot know that they hold what is wanted.
LONGEST_AGO = """
SELECT t.sys_id, t.verified_at FROM unnest(CAST(:states AS text[])) AS s (state)
 CROSS JOIN LATERAL (
    SELECT sys_id, verified_at, id FROM ticket
     WHERE connection_id = :connection_id AND kind = :kind AND state = s.state AND sys_id <> '' AND {those}
     ORDER BY verified_at NULLS FIRST, id LIMIT :most
 ) AS t ORDER BY t.verified_at NULLS FIRST, t.id LIMIT :most
"""
EVERY = text(LONGEST_AGO.format(those="true"))
WITHOUT_MARKER = text(LONGEST_AGO.format(those="NOT has_marker AND absence = ''"))
CLOSED = text(LONGEST_AGO.format(those="state_since > :after AND state_since <= :until"))
COUNT_CLOSED = text(
    """
    SELECT count(*) FROM ticket
     WHERE connection_id = :connection_id AND kind = :kind AND state = ANY(:states) AND sys_id <> ''
       AND state_since > :after AND state_since <= :until
    """
)
# Later than any moment that a ticket was closed, on whichever clock.
EVER = datetime.max.replace(tzinfo=UTC)
NEVER = datetime.min.replace(tzinfo=UTC)


class LastRead(NamedTuple):
    """A shared ticket's record and when it was read; None where it never was."""

    sys_id: str
    verified_at: datetime | None


@dataclass(frozen=True)
class Scanned:
    """Tickets of one table that are scanned in turn: all that are open, and those that were closed in a span of time.

    `in_open` and `in_closed` are how many tickets are in each state of either kind, by its raw value. The span is after
    `closed_after` and up to `closed_until`; no closed ones are meant where the former is None.
    """

    connection_id: UUID
    kind: TicketKind
    in_open: Mapping[str, int]
    in_closed: Mapping[str, int]
    closed_after: datetime | None = None
    closed_until: datetime = EVER

    @property
    def most(self) -> int:
        """How many these are at most: closed ones of any time are counted."""
        return sum(self.in_open.values()) + (sum(self.in_closed.values()) if self.closed_after else 0)


async def states_in_use(session: Session, connection_id: UUID, kind: TicketKind) -> dict[str, int]:
    """How many shared tickets of a table are in each state, by its raw value, as the tally says."""
    query = select(TicketTally.state, func.sum(TicketTally.n)).where(
        TicketTally.connection_id == connection_id, TicketTally.kind == kind, TicketTally.delivery == Delivery.SHARED
    )
    return {state: int(n) for state, n in await session.execute(query.group_by(TicketTally.state))}


async def count(session: Session, those: Scanned) -> int:
    """How many these are."""
    closed = 0
    if those.closed_after is not None and those.in_closed:
        closed = (await session.execute(COUNT_CLOSED, _of(those, those.in_closed) | _span(those))).scalar_one()
    return sum(those.in_open.values()) + closed


async def read_longest_ago(session: Session, those: Scanned, most: int) -> list[LastRead]:
    """So many of these tickets at most, the one that was read longest ago first."""
    found = await _read(session, EVERY, _of(those, those.in_open), most)
    if those.closed_after is not None:
        found += await _read(session, CLOSED, _of(those, those.in_closed) | _span(those), most)
    return sorted(found, key=lambda one: one.verified_at or NEVER)[:most]


async def read_without_marker(session: Session, those: Scanned, most: int) -> list[LastRead]:
    """The same of the open ones whose records are shown to us and have lost our marker."""
    return await _read(session, WITHOUT_MARKER, _of(those, those.in_open), most)


def _of(those: Scanned, states: Mapping[str, int]) -> dict[str, Any]:
    return {"connection_id": those.connection_id, "kind": those.kind, "states": list(states)}


def _span(those: Scanned) -> dict[str, Any]:
    return {"after": those.closed_after, "until": those.closed_until}


async def _read(session: Session, query: TextClause, values: dict[str, Any], most: int) -> list[LastRead]:
    if not (values["states"] and most):
        return []
    return [LastRead(*row) for row in await session.execute(query, values | {"most": most})]
