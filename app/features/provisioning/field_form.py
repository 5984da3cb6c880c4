"""The form for fixed values of one kind's columns, as it is shown first and after an error. Stores nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.core.errors import AppError
from app.core.messages import Message, T
from app.core.text_limits import cut
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.connection.preferences import FieldValue, Preferences, load_preferences
from app.features.provisioning.change_types import ChangeTypeForm, change_type_form, offered_types
from app.features.provisioning.field_lines import (
    LONGEST_VALUE,
    USERS,
    TableFacts,
    TypedValue,
    ValueControl,
    column_named,
    column_problem,
    find_records,
    integration_user_name,
    offered_columns,
    read_facts,
)
from app.features.tickets.sharing.held_tickets import HeldGroup, held_groups
from app.features.tickets.types import TicketKind
from app.resources import Resources

NO_VALUE = TypedValue("")


@dataclass(frozen=True)
class FieldLine:
    """One column with its value. `options` are (value, text): choices, or records that a reference may hold.

    `referred` is the table of a reference. `is_unchecked`: the instance did not let us look when it was saved.
    """

    column: str
    label: str
    control: ValueControl
    value: str
    search: str
    options: Sequence[tuple[str, str | Message]]
    error: Message | None
    max_length: int
    referred: str
    is_unchecked: bool


@dataclass(frozen=True)
class FieldForm:
    """`offered` are the columns that may be added: (name, text); empty where a name has to be typed.

    `problem` is why the instance could not be asked. `not_found` are labels that no column has, `elsewhere` says where
    what a refusal asks for is filled. `held` are the tickets that wait for a mandatory field, and `is_led` is whether
    the form shows what they wait for. `change_types` is there for change requests only.
    """

    connection: ConnectionView
    lines: Sequence[FieldLine]
    offered: Sequence[tuple[str, str]]
    problem: Message | None
    not_found: Sequence[str] = ()
    elsewhere: Sequence[Message] = ()
    held: Sequence[HeldGroup] = ()
    is_led: bool = False
    change_types: ChangeTypeForm | None = None


@dataclass(frozen=True)
class FormRequest:
    """What the form is to show: what was typed, with errors, or what is saved when that is None.

    `needed` are labels or names of columns that are added, because a refusal named them or a person asks for them.
    """

    needed: Sequence[str] = ()
    typed: Mapping[str, TypedValue] | None = None
    errors: Mapping[str, Message] = field(default_factory=dict)


async def load_form(resources: Resources, kind: TicketKind, asked: FormRequest) -> FieldForm | None:
    """None without a connection. An instance that cannot be asked leaves the form as it was typed, and says so."""
    async with resources.database.transaction() as session:
        connection = await connection_view(session)
        if connection is None:
            return None
        preferences = await load_preferences(session, connection.id)
        held = [group for group in await held_groups(session, kind) if group.missing]
    saved = preferences.field_values.get(kind, {})
    kept = asked.typed if asked.typed is not None else {name: TypedValue(one.value) for name, one in saved.items()}

    def columns_of(facts: TableFacts) -> list[str]:
        return list(dict.fromkeys([*kept, *_wanted(facts, kind, preferences, asked.needed)[0]]))

    facts, problem = await _facts(resources, kind, columns_of)
    typed = {column: kept.get(column, NO_VALUE) for column in columns_of(facts)}
    lines = [
        await _line(resources, _Shown(facts, connection, saved.get(column), asked.errors.get(column)), column, one)
        for column, one in typed.items()
    ]
    return FieldForm(
        connection=connection,
        lines=lines,
        offered=[one for one in offered_columns(facts, kind, preferences) if one[0] not in typed],
        problem=problem,
        not_found=[label for label in asked.needed if not column_named(facts, label)],
        elsewhere=_wanted(facts, kind, preferences, asked.needed)[1],
        held=held,
        is_led=bool(asked.needed) or asked.typed is not None,
        change_types=_change_types(facts, preferences) if kind is TicketKind.CHANGE else None,
    )


def _change_types(facts: TableFacts, preferences: Preferences) -> ChangeTypeForm:
    return change_type_form(offered_types(facts.choices.get("type", []), facts.models), preferences)


async def one_line(resources: Resources, kind: TicketKind, column: str, typed: TypedValue) -> FieldLine | None:
    """The line of a reference with what was found for its search; None without a connection."""
    form = await load_form(resources, kind, FormRequest(typed={column: typed}))
    return form.lines[0] if form is not None else None


@dataclass(frozen=True)
class _Shown:
    facts: TableFacts
    connection: ConnectionView
    saved: FieldValue | None
    error: Message | None


async def _facts(
    resources: Resources, kind: TicketKind, columns_of: Callable[[TableFacts], Sequence[str]]
) -> tuple[TableFacts, Message | None]:
    try:
        return await read_facts(resources, kind, columns_of), None
    except AppError as error:
        return TableFacts(None, {}), error.message


def _wanted(
    facts: TableFacts, kind: TicketKind, preferences: Preferences, labels: Sequence[str]
) -> tuple[list[str], list[Message]]:
    """The columns with these labels that can be filled here, and sentences about those that cannot."""
    columns = [column for label in labels if (column := column_named(facts, label))]
    problems = {column: column_problem(facts, kind, column, preferences) for column in columns}
    return [column for column, problem in problems.items() if problem is None], [
        T("%(column)s: %(problem)s", column=facts.label(column), problem=problem)
        for column, problem in problems.items()
        if problem is not None
    ]


async def _line(resources: Resources, shown: _Shown, column: str, typed: TypedValue) -> FieldLine:
    control, known = shown.facts.control(column), (shown.facts.columns or {}).get(column)
    of_text = control is ValueControl.TEXT
    unchanged = shown.saved is not None and shown.saved.value == typed.value
    return FieldLine(
        column=column,
        label=shown.facts.label(column),
        control=control,
        # Where the instance cannot be asked, a name that was typed for a reference is a text like any other.
        value=typed.value or (typed.search if control is not ValueControl.REFERENCE else ""),
        search=typed.search,
        options=await _options(resources, shown, column, typed),
        error=shown.error,
        max_length=known.length
        if of_text and known is not None and 0 < known.length < LONGEST_VALUE
        else LONGEST_VALUE,
        referred=shown.facts.reference(column),
        is_unchecked=unchanged and shown.saved is not None and not shown.saved.checked,
    )


async def _options(
    resources: Resources, shown: _Shown, column: str, typed: TypedValue
) -> list[tuple[str, str | Message]]:
    saved = shown.saved
    current = (
        {typed.value: saved.shown if saved and saved.value == typed.value else cut(typed.value, 80)}
        if typed.value
        else {}
    )
    match shown.facts.control(column):
        case ValueControl.FLAG:
            return [("true", T("Yes")), ("false", T("No"))]
        case ValueControl.CHOICE:
            listed = {choice.value: choice.label for choice in shown.facts.choices[column]}
            return [*({**current, **listed} if typed.value not in listed else listed).items()]
        case ValueControl.REFERENCE:
            return await _records(resources, shown, column, typed.search, current)
        case _:
            return []


async def _records(
    resources: Resources, shown: _Shown, column: str, search: str, current: Mapping[str, str]
) -> list[tuple[str, str | Message]]:
    table, connection = shown.facts.reference(column), shown.connection
    kept: dict[str, str | Message] = dict(current)
    if table == USERS and connection.user_sys_id:
        name = integration_user_name(connection)
        kept[connection.user_sys_id] = T("%(name)s, the integration user", name=name)
    try:
        found = await find_records(resources, table, search) if search else []
    except AppError:
        # The options that are known stay; saving says what is wrong.
        found = []
    return [*(kept | {record.sys_id: record.name for record in found or [] if record.sys_id not in kept}).items()]
