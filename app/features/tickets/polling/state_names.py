"""Labels and categories of ServiceNow's ticket states. Decides by raw values only, never by labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app.core.database import Session
from app.core.errors import InvalidInput
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.tickets.models import StateChoice, StateName, TicketTally
from app.features.tickets.types import CLOSED_CATEGORIES, KINDS, STATE_CATEGORY_NAMES, StateCategory, TicketKind

# A choice value has at most 40 characters (docs/facts/servicenow.md#4-4-choices). Our own labels have the same limit.
LONGEST_LABEL = 40

# Values of the base system: docs/facts/servicenow.md#4-1-incident and docs/facts/servicenow.md#4-2-change-request,
# which name the vendor's pages. An instance may add values or give these another label, but their meaning stays.
DEFAULT_CATEGORIES: dict[TicketKind, dict[str, StateCategory]] = {
    kind: {value: state.category for value, state in spec.states.items()} for kind, spec in KINDS.items()
}
DEFAULT_LABELS: dict[TicketKind, dict[str, Message]] = {
    kind: {value: state.label for value, state in spec.states.items() if state.label} for kind, spec in KINDS.items()
}


@dataclass(frozen=True)
class StateNameLine:
    """One state of the instance. `own_label` is empty while the instance's label is used; `count` is of tickets."""

    value: str
    label: str
    own_label: str
    category: str
    count: int


@dataclass(frozen=True)
class StateChange:
    """A change of state in the labels that people read. `reopened`: from a closed category to an open one."""

    before: str
    after: str
    reopened: bool


@dataclass(frozen=True)
class StateNames:
    """Every (label, category) that an administrator set, by connection, kind and raw value."""

    given: Mapping[tuple[UUID, str, str], tuple[str, StateCategory]]

    def category(self, connection_id: UUID, kind: str, value: str) -> StateCategory:
        """The category set here, else the default one. A value without either is unknown, and never done."""
        found = self.given.get((connection_id, kind, value))
        return found[1] if found else DEFAULT_CATEGORIES[TicketKind(kind)].get(value, StateCategory.UNKNOWN)

    def closed_values(self, connection_id: UUID, kind: str) -> list[str]:
        """The raw values of the states that end the work."""
        given = {value for (owner, of, value) in self.given if (owner, of) == (connection_id, kind)}
        known = {*DEFAULT_CATEGORIES[TicketKind(kind)], *given}
        return sorted(value for value in known if self.category(connection_id, kind, value) in CLOSED_CATEGORIES)

    def label(self, connection_id: UUID, kind: str, value: str, remote_label: str) -> str:
        """The label set here, else the instance's, else the default one, else the raw value."""
        found = self.given.get((connection_id, kind, value))
        if found and found[0]:
            return found[0]
        # The Table API repeats the value as its display value where the choice list does not have it.
        if remote_label and remote_label != value:
            return remote_label
        default = DEFAULT_LABELS[TicketKind(kind)].get(value)
        # An access rule on the field removes it from the record (docs/facts/servicenow.md#2-6-error-envelope).
        return str(default) if default else value or str(T("Not readable"))

    def change(self, connection_id: UUID, kind: str, *, before: tuple[str, str], after: tuple[str, str]) -> StateChange:
        """What a change of state means; `before` and `after` are (raw value, the instance's label)."""
        was_closed, is_closed = (
            self.category(connection_id, kind, value) in CLOSED_CATEGORIES for value, _ in (before, after)
        )
        return StateChange(
            before=self.label(connection_id, kind, *before),
            after=self.label(connection_id, kind, *after),
            # By category, not by `closed_at`, which a reopened record keeps (docs/facts/other-connectors.md#bug-37).
            reopened=was_closed and not is_closed,
        )


async def load_names(session: Session) -> StateNames:
    """The names of all connections. There are few rows, so one query serves a whole page."""
    return names_of((await session.execute(select(StateName))).scalars())


def names_of(rows: Iterable[StateName]) -> StateNames:
    return StateNames(
        {(row.connection_id, row.kind, row.value): (row.own_label, StateCategory(row.category)) for row in rows}
    )


async def load_names_and_closed_values(
    session: Session, connection_id: UUID, kind: str
) -> tuple[StateNames, list[str]]:
    """The names, and the raw values of one table's states that end the work."""
    names = await load_names(session)
    return names, names.closed_values(connection_id, kind)


async def list_state_names(session: Session, kind: str) -> list[StateNameLine]:
    """Every state that the instance lists (else the default ones), that was named here, or that a ticket is in."""
    wanted = _kind(kind)
    connection = await active_connection(session)
    names = await load_names(session)
    if connection is None:
        return [
            StateNameLine(value, str(label), "", DEFAULT_CATEGORIES[wanted][value], 0)
            for value, label in DEFAULT_LABELS[wanted].items()
        ]
    used = await _states_of_tickets(session, connection.id, wanted)
    offered = await offered_states(session, connection.id, wanted)
    named = {value for (owner, of, value) in names.given if (owner, of) == (connection.id, wanted)}
    return [
        StateNameLine(
            value=value,
            label=used.get(value, ("", 0))[0] or offered.get(value) or str(DEFAULT_LABELS[wanted].get(value, value)),
            own_label=names.given.get((connection.id, wanted, value), ("", StateCategory.UNKNOWN))[0],
            category=names.category(connection.id, wanted, value),
            count=used.get(value, ("", 0))[1],
        )
        for value in sorted({*(offered or DEFAULT_LABELS[wanted]), *named, *used}, key=_in_order)
    ]


async def offered_states(session: Session, connection_id: UUID, kind: TicketKind) -> dict[str, str]:
    """The instance's choice list as {value: label}; empty where the integration user may not read it."""
    rows = await session.execute(
        select(StateChoice.value, StateChoice.label).where(
            StateChoice.connection_id == connection_id, StateChoice.kind == kind
        )
    )
    return {row[0]: row[1] for row in rows}


async def _states_of_tickets(session: Session, connection_id: UUID, kind: TicketKind) -> dict[str, tuple[str, int]]:
    """{value: (the instance's label, number of tickets)}."""
    rows = await session.execute(
        select(TicketTally.state, func.max(TicketTally.state_label), func.sum(TicketTally.n))
        .where(TicketTally.connection_id == connection_id, TicketTally.kind == kind)
        .group_by(TicketTally.state)
    )
    # Only a record has a state.
    return {state: (label, int(count)) for state, label, count in rows if state}


async def set_state_name(session: Session, kind: str, value: str, *, own_label: str, category: str) -> None:
    """Set the label and category of a state. Raises InvalidInput or NotConnected."""
    wanted = _kind(kind)
    label = " ".join(own_label.split())
    problems: dict[str, Message] = {}
    if len(label) > LONGEST_LABEL:
        problems["own_label"] = T("At most %(limit)s characters, please.", limit=LONGEST_LABEL)
    if category not in {known.value for known in StateCategory}:
        problems["category"] = T("Choose one of the list.")
    if not value or len(value) > LONGEST_LABEL:
        problems["value"] = T("Choose one of the list.")
    if problems:
        raise InvalidInput(fields=problems)
    connection = await active_connection(session)
    if connection is None:
        raise NotConnected
    row = {"connection_id": connection.id, "kind": wanted, "value": value, "own_label": label, "category": category}
    statement = insert(StateName).values(row)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["connection_id", "kind", "value"], set_={"own_label": label, "category": category}
        )
    )


async def reset_state_names(session: Session, kind: str) -> None:
    """Delete every name of this kind at the active connection."""
    connection = await active_connection(session)
    if connection is not None:
        await session.execute(
            delete(StateName).where(StateName.connection_id == connection.id, StateName.kind == _kind(kind))
        )


def category_choices() -> list[tuple[str, Message]]:
    """(value, name) for a form."""
    return [(category.value, name) for category, name in STATE_CATEGORY_NAMES.items()]


def _kind(kind: str) -> TicketKind:
    try:
        return TicketKind(kind)
    except ValueError:
        raise InvalidInput(fields={"kind": T("Choose one of the list.")}) from None


def _in_order(value: str) -> tuple[int, int, str]:
    """Numbers by their size, then everything else by its letters."""
    try:
        return (0, int(value), value)
    except ValueError:
        return (1, 0, value)
