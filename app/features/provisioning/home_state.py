"""What the home page needs of the connection, its tickets and its provisioning, in one statement. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import load_only

from app.core.database import Session
from app.core.nested_rows import nested
from app.features.connection.models import Connection, ConnectionStatus, InstanceThrottle
from app.features.provisioning.models import ProvisioningStep
from app.features.provisioning.readiness import FAILED, MissingSetup, missing_setup
from app.features.tickets.models import PollCursor, StateName, TicketTally
from app.features.tickets.polling.poll_status import PollStatus
from app.features.tickets.polling.state_names import StateNames
from app.features.tickets.types import Delivery, StateCategory, TicketKind
from app.features.tickets.views.ticket_cards import TicketCard, card_of, newest_column, tally_column
from app.features.tickets.views.ticket_classes import LineContext

# What is shown of a connection: its secrets are not even read.
COLUMNS = (
    Connection.id, Connection.status, Connection.instance_name, Connection.attention, Connection.refresh_expires_at,
    Connection.connected_at, Connection.removed_at,
)  # fmt: skip


@dataclass(frozen=True)
class HomeState:
    """`connection` is the active one; of its columns only COLUMNS are read. `cards` are of the kinds that were asked for.

    `results_of` is the connection whose tickets are compared with the score: the active one, else the one that was removed
    last; None where no ticket was ever shared. `context` is of that one. `also` are the values of what else was asked for.
    """

    connection: Connection | None = None
    missing: MissingSetup = field(default_factory=MissingSetup)
    poll: PollStatus = field(default_factory=lambda: PollStatus(None, None, {}))
    results_of: UUID | None = None
    context: LineContext = field(default_factory=lambda: LineContext(StateNames({}), {}))
    cards: Mapping[str, TicketCard] = field(default_factory=dict)
    also: Sequence[Any] = ()

    @property
    def has_tickets(self) -> bool:
        """Whether tickets may be compared with the score."""
        return self.results_of is not None


async def home_state(
    session: Session, kinds: Sequence[TicketKind] = (), also: Sequence[ColumnElement[Any]] = ()
) -> HomeState:
    """Read it, and columns of no table. One statement, whose cost does not grow with the number of tickets.

    Where nothing was ever connected, the columns take a second one.
    """
    kept = exists().where(
        TicketTally.connection_id == Connection.id, TicketTally.delivery == Delivery.SHARED.value
    )  # fmt: skip
    query = (
        select(Connection, InstanceThrottle, kept, *_columns(), tally_column(kinds), *map(newest_column, kinds), *also)
        .outerjoin(InstanceThrottle, InstanceThrottle.connection_id == Connection.id)
        .options(load_only(*COLUMNS, raiseload=True))
        # A removed connection's results stay true without it.
        .where(or_(Connection.status != ConnectionStatus.REMOVED, kept))
        .order_by(Connection.status == ConnectionStatus.REMOVED, Connection.removed_at.desc())
        .limit(1)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return HomeState(also=(await session.execute(select(*also))).one() if also else ())
    connection, throttle, has_shared, failed, was_checked, cursors, names, counted, *more = row
    newest, values = more[: len(kinds)], more[len(kinds) :]
    context = _context(connection, names)
    if connection.status == ConnectionStatus.REMOVED:
        return HomeState(results_of=connection.id, context=context, also=values)
    poll = PollStatus(connection, throttle, {cursor["kind"]: _cursor(cursor) for cursor in cursors})
    cards = {
        kind.value: card_of(kind, connection.id, context, poll, counted, found)
        for kind, found in zip(kinds, newest, strict=True)
    }
    missing = missing_setup(connection, failed, was_checked=was_checked)
    return HomeState(connection, missing, poll, connection.id if has_shared else None, context, cards, values)


def _columns() -> tuple[Any, ...]:
    of_this = ProvisioningStep.connection_id == Connection.id
    failed = select(func.jsonb_object_agg(ProvisioningStep.step, ProvisioningStep.finding)).where(of_this, FAILED)
    was_checked = exists().where(of_this, ProvisioningStep.checked_at >= Connection.connected_at)
    cursors = select(PollCursor.kind, PollCursor.succeeded_at, PollCursor.problem, PollCursor.changes_refused)
    names = select(StateName.kind, StateName.value, StateName.own_label, StateName.category)
    return (
        failed.scalar_subquery(),
        was_checked,
        nested(cursors.where(PollCursor.connection_id == Connection.id)),
        nested(names.where(StateName.connection_id == Connection.id)),
    )


def _cursor(row: Mapping[str, Any]) -> PollCursor:
    at = row["succeeded_at"]
    return PollCursor(**{**row, "succeeded_at": at and datetime.fromisoformat(at)})


def _context(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> LineContext:
    names = {
        (connection.id, row["kind"], row["value"]): (row["own_label"], StateCategory(row["category"])) for row in rows
    }
    is_removed = connection.status == ConnectionStatus.REMOVED
    return LineContext(StateNames(names), {connection.id: connection.instance_name} if is_removed else {})
