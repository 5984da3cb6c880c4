"""What an administrator has decided for new tickets at the connected instance. Touches rows only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from app.core.database import Session
from app.features.connection.models import TicketPreferences

IMPACTS = ("high", "moderate", "low")
# What follows when an action is shared whose ticket is done: a new ticket that names the old one, or the old one again,
# which people reopen in ServiceNow. We never write a state: business rules refuse illegal transitions, and closing or
# reopening asks for fields that differ from site to site. docs/facts/servicenow.md#4-2-change-request
NEW, REOPEN = AFTER_DONE = ("new", "reopen")
USUAL_PRIORITIES = {"high": 2, "moderate": 3, "low": 4}
# Days until a ticket of each priority is due, unless an administrator decided otherwise.
USUAL_DUE_DAYS = {1: 7, 2: 14, 3: 30, 4: 60, 5: 90}


@dataclass(frozen=True)
class ChangeType:
    """What decides the process of a change request: `column` is "type" or "chg_model", `value` is sent in it.

    `label` is the instance's own name of it. docs/facts/servicenow.md#4-2-change-request
    """

    column: str
    value: str
    label: str

    @property
    def key(self) -> str:
        """Its name in forms and in the ticket."""
        return f"{self.column}:{self.value}"


# Without a type and without a model the instance decides, and that differs from release to release:
# https://www.servicenow.com/docs/r/api-reference/rest-apis/change-management-api.html
NORMAL_CHANGE = ChangeType("type", "normal", "Normal")


@dataclass(frozen=True)
class FieldValue:
    """The fixed value of a column: `value` is sent, `shown` is how people read it, `label` the column's own name.

    `checked`: the instance confirmed it when it was saved, as far as it let us look.
    """

    value: str
    shown: str
    label: str
    checked: bool = True


@dataclass(frozen=True)
class Preferences:
    """`priorities` by score impact, `due_days` by priority. Empty texts decide nothing.

    `names_sender`: what is sent carries the name and e-mail address of who shares, besides the user ID.
    `columns` maps a ticket kind to `{data item: column of the instance's own}`; `after_done` is one of AFTER_DONE.
    `field_values` maps a ticket kind to `{column: its fixed value}`. `change_type` is that of change requests, and
    `change_types` are those among which people may choose when they share; empty where they may not.
    """

    kind: str = ""
    priorities: Mapping[str, int] = field(default_factory=lambda: dict(USUAL_PRIORITIES))
    due_days: Mapping[int, int] = field(default_factory=lambda: dict(USUAL_DUE_DAYS))
    category: str = ""
    group_id: str = ""
    group_name: str = ""
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    after_done: str = NEW
    names_sender: bool = True
    field_values: Mapping[str, Mapping[str, FieldValue]] = field(default_factory=dict)
    change_type: ChangeType = NORMAL_CHANGE
    change_types: Sequence[ChangeType] = ()

    def change_type_of(self, key: str) -> ChangeType | None:
        """The type with this key: the administrator's for an empty one, None for one that is not offered."""
        if key in ("", self.change_type.key):
            return self.change_type
        return next((one for one in self.change_types if one.key == key), None)


async def load_preferences(session: Session, connection_id: UUID | None) -> Preferences:
    """Those of this connection, or the usual ones."""
    row = await session.get(TicketPreferences, connection_id) if connection_id else None
    if row is None:
        return Preferences()
    stored = row.proposals
    return Preferences(
        kind=str(stored.get("kind", "")),
        # Merged, so that a key that is added to the usual ones later has its value for older rows as well. JSON has no
        # numbers as keys, hence int(name).
        priorities=USUAL_PRIORITIES | {name: int(value) for name, value in stored.get("priorities", {}).items()},
        due_days=USUAL_DUE_DAYS | {int(name): int(value) for name, value in stored.get("due_days", {}).items()},
        category=str(stored.get("category", "")),
        group_id=row.group_id,
        group_name=row.group_name,
        columns={str(kind): {str(k): str(v) for k, v in columns.items()} for kind, columns in row.columns.items()},
        after_done=REOPEN if stored.get("after_done") == REOPEN else NEW,
        field_values={
            str(kind): {str(column): FieldValue(**value) for column, value in values.items()}
            for kind, values in row.field_values.items()
        },
        change_type=ChangeType(**row.change_types["default"]) if row.change_types else NORMAL_CHANGE,
        change_types=tuple(ChangeType(**one) for one in row.change_types.get("choices", [])),
        names_sender=row.names_sender,
    )


async def keep_preferences(session: Session, connection_id: UUID, wanted: Preferences) -> None:
    values = {
        "proposals": {
            "kind": wanted.kind,
            "priorities": dict(wanted.priorities),
            "due_days": {str(priority): days for priority, days in wanted.due_days.items()},
            "category": wanted.category,
            "after_done": wanted.after_done,
        },
        "columns": {kind: dict(columns) for kind, columns in wanted.columns.items()},
        "field_values": {
            kind: {column: asdict(value) for column, value in values.items()}
            for kind, values in wanted.field_values.items()
        },
        "change_types": {
            "default": asdict(wanted.change_type),
            "choices": [asdict(one) for one in wanted.change_types],
        },
        "group_id": wanted.group_id,
        "group_name": wanted.group_name,
    }
    row = insert(TicketPreferences).values(connection_id=connection_id, **values)
    await session.execute(row.on_conflict_do_update(index_elements=["connection_id"], set_=values))


async def keep_sender_named(session: Session, connection_id: UUID, *, named: bool) -> None:
    row = insert(TicketPreferences).values(connection_id=connection_id, names_sender=named)
    await session.execute(row.on_conflict_do_update(index_elements=["connection_id"], set_={"names_sender": named}))
