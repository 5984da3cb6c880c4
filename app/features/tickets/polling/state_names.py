"""What ServiceNow's states are called here and in which group they count; raw values decide, labels are for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app.core.database import Session
from app.core.errors import InvalidInput
from app.core.messages import Message, T
from app.features.connection.active_connection import NotConnected, active_connection
from app.features.tickets.models import StateChoice, StateName, Ticket
from app.features.tickets.types import CLOSED_GROUPS, GROUP_NAMES, StateCategory, TicketKind

LONGEST_LABEL = 40

# facts/servicenow 4.1 and 4.2, with the codes changes had before the state model. 0 is Review, a real and open state.
DEFAULT_GROUPS: dict[TicketKind, dict[str, StateCategory]] = {
    TicketKind.INCIDENT: {
        "1": StateCategory.NEW,
        "2": StateCategory.PROGRESS,
        "3": StateCategory.WAITING,
        "6": StateCategory.DONE,
        "7": StateCategory.DONE,
        "8": StateCategory.CANCELED,
    },
    TicketKind.CHANGE: {
        "-5": StateCategory.NEW,
        "-4": StateCategory.PROGRESS,
        "-3": StateCategory.WAITING,
        "-2": StateCategory.WAITING,
        "-1": StateCategory.PROGRESS,
        "0": StateCategory.PROGRESS,
        "1": StateCategory.NEW,
        "2": StateCategory.PROGRESS,
        "3": StateCategory.DONE,
        "4": StateCategory.CANCELED,
        "7": StateCategory.CANCELED,
    },
}
DEFAULT_LABELS: dict[TicketKind, dict[str, Message]] = {
    TicketKind.INCIDENT: {
        "1": T("New"),
        "2": T("In Progress"),
        "3": T("On Hold"),
        "6": T("Resolved"),
        "7": T("Closed"),
        "8": T("Canceled"),
    },
    TicketKind.CHANGE: {
        "-5": T("New"),
        "-4": T("Assess"),
        "-3": T("Authorize"),
        "-2": T("Scheduled"),
        "-1": T("Implement"),
        "0": T("Review"),
        "3": T("Closed"),
        "4": T("Canceled"),
    },
}


@dataclass(frozen=True)
class StateNameLine:
    """One state of the instance: its value and label there, what we call it (empty: the same), and its tickets."""

    value: str
    label: str
    own_label: str
    group: str
    count: int


@dataclass(frozen=True)
class Names:
    """Every name an administrator gave, by connection, kind and value."""

    given: Mapping[tuple[UUID, str, str], tuple[str, StateCategory]]

    def group(self, connection_id: UUID, kind: str, value: str) -> StateCategory:
        """Where a state counts; one that nobody described is unknown, and never done."""
        found = self.given.get((connection_id, kind, value))
        return found[1] if found else DEFAULT_GROUPS[TicketKind(kind)].get(value, StateCategory.UNKNOWN)

    def closed_values(self, connection_id: UUID, kind: str) -> list[str]:
        """The states that end the work."""
        given = {value for (owner, of, value) in self.given if (owner, of) == (connection_id, kind)}
        known = {*DEFAULT_GROUPS[TicketKind(kind)], *given}
        return sorted(value for value in known if self.group(connection_id, kind, value) in CLOSED_GROUPS)

    def label(self, connection_id: UUID, kind: str, value: str, remote_label: str) -> str:
        """What people read: the name given here, else the instance's own, else the usual one, else the bare value."""
        found = self.given.get((connection_id, kind, value))
        if found and found[0]:
            return found[0]
        if remote_label and remote_label != value:
            return remote_label
        usual = DEFAULT_LABELS[TicketKind(kind)].get(value)
        return str(usual) if usual else value or str(T("Not readable"))


async def load_names(session: Session) -> Names:
    """All names given, of every connection; few rows."""
    rows = (await session.execute(select(StateName))).scalars()
    return Names({(row.connection_id, row.kind, row.value): (row.own_label, StateCategory(row.group)) for row in rows})


async def list_state_names(session: Session, kind: str) -> list[StateNameLine]:
    """Every state the instance lists (else the usual ones), and any named here or seen on one of its tickets."""
    wanted = _kind(kind)
    connection = await active_connection(session)
    names = await load_names(session)
    if connection is None:
        return [
            StateNameLine(value, str(label), "", DEFAULT_GROUPS[wanted][value], 0)
            for value, label in DEFAULT_LABELS[wanted].items()
        ]
    seen = await _seen(session, connection.id, wanted)
    offered = await offered_states(session, connection.id, wanted)
    named = {value for (owner, of, value) in names.given if (owner, of) == (connection.id, wanted)}
    return [
        StateNameLine(
            value=value,
            label=seen.get(value, ("", 0))[0] or offered.get(value) or str(DEFAULT_LABELS[wanted].get(value, value)),
            own_label=names.given.get((connection.id, wanted, value), ("", StateCategory.UNKNOWN))[0],
            group=names.group(connection.id, wanted, value),
            count=seen.get(value, ("", 0))[1],
        )
        for value in sorted({*(offered or DEFAULT_LABELS[wanted]), *named, *seen}, key=_in_order)
    ]


async def offered_states(session: Session, connection_id: UUID, kind: TicketKind) -> dict[str, str]:
    """The instance's own list of states, as far as it was read; empty where we may not read it."""
    rows = await session.execute(
        select(StateChoice.value, StateChoice.label).where(
            StateChoice.connection_id == connection_id, StateChoice.kind == kind
        )
    )
    return {row[0]: row[1] for row in rows}


async def _seen(session: Session, connection_id: UUID, kind: TicketKind) -> dict[str, tuple[str, int]]:
    """States that tickets are in: the instance's label and how many."""
    rows = await session.execute(
        select(Ticket.state, func.max(Ticket.state_label), func.count())
        .where(Ticket.connection_id == connection_id, Ticket.kind == kind, Ticket.sys_id.is_not(None))
        .group_by(Ticket.state)
    )
    return {state: (label, count) for state, label, count in rows if state}


async def set_state_name(session: Session, kind: str, value: str, *, own_label: str, group: str) -> None:
    """Call a state something, and say where it counts. Raises InvalidInput or NotConnected."""
    wanted = _kind(kind)
    label = " ".join(own_label.split())
    problems: dict[str, Message] = {}
    if len(label) > LONGEST_LABEL:
        problems["own_label"] = T("At most %(limit)s characters, please.", limit=LONGEST_LABEL)
    if group not in {known.value for known in StateCategory}:
        problems["group"] = T("Choose one of the list.")
    if not value or len(value) > LONGEST_LABEL:
        problems["value"] = T("Choose one of the list.")
    if problems:
        raise InvalidInput(fields=problems)
    connection = await active_connection(session)
    if connection is None:
        raise NotConnected
    row = {"connection_id": connection.id, "kind": wanted, "value": value, "own_label": label, "group": group}
    statement = insert(StateName).values(row)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["connection_id", "kind", "value"], set_={"own_label": label, "group": group}
        )
    )


async def reset_state_names(session: Session, kind: str) -> None:
    """Forget every name given for this kind at the active connection."""
    connection = await active_connection(session)
    if connection is not None:
        await session.execute(
            delete(StateName).where(StateName.connection_id == connection.id, StateName.kind == _kind(kind))
        )


def group_choices() -> list[tuple[str, Message]]:
    """The groups as a form offers them."""
    return [(group.value, name) for group, name in GROUP_NAMES.items()]


def _kind(kind: str) -> TicketKind:
    try:
        return TicketKind(kind)
    except ValueError:
        raise InvalidInput(fields={"kind": T("Choose one of the list.")}) from None


def _in_order(value: str) -> tuple[int, int, str]:
    try:
        return (0, int(value), value)
    except ValueError:
        return (1, 0, value)
