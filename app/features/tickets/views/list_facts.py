"""All that the ticket list needs besides its tickets, in one statement: instances, state names, tally, polling, held ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import and_, case, func, null, select, true
from sqlalchemy.orm import load_only

from app.core.database import Session
from app.core.nested_rows import nested
from app.features.connection.models import Connection, ConnectionStatus, InstanceThrottle
from app.features.tickets.models import PollCursor, StateName, TicketTally
from app.features.tickets.polling.poll_status import PollStatus
from app.features.tickets.polling.state_names import StateNames
from app.features.tickets.sharing.held_tickets import HeldGroup, groups_of, held_query
from app.features.tickets.types import StateCategory
from app.features.tickets.views.ticket_classes import LineContext, TicketClass, classes_of
from app.features.tickets.views.ticket_tally import TallyRow

IS_ACTIVE = Connection.status != ConnectionStatus.REMOVED
# Few rows each. As JSON, so that they come with the first row of the others.
NAMES = select(
    func.jsonb_agg(
        func.jsonb_build_array(
            StateName.connection_id, StateName.kind, StateName.value, StateName.own_label, StateName.category
        )
    )
).scalar_subquery()
TALLY = select(
    func.jsonb_agg(
        func.jsonb_build_array(
            TicketTally.connection_id, TicketTally.kind, TicketTally.delivery, TicketTally.state,
            TicketTally.state_label, TicketTally.shown, TicketTally.n,
        )
    )
).scalar_subquery()  # fmt: skip
# For the rest of the transaction, of which this is the first statement. That of the tickets is planned as if all of its parts
# were read, and above a certain cost PostgreSQL would compile it first, which takes longer than to run it.
# https://www.postgresql.org/docs/current/jit-decision.html
WITHOUT_JIT = func.set_config("jit", "off", true())
IS_FIRST = func.row_number().over() == 1
FACTS = (
    select(Connection, InstanceThrottle, PollCursor, case((IS_FIRST, NAMES)), case((IS_FIRST, TALLY)), WITHOUT_JIT)
    .outerjoin(InstanceThrottle, and_(InstanceThrottle.connection_id == Connection.id, IS_ACTIVE))
    .outerjoin(PollCursor, and_(PollCursor.connection_id == Connection.id, IS_ACTIVE))
    .options(load_only(Connection.instance_name, Connection.status, Connection.attention))
)
# Reads every ticket that is held, so only where the list is about them.
WITHOUT_HELD, WITH_HELD = (
    FACTS.add_columns(null()),
    FACTS.add_columns(case((IS_FIRST, nested(held_query().correlate(None))))),
)


@dataclass(frozen=True)
class ListFacts:
    """`classes` are all tickets by what the tally tells apart. `held` are the reasons for which tickets are held, if asked."""

    context: LineContext
    classes: list[TicketClass]
    polling: PollStatus
    held: list[HeldGroup] = field(default_factory=list)


async def load_facts(session: Session, *, with_held: bool = False) -> ListFacts:
    """Nothing of a connection means no ticket either: each belongs to one."""
    archived: dict[UUID, str] = {}
    polling = PollStatus(None, None, {})
    names: list[list[str]] = []
    tally: list[list[object]] = []
    held: list[dict[str, object]] = []
    cursors: dict[str, PollCursor] = {}
    found = await session.execute(WITH_HELD if with_held else WITHOUT_HELD)
    for connection, throttle, cursor, some_names, some_tally, _, some_held in found:
        names, tally, held = some_names or names, some_tally or tally, some_held or held
        if connection.status == ConnectionStatus.REMOVED:
            archived[connection.id] = connection.instance_name
            continue
        if cursor is not None:
            cursors[cursor.kind] = cursor
        polling = PollStatus(connection, throttle, cursors)
    given = {(UUID(row[0]), row[1], row[2]): (row[3], StateCategory(row[4])) for row in names}
    rows = [TallyRow(UUID(str(row[0])), *row[1:]) for row in tally]  # type: ignore[arg-type]
    return ListFacts(LineContext(StateNames(given), archived), classes_of(rows), polling, groups_of(held))
