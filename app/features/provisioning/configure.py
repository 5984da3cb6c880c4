"""Saves an administrator's decisions: proposals for new tickets, own columns, state names. Checks them at the instance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from app.core.database import Session
from app.core.errors import InvalidInput
from app.core.messages import Message, T
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.connection import gateway
from app.features.connection.active_connection import NotConnected
from app.features.connection.authorize import ONE_AT_A_TIME
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.connection.gateway import Lane, ServiceNowClient
from app.features.connection.preferences import (
    AFTER_DONE,
    IMPACTS,
    NEW,
    Preferences,
    keep_preferences,
    keep_sender_named,
    load_preferences,
)
from app.features.tickets.form_controls import ControlType
from app.features.tickets.polling.state_names import list_state_names, reset_state_names, set_state_name
from app.features.tickets.ticket_fields import TicketField, copied_fields
from app.features.tickets.types import TABLES, TicketKind
from app.integrations.servicenow.probes import (
    PLAIN,
    SEARCHABLE,
    AssignmentGroup,
    TableColumn,
    list_columns,
    list_groups,
)
from app.resources import Resources

Returned = TypeVar("Returned")
# Ten years: longer is a slip of the keyboard.
LONGEST_DUE_DAYS = 3650
# A higher number means a lower priority; ServiceNow has five (docs/facts/servicenow.md#4-3-shared-task-fields).
PRIORITIES = range(1, 6)
HAS_FIXED_VALUE = T("This column has a fixed value. Remove that under Field values first.")
# Names of groups that a sentence lists.
GROUPS_NAMED = 5
# Values of sys_dictionary.internal_type. These hold a text as it is sent; others would refuse it or turn it into
# something else, and ServiceNow says neither (docs/facts/servicenow.md#2-6-error-envelope).
TEXT_KINDS = frozenset({"string", "string_full_utf8", "html", "multi_small", "choice"})
# A date column takes only a date.
DATE_KINDS = frozenset({"glide_date_time", "glide_date"})


@dataclass(frozen=True)
class Proposals:
    """What the form proposes for a new ticket: `priorities` by score impact, `due_days` by priority.

    `group_name` is looked up at the instance, and may be empty.
    """

    kind: str
    priorities: Mapping[str, int]
    due_days: Mapping[int, int]
    category: str
    group_name: str
    after_done: str = NEW


async def find_groups(resources: Resources, typed: str, *, exactly: bool = False) -> list[AssignmentGroup]:
    """Groups whose names hold this text, or are exactly this; none for letters that cannot be searched for."""
    name = " ".join(typed.split())
    try:
        # GET sys_user_group by a LIKE query. What an encoded query is made of may not enter it, because escaping is
        # undocumented (docs/facts/servicenow.md#2-3-encoded-query).
        return list(await _ask(resources, partial(list_groups, typed=name, exactly=exactly)))
    except ValueError:
        return []


async def _ask(resources: Resources, work: Callable[[ServiceNowClient], Awaitable[Returned]]) -> Returned:
    # Interactive: a person waits for the form.
    return await gateway.call(resources, work, lane=Lane.INTERACTIVE)


def proposal_problems(wanted: Proposals) -> dict[str, Message]:
    """What cannot be proposed, by the form's field."""
    problems: dict[str, Message] = {}
    if wanted.kind not in {kind.value for kind in TicketKind}:
        problems["kind"] = T("Choose one of the list.")
    if wanted.after_done not in AFTER_DONE:
        problems["after_done"] = T("Choose one of the list.")
    for impact in IMPACTS:
        if wanted.priorities.get(impact) not in PRIORITIES:
            problems[f"priority_{impact}"] = T("Choose one of the list.")
    for priority, days in wanted.due_days.items():
        if not 0 <= days <= LONGEST_DUE_DAYS:
            problems[f"due_{priority}"] = T("A number of days from 0 to %(most)s.", most=LONGEST_DUE_DAYS)
    return problems


async def save_proposals(resources: Resources, viewer: Viewer, wanted: Proposals) -> None:
    """Store them. Raises InvalidInput by field, NotConnected, or a RemoteError while the group is looked up."""
    problems = proposal_problems(wanted)
    if problems:
        raise InvalidInput(fields=problems)
    # Before the transaction: none may span a remote call.
    group = await _find_group(resources, wanted.group_name) if wanted.group_name else AssignmentGroup("", "")
    async with resources.database.transaction() as session:
        await session.execute(ONE_AT_A_TIME)
        connection = await connection_view(session)
        if connection is None:
            raise NotConnected
        before = await load_preferences(session, connection.id)
        after = replace(
            before, kind=wanted.kind, priorities=wanted.priorities, due_days=wanted.due_days, category=wanted.category,
            group_id=group.sys_id, group_name=group.name, after_done=wanted.after_done,
        )  # fmt: skip
        await keep_preferences(session, connection.id, after)
        await log_action(
            session, viewer, T("Defaults for new tickets changed"), instance=connection.instance_name, kind=wanted.kind,
            group=group.name or "none", category=wanted.category or "none", after_done=wanted.after_done,
        )  # fmt: skip


async def save_columns(resources: Resources, viewer: Viewer, kind: str, typed: Mapping[str, str]) -> None:
    """Copy data items to these columns of the instance's own, by item.

    Raises InvalidInput by field, NotConnected, or a RemoteError while the columns are looked up.
    """
    if kind not in {known.value for known in TicketKind}:
        raise InvalidInput(fields={"kind": T("Choose one of the list.")})
    wanted = {item: typed[item].strip().lower() for item in copied_fields() if typed.get(item, "").strip()}
    problems = await _column_problems(resources, TicketKind(kind), wanted) if wanted else {}
    if problems:
        raise InvalidInput(fields=problems)
    async with resources.database.transaction() as session:
        await session.execute(ONE_AT_A_TIME)
        connection = await connection_view(session)
        if connection is None:
            raise NotConnected
        before = await load_preferences(session, connection.id)
        fixed = before.field_values.get(kind, {})
        taken = {item: HAS_FIXED_VALUE for item, column in wanted.items() if column in fixed}
        if taken:
            raise InvalidInput(fields=taken)
        await keep_preferences(session, connection.id, replace(before, columns={**before.columns, kind: wanted}))
        await log_action(
            session, viewer, T("Columns for data items changed"), instance=connection.instance_name, kind=kind,
            columns=", ".join(f"{item} to {column}" for item, column in wanted.items()) or "none",
        )  # fmt: skip


async def save_state_names(session: Session, viewer: Viewer, kind: str, typed: Mapping[str, str]) -> None:
    """Store those labels and groups that differ; one bad line changes none, because the caller's transaction ends.

    `typed` holds "label:<value>" and "group:<value>" for each state; what is missing stays. Raises InvalidInput.
    """
    for line in await list_state_names(session, kind):
        label = typed.get(f"label:{line.value}", line.own_label)
        group = typed.get(f"group:{line.value}", line.category)
        if (label, group) != (line.own_label, line.category):
            await set_state_name(session, kind, line.value, own_label=label, category=group)
            await log_action(
                session, viewer, T("State name changed"), kind=kind, renamed=line.label, called=label, group=group
            )


async def forget_state_names(session: Session, viewer: Viewer, kind: str) -> None:
    """Delete every own name of this kind, so that the instance's names are shown."""
    await reset_state_names(session, kind)
    await log_action(session, viewer, T("State names reset"), kind=kind)


async def save_sender_named(session: Session, viewer: Viewer, *, named: bool) -> None:
    """Whether records and notes name who shares, besides the user ID. Raises NotConnected."""
    connection = await connection_view(session)
    if connection is None:
        raise NotConnected
    await keep_sender_named(session, connection.id, named=named)
    action = T("Sender’s name is sent with tickets") if named else T("Sender’s name is left out of tickets")
    await log_action(session, viewer, action, instance=connection.instance_name)


async def load_configuration(resources: Resources) -> tuple[ConnectionView | None, Preferences]:
    async with resources.database.transaction() as session:
        connection = await connection_view(session)
        return connection, await load_preferences(session, connection.id if connection else None)


async def _find_group(resources: Resources, typed: str) -> AssignmentGroup:
    name = " ".join(typed.split())
    if not SEARCHABLE.fullmatch(name):
        raise InvalidInput(fields={"group_name": T("A name with ^, =, <, > or a colon cannot be searched for.")})
    found = await find_groups(resources, name)
    # At most 25 are listed, so that among many similar names it may be missing.
    same = groups_named(found, name) or groups_named(await find_groups(resources, name, exactly=True), name)
    if len(same) == 1:
        return same[0]
    if same:
        raise InvalidInput(fields={"group_name": T("Several groups have exactly this name. Rename one of them first.")})
    names = ", ".join(group.name for group in found[:GROUPS_NAMED])
    sentence = (
        T("No group has exactly this name. Similar ones: %(names)s.", names=names)
        if names
        else T("The instance has no active group of this name, as far as the integration user sees.")
    )
    raise InvalidInput(fields={"group_name": sentence})


def groups_named(groups: Sequence[AssignmentGroup], name: str) -> list[AssignmentGroup]:
    """Those of this name, without regard to case and doubled blanks."""
    return [group for group in groups if " ".join(group.name.split()).casefold() == name.casefold()]


async def _column_problems(resources: Resources, kind: TicketKind, wanted: Mapping[str, str]) -> dict[str, Message]:
    """Why columns cannot be used, by item; a column that cannot be looked up is refused."""
    table = TABLES[kind]
    # GET sys_dictionary. ServiceNow ignores unknown columns of a new record and reports no error
    # (docs/facts/servicenow.md#2-6-error-envelope), so they are looked up before anything is sent to them.
    columns = await _ask(resources, partial(list_columns, table=table))
    if columns is None:
        sentence = T("The integration user may not read the dictionary (sys_dictionary), so columns cannot be checked.")
        return dict.fromkeys(wanted, sentence)
    fields = copied_fields()
    problems = {item: column_problem(columns, column, table, fields[item]) for item, column in wanted.items()}
    twice = {column for column in wanted.values() if list(wanted.values()).count(column) > 1}
    for item, column in wanted.items():
        if column in twice:
            problems[item] = T("Two data items cannot go to the same column.")
    return {item: problem for item, problem in problems.items() if problem is not None}


def column_problem(columns: Mapping[str, TableColumn], name: str, table: str, field: TicketField) -> Message | None:
    """Why this field cannot be copied to this column; None when it can. `columns` are those of the table."""
    column = columns.get(name) if PLAIN.fullmatch(name) else None
    if column is None:
        return T("The table %(table)s has no column of this name.", table=table)
    # What customers and store apps add is named u_… and x_…; everything else is ServiceNow's own.
    if not name.startswith(("u_", "x_")):
        return T("Only columns of your own (u_… or x_…) may be used: the others mean something to ServiceNow.")
    if column.read_only:
        return T("This column is read-only.")
    if column.kind in DATE_KINDS:
        is_day = field.control is not None and field.control.type is ControlType.DAY
        return None if is_day else T("This column holds a date: only the due date can go there.")
    if column.kind not in TEXT_KINDS:
        return T("This column does not hold text (it is of the type %(kind)s).", kind=column.kind or "–")
    if 0 < column.length < field.limit:
        return T("This column holds %(length)s characters, and this data item can have up to %(most)s.",
                 length=column.length, most=field.limit)  # fmt: skip
    return None
