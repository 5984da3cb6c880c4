"""Saves an administrator's fixed values for columns of new tickets, after checking each at the instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial

from app.core.errors import InvalidInput
from app.core.messages import Message, T
from app.core.text_limits import clean, cut, utf16_length
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.connection.active_connection import NotConnected
from app.features.connection.authorize import ONE_AT_A_TIME
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.connection.preferences import FieldValue, Preferences, keep_preferences, load_preferences
from app.features.provisioning.field_lines import (
    LONGEST_VALUE,
    USERS,
    WHOLE_NUMBERS,
    TableFacts,
    TypedValue,
    ValueControl,
    ask,
    column_problem,
    find_records,
    integration_user_name,
    read_facts,
)
from app.features.tickets.types import TicketKind
from app.integrations.http.errors import Forbidden
from app.integrations.servicenow.field_lookup import FoundRecord, find_record
from app.integrations.servicenow.parse_response import parse_time
from app.integrations.servicenow.protocol import ODD_SYS_ID, SYS_ID
from app.resources import Resources

# More lines are no defaults any more, and each reference costs a look-up.
MOST_VALUES = 25
NAMES_SHOWN = 5
# No column of ServiceNow holds a number of more digits.
MOST_DIGITS = 20


@dataclass(frozen=True)
class _Check:
    """What all lines of one form are checked against."""

    resources: Resources
    kind: TicketKind
    connection: ConnectionView
    preferences: Preferences
    facts: TableFacts


async def save_field_values(
    resources: Resources, viewer: Viewer, kind: TicketKind, typed: Mapping[str, TypedValue]
) -> None:
    """These columns get these values in new tickets of this kind, and no others do.

    Raises InvalidInput by column with nothing changed, NotConnected, or a RemoteError while the instance is asked.
    """
    if len(typed) > MOST_VALUES:
        raise InvalidInput(T("At most %(count)s columns can have a fixed value.", count=MOST_VALUES))
    async with resources.database.transaction() as session:
        connection = _required(await connection_view(session))
        preferences = await load_preferences(session, connection.id)
    facts = await read_facts(resources, kind, lambda _: list(typed))
    check = _Check(resources, kind, connection, preferences, facts)
    checked = {column: await _checked(check, column, one) for column, one in typed.items()}
    problems = {column: found for column, found in checked.items() if isinstance(found, Message)}
    if problems:
        raise InvalidInput(fields=problems)
    values = {column: found for column, found in checked.items() if isinstance(found, FieldValue)}
    async with resources.database.transaction() as session:
        await session.execute(ONE_AT_A_TIME)
        connection = _required(await connection_view(session))
        before = await load_preferences(session, connection.id)
        await keep_preferences(
            session, connection.id, replace(before, field_values={**before.field_values, kind.value: values})
        )
        told = "; ".join(f"{column}: {cut(one.shown, 80)}" for column, one in values.items())
        await log_action(
            session, viewer, T("Field values changed"), instance=connection.instance_name, kind=kind.value,
            values=told or "none",
        )  # fmt: skip


def _required(connection: ConnectionView | None) -> ConnectionView:
    if connection is None:
        raise NotConnected
    return connection


async def _checked(check: _Check, column: str, typed: TypedValue) -> FieldValue | Message:
    """The value as it will be sent, or why it cannot be."""
    problem = column_problem(check.facts, check.kind, column, check.preferences)
    if problem is not None:
        return problem
    value = clean(typed.decided)
    if not value and not typed.search.strip():
        return T("Choose or type a value, or remove this line.")
    if check.facts.control(column) is ValueControl.REFERENCE:
        return await _checked_reference(check, column, value, typed.search)
    return _checked_text(check, column, value or clean(typed.search))


def _checked_text(check: _Check, column: str, value: str) -> FieldValue | Message:
    facts, known = check.facts, (check.facts.columns or {}).get(column)
    # Of other types the dictionary's length is that of the storage, and says nothing of what is typed.
    of_text = known is not None and known.length > 0 and facts.control(column) is ValueControl.TEXT
    length = min(known.length, LONGEST_VALUE) if known is not None and of_text else LONGEST_VALUE
    if utf16_length(value) > length:
        return T("This column holds %(length)s characters.", length=length)
    control, shown, sent = facts.control(column), value, value
    match control:
        case ValueControl.CHOICE:
            labels = {choice.value: choice.label for choice in facts.choices[column]}
            if value not in labels:
                return T("The instance does not offer this choice, or no longer. Choose one of the list.")
            shown = labels[value]
        case ValueControl.FLAG if value not in ("true", "false"):
            return T("Choose one of the list.")
        case ValueControl.DAY if not _is_day(value):
            return T("This is not a date. Use the form 2026-12-31.")
        case ValueControl.MOMENT if parse_time(value) is None:
            return T("This is not a time. Use the form 2026-12-31 12:00:00, in UTC.")
        case ValueControl.NUMBER:
            number = _number(value)
            if number is None:
                return T("This is not a number.")
            if known is not None and known.kind in WHOLE_NUMBERS and "." in number:
                return T("This column holds whole numbers only.")
            shown = sent = number
        case _:
            pass
    return FieldValue(sent, shown, facts.label(column), checked=known is not None)


async def _checked_reference(check: _Check, column: str, value: str, search: str) -> FieldValue | Message:
    label, table = check.facts.label(column), check.facts.reference(column)
    before = check.preferences.field_values.get(check.kind, {}).get(column)
    if value and before is not None and value == before.value:
        return before
    if not value:
        found = await _resolved(check, table, search)
        return found if isinstance(found, Message) else FieldValue(found.sys_id, found.name, label)
    if table == USERS and value == check.connection.user_sys_id:
        # Read back when consent was given, so that it is known even where users may not be read.
        return FieldValue(value, integration_user_name(check.connection), label)
    if not ODD_SYS_ID.fullmatch(value):
        return T("This is no key of a record (sys_id). Search for the record by its name or number.")
    try:
        record = await ask(check.resources, partial(find_record, table=table, sys_id=value))
    except Forbidden:
        return FieldValue(value, value, label, checked=False)
    if record is None:
        return _not_there(table)
    return FieldValue(record.sys_id, record.name, label)


async def _resolved(check: _Check, table: str, search: str) -> FoundRecord | Message:
    """The one record that is meant by a name, a number or a sys_id."""
    typed = " ".join(search.split())
    if SYS_ID.fullmatch(typed):
        by_key = await _by_key(check, table, typed)
        return by_key or _not_there(table)
    found = await find_records(check.resources, table, typed)
    if found is None:
        return T(
            "The integration user may not read %(table)s, so nothing can be looked up there. Type the record’s sys_id.",
            table=table,
        )
    exact = [record for record in found if record.name.split(" (")[0].casefold() == typed.casefold()]
    chosen = exact if len(exact) == 1 else found
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        return T(
            "%(table)s holds no such record, as far as the integration user sees. Type its whole name or number.",
            table=table,
        )
    names = ", ".join(record.name for record in chosen[:NAMES_SHOWN])
    return T("Several records fit: %(names)s. Choose one.", names=names)


async def _by_key(check: _Check, table: str, sys_id: str) -> FoundRecord | None:
    try:
        return await ask(check.resources, partial(find_record, table=table, sys_id=sys_id))
    except Forbidden:
        return FoundRecord(sys_id, sys_id)


def _not_there(table: str) -> Message:
    return T("%(table)s holds no such record, as far as the integration user sees.", table=table)


def _is_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _number(value: str) -> str | None:
    """The number as the instance writes it back, so that it is no difference later."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        return None
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
