"""How many tickets are in which state, read from the tally instead of counting them; and whether the tally is right."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text

from app.core.database import Session
from app.features.tickets.models import TicketTally

COUNT = """
SELECT connection_id, kind, delivery, state, state_label, absence = '' AS shown, count(*) AS n
  FROM ticket GROUP BY 1, 2, 3, 4, 5, 6
"""
# Places with the same values, however they were counted.
SAME = "USING (connection_id, kind, delivery, state, state_label, shown)"
DIFFERENCES = text(
    f"""
    SELECT connection_id, kind, delivery, state, state_label, shown, coalesce(kept.n, 0) AS kept, coalesce(counted.n, 0) AS n
      FROM ticket_tally kept FULL JOIN ({COUNT}) counted {SAME}
     WHERE kept.n IS DISTINCT FROM counted.n ORDER BY 1, 2, 3, 4, 5, 6
    """  # noqa: S608 - constants of this module.
)
# What waits until the commit is added before, or it would be counted twice. Other transactions settle under the same lock,
# so what is counted once it was got is what they have committed.
HOLD = (text("SET CONSTRAINTS ALL IMMEDIATE"), text("SELECT pg_advisory_xact_lock(7240116)"))
FILL = (
    text("DELETE FROM ticket_tally"),
    text(f"INSERT INTO ticket_tally (connection_id, kind, delivery, state, state_label, shown, n) {COUNT}"),
    text("SELECT raise_page_version(topic) FROM unnest(ARRAY['tickets.change', 'tickets.incident']) AS topic"),
    text("SET CONSTRAINTS ALL DEFERRED"),
)
# For callers without a Session: the whole of `rebuild_tally` but the comparison.
REBUILD = (*HOLD, *FILL)


@dataclass(frozen=True)
class TallyRow:
    """How many tickets of a kind are in a state. `shown` is whether ServiceNow shows their records."""

    connection_id: UUID
    kind: str
    delivery: str
    state: str
    state_label: str
    shown: bool
    n: int


@dataclass(frozen=True)
class TallyDifference:
    """`found` is the row with the number that was counted, which may be 0, `kept` the number in the tally."""

    found: TallyRow
    kept: int


async def read_tally(
    session: Session, connection_id: UUID | None = None, kinds: Collection[str] | None = None
) -> list[TallyRow]:
    """The tally of one connection, or of all, and of these kinds, or of all, in one statement and in a fixed order."""
    columns = (
        TicketTally.connection_id, TicketTally.kind, TicketTally.delivery, TicketTally.state, TicketTally.state_label,
        TicketTally.shown, TicketTally.n,
    )  # fmt: skip
    query = select(*columns).order_by(*columns[:-1])
    if connection_id is not None:
        query = query.where(TicketTally.connection_id == connection_id)
    if kinds is not None:
        query = query.where(TicketTally.kind.in_(kinds))
    return [_row(row) for row in await session.execute(query)]


async def recount_tally(session: Session) -> list[TallyDifference]:
    """Count all tickets and compare: where the tally differs. Reads every ticket."""
    return [TallyDifference(_row(row), row.kept) for row in await session.execute(DIFFERENCES)]


async def rebuild_tally(session: Session) -> list[TallyDifference]:
    """Count all tickets and keep that; what was different before. Commits of what pages show wait until the caller’s."""
    for statement in HOLD:
        await session.execute(statement)
    before = await recount_tally(session)
    for statement in FILL:
        await session.execute(statement)
    return before


def _row(row: Row[*tuple[Any, ...]]) -> TallyRow:
    return TallyRow(row.connection_id, row.kind, row.delivery, row.state, row.state_label, row.shown, row.n)
