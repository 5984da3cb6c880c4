"""The lines of the form for fixed values: what a column takes, what may be chosen, and which columns are offered.

Asks the instance for its dictionary, choices and records; stores nothing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TypeVar

from app.core.messages import Message, T
from app.features.connection import gateway
from app.features.connection.connection_view import ConnectionView
from app.features.connection.gateway import Lane, ServiceNowClient
from app.features.connection.preferences import Preferences
from app.features.tickets.sharing.fixed_columns import why_not_fixed
from app.features.tickets.types import TABLES, TicketKind
from app.integrations.servicenow.field_lookup import (
    FoundRecord,
    list_active_choices,
    list_change_models,
    search_records,
)
from app.integrations.servicenow.probes import PLAIN, TableColumn, list_columns
from app.integrations.servicenow.schemas import FieldChoice
from app.resources import Resources

Returned = TypeVar("Returned")
# A description has as many; a longer fixed value is a slip.
LONGEST_VALUE = 4000
# Values of sys_dictionary.internal_type, by what they take. Others take a text.
FLAGS = frozenset({"boolean"})
DAYS = frozenset({"glide_date"})
MOMENTS = frozenset({"glide_date_time", "due_date"})
WHOLE_NUMBERS = frozenset({"integer", "longint"})
NUMBERS = WHOLE_NUMBERS | {"decimal", "float", "percent_complete"}
# A journal takes entries and holds no value, and what is secret is no default.
# docs/facts/servicenow.md#4-3-shared-task-fields, docs/facts/servicenow.md#trap-35
NEVER_FIXED = frozenset({"journal", "journal_input", "journal_list", "password", "password2", "GUID", "collection"})
# Labels of the base system, for instances that do not let us read the dictionary.
USUAL_COLUMNS = {
    "caller": "caller_id", "configuration item": "cmdb_ci", "service": "business_service",
    "business service": "business_service", "channel": "contact_type", "contact type": "contact_type",
    "model": "chg_model", "change model": "chg_model", "planned start date": "start_date",
    "planned end date": "end_date",
}  # fmt: skip


# Tables that references of the base system lead to, for the same instances.
USERS = "sys_user"
USUAL_REFERENCES = {
    "caller_id": USERS, "requested_by": USERS, "assigned_to": USERS, "cmdb_ci": "cmdb_ci",
    "business_service": "cmdb_ci_service",
}  # fmt: skip


class ValueControl(StrEnum):
    """How a value is typed or chosen."""

    REFERENCE = "reference"
    CHOICE = "choice"
    FLAG = "flag"
    DAY = "day"
    MOMENT = "moment"
    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True)
class TypedValue:
    """What a person typed for a column.

    `search` is the name or number of a record that a reference is to hold, `seen` the one whose matches were shown.
    """

    value: str
    search: str = ""
    seen: str = ""

    @property
    def decided(self) -> str:
        """The value, unless a person typed a name after it was chosen: then the name counts."""
        return "" if self.search and self.search != self.seen else self.value


@dataclass(frozen=True)
class TableFacts:
    """What the instance lets us read of a table; `columns` is None where the dictionary may not be read.

    `models` are those of change requests.
    """

    columns: Mapping[str, TableColumn] | None
    choices: Mapping[str, Sequence[FieldChoice]]
    models: Sequence[FoundRecord] = ()

    def control(self, name: str) -> ValueControl:
        if self.reference(name):
            return ValueControl.REFERENCE
        if self.choices.get(name):
            return ValueControl.CHOICE
        column = (self.columns or {}).get(name)
        kind = column.kind if column is not None else ""
        for control, kinds in (
            (ValueControl.FLAG, FLAGS), (ValueControl.DAY, DAYS), (ValueControl.MOMENT, MOMENTS), (ValueControl.NUMBER, NUMBERS),
        ):  # fmt: skip
            if kind in kinds:
                return control
        return ValueControl.TEXT

    def label(self, name: str) -> str:
        column = (self.columns or {}).get(name)
        return (column.label if column else "") or name

    def reference(self, name: str) -> str:
        """The table that a reference leads to; empty for another column."""
        if self.columns is None:
            return USUAL_REFERENCES.get(name, "")
        column = self.columns.get(name)
        return column.reference if column else ""


async def ask(resources: Resources, work: Callable[[ServiceNowClient], Awaitable[Returned]]) -> Returned:
    """One call for a person who waits for the page. Raises NotConnected, InstancePaused or a RemoteError."""
    return await gateway.call(resources, work, lane=Lane.INTERACTIVE)


async def read_facts(
    resources: Resources, kind: TicketKind, columns_of: Callable[[TableFacts], Sequence[str]]
) -> TableFacts:
    """The dictionary of this kind's table, and the choices of the columns that it leads to. Raises as `ask` does.

    Of change requests the types and models are read as well.
    """
    is_change = kind is TicketKind.CHANGE

    async def work(client: ServiceNowClient) -> TableFacts:
        facts = TableFacts(await list_columns(client, TABLES[kind]), {})
        # Of references only the records are offered, which are looked up by name.
        wanted = [column for column in columns_of(facts) if not facts.reference(column)]
        choices = await list_active_choices(client, TABLES[kind], [*wanted, *(["type"] if is_change else [])])
        return TableFacts(facts.columns, choices, await list_change_models(client) if is_change else ())

    return await ask(resources, work)


async def find_records(resources: Resources, table: str, typed: str) -> list[FoundRecord] | None:
    """Records of the table that a reference may hold; None where it may not be read, none for odd letters."""
    try:
        return await ask(resources, partial(search_records, table=table, typed=" ".join(typed.split())))
    except ValueError:
        return []


def integration_user_name(connection: ConnectionView) -> str:
    """As people know the account that consented."""
    name = connection.user_display_name or connection.user_name
    return f"{name} ({connection.user_name})" if name != connection.user_name else name


def column_problem(facts: TableFacts, kind: TicketKind, name: str, preferences: Preferences) -> Message | None:
    """Why this column cannot be given a fixed value; None when it can, as far as the instance tells."""
    if not PLAIN.fullmatch(name):
        return T("This is no name of a column.")
    reserved = why_not_fixed(kind, name, preferences)
    if reserved is not None or facts.columns is None:
        return reserved
    column = facts.columns.get(name)
    if column is None:
        return T("The table %(table)s has no column of this name.", table=TABLES[kind])
    if column.read_only:
        return T("This column is read-only.")
    if column.kind in NEVER_FIXED:
        return T("A column of the type %(kind)s takes no fixed value.", kind=column.kind)
    return None


def offered_columns(facts: TableFacts, kind: TicketKind, preferences: Preferences) -> list[tuple[str, str]]:
    """(name, label with name) of the columns that may be fixed, by label; none where the dictionary may not be read."""
    names = [name for name in facts.columns or {} if column_problem(facts, kind, name, preferences) is None]
    offered = [(name, f"{facts.label(name)} ({name})") for name in names]
    return sorted(offered, key=lambda one: one[1].casefold())


def column_named(facts: TableFacts, label: str) -> str:
    """The column with this label or name; a guess where the dictionary may not be read, empty when there is none."""
    wanted = " ".join(label.split()).casefold()
    if facts.columns is not None:
        named = (name for name, column in facts.columns.items() if wanted in (column.label.casefold(), name))
        return next(named, "")
    guess = USUAL_COLUMNS.get(wanted) or re.sub(r"[^a-z0-9]+", "_", wanted).strip("_")
    return guess if PLAIN.fullmatch(guess) else ""
