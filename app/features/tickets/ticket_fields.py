"""The list of ticket fields: what each is called, how it is typed, checked, sent and shown. Reads and writes nothing.

Form, record, edit, differences, data-exchange page and custom columns are derived from `FIELDS`. The data items are those
that Microsoft's own connector sent: docs/facts/servicenow.md#9-microsoft-s-own-connector-what-we-mirror
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field as Limited

from app.core.messages import Message, T
from app.core.text_limits import clean, cut, one_line
from app.features.secure_score.vocabulary import Category
from app.features.tickets.due_moment import usual_due_moment
from app.features.tickets.form_controls import ControlType, FormControl
from app.features.tickets.models import Ticket
from app.features.tickets.types import KINDS, PRIORITY_NAMES, TicketKind, priority_name
from app.integrations.servicenow.protocol import format_time

# Lengths of ServiceNow's columns. Longer texts are cut here, visibly, because it is not known whether an instance would
# cut or refuse them. docs/facts/servicenow.md#4-3-shared-task-fields
LONGEST_NAME = 160
LONGEST_DESCRIPTION = 4000
# What the labelled lines below it leave of the column at least, unless many actions are shared as one ticket.
SURE_DESCRIPTION = 3000
# What the form accepts as a name; the record's text holds all of it.
LONGEST_TYPED_NAME = 400
LATEST_DUE_YEARS = 10
LONGEST_CHANGE_TYPE = 60  # "type:" and a choice's value, or "chg_model:" and a sys_id.


class TicketSource(StrEnum):
    """Who recommends the task; the value is what is sent."""

    MICROSOFT = "Microsoft recommendation"
    USER = "User recommendation"


@dataclass(frozen=True)
class TicketRequest:
    """What is asked for: as a form proposes it, as a person has decided it, and as a ticket keeps it.

    Every attribute but `kind` is one of `FIELDS`. In a proposal, `category` may be empty: it has to be chosen.
    """

    kind: TicketKind
    name: str
    description: str
    priority: int
    due_date: date
    source: TicketSource
    category: str
    # `ChangeType.key` of what a person chose for a change request; empty for what the administrator decided.
    change_type: str = ""


@dataclass(frozen=True)
class Requester:
    """Who shares. `oid` is the Entra ID object ID, `address` where the browser calls from, for the audit log."""

    person_id: UUID | None
    oid: str
    name: str
    email: str
    address: str = ""

    @property
    def display_name(self) -> str:
        """The name under which the audit log knows persons."""
        return self.name


class Shown(StrEnum):
    """Where the ticket's page shows a field: among its facts, as running text, or in a line of its own."""

    FACT = "fact"
    TEXT = "text"
    OWN_LINE = "own_line"


@dataclass(frozen=True)
class RecordLine:
    """A labelled line in the record's text, which arrives on every instance, with any columns."""

    label: Message
    value: Callable[[TicketRequest, Requester], str]


@dataclass(frozen=True)
class TicketField:
    """One data item of a ticket.

    `name` is the attribute of TicketRequest, the column of Ticket and the name of the form field. `label` names it on our
    pages, `sent_as` where it is sent. `value` is what a column of ServiceNow receives, at most `limit` UTF-16 units.
    `restored` makes the attribute of what the column of Ticket keeps.
    `columns` are the columns of ServiceNow that hold it, with the names that people know; where `fills_column`, its only
    column receives `value`, otherwise record.py says what. `problem` is why a value cannot be taken, on this day.
    """

    name: str
    label: Message
    sent_as: Message
    limit: int
    value: Callable[[TicketRequest, Requester], str]
    restored: Callable[[Any], Any] = lambda stored: stored
    columns: Mapping[str, Message] = field(default_factory=dict)
    fills_column: bool = False
    line: RecordLine | None = None
    control: FormControl | None = None
    problem: Callable[[TicketRequest, date], Message | None] = lambda _request, _today: None
    exchanged_as: Message | None = None
    shown: Shown = Shown.FACT
    shown_value: Callable[[TicketRequest], str | date] | None = None
    can_be_copied: bool = True
    is_of_requester: bool = False
    # Whether it is one of the data items that are named to people; the others follow from the configuration.
    is_data_item: bool = True

    def stored(self, request: TicketRequest) -> Any:  # noqa: ANN401 - a text, a number or a day, as the column has it.
        """What the ticket keeps of this request: texts without characters that could not be sent."""
        value = getattr(request, self.name)
        if self.control is None or self.control.type not in (ControlType.TEXT, ControlType.AREA):
            return value
        # A one-line column of ServiceNow shows a line break as a blank at best.
        return clean(value).replace("\n", " ") if self.control.type is ControlType.TEXT else clean(value)


def _required(name: str) -> Callable[[TicketRequest, date], Message | None]:
    def problem(request: TicketRequest, _today: date) -> Message | None:
        return None if clean(getattr(request, name)) else T("This is required.")

    return problem


def _priority_problem(request: TicketRequest, _today: date) -> Message | None:
    if request.priority not in PRIORITY_NAMES:
        return T("Choose one of the list.")
    # The form offers all five for both kinds, because without a script it cannot know which kind will be chosen.
    spec = KINDS[request.kind]
    return None if request.priority in spec.priority_columns else spec.priority_problem


def _due_date_problem(request: TicketRequest, today: date) -> Message | None:
    if request.due_date < today:
        return T("This day has passed. Choose today or a later day.")
    # A year such as 2206 is a typing error, and ServiceNow would keep it silently.
    if request.due_date.year > today.year + LATEST_DUE_YEARS:
        return T("This day is more than %(years)s years away.", years=LATEST_DUE_YEARS)
    return None


def _requester_line(_request: TicketRequest, requester: Requester) -> str:
    # Bounded like every line, so that a display name of any length leaves most of the text to the description.
    user_id = f"{T('user ID')} {cut(one_line(requester.oid), 64)}"
    name = f"{requester.name} <{requester.email}>" if requester.email else requester.name
    return f"{cut(one_line(name), 200)}, {user_id}" if name else user_id


def _one_line_name(request: TicketRequest) -> str:
    return clean(request.name).replace("\n", " ")


FIELDS: tuple[TicketField, ...] = (
    TicketField(
        name="requested_by",
        label=T("Shared by"),
        # In the words of Microsoft's connector:
        # docs/facts/microsoft-graph.md#3-4-the-servicenow-connector-of-2020-retired
        sent_as=T("User ID that initiates the ticket creation"),
        # The object ID of Entra ID, a GUID: names and e-mail addresses change, and Microsoft's connector sent it as well.
        # docs/facts/servicenow.md#9-microsoft-s-own-connector-what-we-mirror
        limit=36,
        value=lambda _request, requester: one_line(requester.oid),
        line=RecordLine(T("Requested by"), _requester_line),
        shown=Shown.OWN_LINE,
        is_of_requester=True,
    ),
    TicketField(
        name="name",
        label=T("Name"),
        sent_as=T("Task name"),
        limit=LONGEST_NAME,
        value=lambda request, _requester: cut(_one_line_name(request), LONGEST_NAME),
        columns={"short_description": T("Name")},
        fills_column=True,
        # The text repeats the whole name, because the column may hold only its beginning.
        line=RecordLine(T("Task name"), lambda request, _: cut(_one_line_name(request), LONGEST_TYPED_NAME)),
        control=FormControl(
            ControlType.TEXT,
            T("Name"),
            Annotated[str, Limited(max_length=LONGEST_TYPED_NAME)],
            hint=T(
                "ServiceNow keeps the first %(limit)s characters as the name. A longer one stands whole in the description.",
                limit=LONGEST_NAME,
            ),
            max_length=LONGEST_TYPED_NAME,
            counted=LONGEST_NAME,
            over=T("ServiceNow shows the beginning as the name, and the whole in the description."),
        ),
        problem=_required("name"),
    ),
    TicketField(
        name="description",
        label=T("Description"),
        sent_as=T("Task description"),
        limit=LONGEST_DESCRIPTION,
        value=lambda request, _requester: cut(clean(request.description), LONGEST_DESCRIPTION),
        # No `fills_column`: record.py shortens the text once more, because the lines below it need a part of the column.
        columns={"description": T("Description")},
        control=FormControl(
            ControlType.AREA,
            T("Description"),
            str,
            hint=T(
                "ServiceNow keeps 4,000 characters, of which the details that we add below take up to 1,000. A longer text is "
                "cut at its end there, and stays whole here."
            ),
            rows=14,
            counted=SURE_DESCRIPTION,
            over=T("The end of it may be cut in ServiceNow; it stays whole here."),
        ),
        problem=_required("description"),
        shown=Shown.TEXT,
    ),
    TicketField(
        name="priority",
        label=T("Priority"),
        sent_as=T("Priority"),
        limit=1,
        value=lambda request, _requester: str(request.priority),
        # Which of them are sent depends on the kind: KindSpec.priority_columns.
        columns={"impact": T("Impact"), "urgency": T("Urgency"), "priority": T("Priority")},
        line=RecordLine(
            T("Priority"), lambda request, _: f"{request.priority} - {priority_name(str(request.priority))}"
        ),
        control=FormControl(
            ControlType.SELECT,
            T("Priority"),
            int,
            hint=T("Planning is for incidents only."),
            choices=[
                (str(value), T("%(value)s - %(name)s", value=value, name=name))
                for value, name in PRIORITY_NAMES.items()
            ],
            is_narrow=True,
        ),
        problem=_priority_problem,
        shown_value=lambda request: str(priority_name(str(request.priority))),
    ),
    TicketField(
        name="due_date",
        label=T("Due date"),
        sent_as=T("Due date"),
        limit=len("2026-12-31 12:00:00"),
        # Until it is sent: delivery/due_date.py moves it on when that moment has passed by then.
        value=lambda request, _requester: format_time(usual_due_moment(request.due_date)),
        columns={"due_date": T("Due date")},
        fills_column=True,
        line=RecordLine(T("Due date"), lambda request, _: request.due_date.isoformat()),
        control=FormControl(ControlType.DAY, T("Due date"), date, is_narrow=True),
        problem=_due_date_problem,
    ),
    TicketField(
        name="source",
        label=T("Recommendation source"),
        sent_as=T("Recommendation source"),
        # No control: it follows from what the ticket is made of, and a person could not know better.
        limit=max(len(source) for source in TicketSource),
        value=lambda request, _requester: request.source.value,
        restored=TicketSource,
        line=RecordLine(T("Recommendation source"), lambda request, _: request.source.value),
        exchanged_as=T("Recommendation source (User or Microsoft recommendation)"),
    ),
    TicketField(
        name="category",
        label=T("Recommendation category"),
        sent_as=T("Recommendation category"),
        limit=max(len(category) for category in Category),
        value=lambda request, _requester: request.category,
        line=RecordLine(T("Recommendation category"), lambda request, _: request.category),
        control=FormControl(
            ControlType.SELECT,
            T("Category"),
            Category,
            choices=[(category.value, category.value) for category in Category],
            empty=T("Choose a category"),
        ),
        exchanged_as=T("Recommendation category (Devices, Data, Apps, Identity, Infrastructure)"),
    ),
    TicketField(
        name="change_type",
        label=T("Change type"),
        sent_as=T("Change type"),
        limit=LONGEST_CHANGE_TYPE,
        value=lambda request, _requester: request.change_type,
        # Its choices are the administrator's (Preferences.change_types); without any, the form does not ask.
        control=FormControl(
            ControlType.SELECT,
            T("Change type"),
            Annotated[str, Limited(max_length=LONGEST_CHANGE_TYPE)],
            default="",
            hint=T("For change requests only."),
        ),
        shown=Shown.OWN_LINE,
        can_be_copied=False,
        is_data_item=False,
    ),
)


def typed_fields(fields: Sequence[TicketField] = FIELDS) -> list[tuple[str, FormControl]]:
    """The names and controls of what a person types, in the form's order."""
    return [(one.name, one.control) for one in fields if one.control is not None]


def copied_fields(fields: Sequence[TicketField] = FIELDS) -> dict[str, TicketField]:
    """The fields that may also be copied to a column of the instance's own, by name."""
    return {one.name: one for one in fields if one.can_be_copied}


def exchanged_items(fields: Sequence[TicketField] = FIELDS) -> list[Message]:
    """What is sent with each ticket, as the data-exchange page lists it."""
    return [one.exchanged_as or one.sent_as for one in fields if one.is_data_item]


def column_labels(fields: Sequence[TicketField] = FIELDS) -> dict[str, Message]:
    """The names of ServiceNow's columns that a ticket fills, for sentences about what became of them."""
    labels = {name: label for one in fields for name, label in one.columns.items()}
    decided = {"assignment_group": T("Assignment group"), "type": T("Change type"), "chg_model": T("Change model")}
    return labels | decided | {"correlation_display": T("Marker")}


def stored_values(request: TicketRequest, fields: Sequence[TicketField] = FIELDS) -> dict[str, Any]:
    """The columns of a ticket that keep what was asked: `{"kind": …, "name": …, "priority": 2, …}`."""
    return {"kind": request.kind} | {one.name: one.stored(request) for one in fields if not one.is_of_requester}


def stored_request(ticket: Ticket) -> TicketRequest:
    """What was asked, from the columns of a ticket."""
    kept = {one.name: one.restored(getattr(ticket, one.name)) for one in FIELDS if not one.is_of_requester}
    return TicketRequest(kind=TicketKind(ticket.kind), **kept)


def form_values(request: TicketRequest, fields: Sequence[TicketField] = FIELDS) -> dict[str, str]:
    """The request as the form's fields show it: every value a text, days as 2026-12-31."""
    typed = {name: str(getattr(request, name)) for name, _ in typed_fields(fields)}
    return {"kind": request.kind.value, **typed}


@dataclass(frozen=True)
class ShownField:
    """A field on the ticket's page. `value` is a day, or a text as people read it."""

    label: Message
    value: str | date
    shown: Shown

    @property
    def is_day(self) -> bool:
        """Whether the page writes it as a date."""
        return isinstance(self.value, date)


def shown_fields(request: TicketRequest, fields: Sequence[TicketField] = FIELDS) -> list[ShownField]:
    """What was asked, in the order of the page; without what has a line of its own there."""
    return [
        ShownField(one.label, one.shown_value(request) if one.shown_value else getattr(request, one.name), one.shown)
        for one in fields
        if one.shown is not Shown.OWN_LINE
    ]


def problems_of(request: TicketRequest, today: date, fields: Sequence[TicketField] = FIELDS) -> dict[str, Message]:
    """Why no ticket can be made of this: a sentence per field, and none when it can."""
    found = {one.name: one.problem(request, today) for one in fields}
    return {name: problem for name, problem in found.items() if problem is not None}
