"""The form of one ticket, for sharing and for changing it. Derived from the list of ticket fields; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import UUID

from pydantic import BaseModel, create_model

from app.core import clock
from app.core.messages import Message, T
from app.features.accounts import permissions
from app.features.connection.preferences import Preferences
from app.features.tickets.form_controls import FormControl
from app.features.tickets.ticket_fields import (
    FIELDS,
    Requester,
    TicketField,
    TicketRequest,
    typed_fields,
)
from app.features.tickets.types import KIND_NAMES, TicketKind

CHANGE_TYPE = "change_type"


class TaskFormBase(BaseModel):
    """What every task form has besides the ticket fields. `form_key` makes a form that is sent twice one ticket."""

    kind: TicketKind
    form_key: UUID
    again: bool = False

    def request(self, proposed: TicketRequest) -> TicketRequest:
        """What the person asks for: what is typed here, and what was `proposed` for fields without a control."""
        return replace(proposed, kind=self.kind, **{name: self._value(name) for name, _ in typed_fields()})

    def _value(self, name: str) -> Any:  # noqa: ANN401 - of the type that the field's control accepts.
        value = getattr(self, name)
        return value.value if isinstance(value, StrEnum) else value


def task_form(fields: Sequence[TicketField] = FIELDS) -> type[TaskFormBase]:
    """The model by which a form with these fields is parsed."""
    accepted: dict[str, Any] = {name: (control.accepts, control.default) for name, control in typed_fields(fields)}
    return create_model("TaskForm", __base__=TaskFormBase, **accepted)


# Made once: building a Pydantic model takes milliseconds. https://docs.pydantic.dev/latest/concepts/models/#dynamic-model-creation
TaskForm = task_form()


@dataclass(frozen=True)
class ShownControl:
    """One field of the form: how it is typed, its value, and the sentence beside it (empty: none)."""

    name: str
    control: FormControl
    typed: str
    error: Message | str
    is_hidden: bool


@dataclass(frozen=True)
class Fields:
    """The form as it is shown. `typed` and `errors` hold every field, by name; `choices` those of the selects.

    `rows` holds the controls as they stand, some side by side. `offers_empty` shows the empty choice of a select.
    """

    typed: Mapping[str, str]
    errors: Mapping[str, Message | str]
    kinds: Sequence[tuple[str, Message]]
    choices: Mapping[str, Sequence[tuple[str, Message | str]]]
    rows: Sequence[Sequence[ShownControl]]
    today: str
    offers_empty: bool = True


def fields_of(
    typed: Mapping[str, str],
    errors: Mapping[str, Message] | None = None,
    *,
    fixed: Mapping[str, str] | None = None,
    offers_empty: bool = True,
    change_types: Sequence[tuple[str, Message | str]] = (),
    fields: Sequence[TicketField] = FIELDS,
) -> Fields:
    """The form with these values. `fixed` values are sent with it, but hidden.

    `change_types` are the choices of that field, which is left out where people may not choose.
    """
    fields = [one for one in fields if one.name != CHANGE_TYPE or change_types]
    known = [*TaskFormBase.model_fields, *(name for name, _ in typed_fields(fields))]
    # Every name is there, because undefined names are errors in templates (StrictUndefined).
    values = {**dict.fromkeys(known, ""), **typed, **(fixed or {})}
    sentences: dict[str, Message | str] = {**dict.fromkeys(known, ""), **(errors or {})}
    controls = [
        ShownControl(name, _offering(name, control, change_types), values[name], sentences[name], name in (fixed or {}))
        for name, control in typed_fields(fields)
    ]
    return Fields(
        typed=values,
        errors=sentences,
        kinds=[(kind.value, name) for kind, name in KIND_NAMES.items()],
        choices={name: control.choices for name, control in typed_fields(fields)},
        rows=[list(row) for _, row in groupby(controls, key=_row_of)],
        # The earliest day that is still today somewhere, which is what `check_request` accepts as well.
        today=clock.earliest_day(clock.now()).isoformat(),
        offers_empty=offers_empty,
    )


def _offering(name: str, control: FormControl, change_types: Sequence[tuple[str, Message | str]]) -> FormControl:
    return replace(control, choices=change_types) if name == CHANGE_TYPE else control


def change_type_choices(preferences: Preferences) -> list[tuple[str, Message | str]]:
    """(key, text) of the types among which people may choose; none where they may not. The first is the administrator's."""
    if not preferences.change_types:
        return []
    usual = T("As configured: %(type)s", type=preferences.change_type.label)
    others = [(one.key, one.label) for one in preferences.change_types if one.key != preferences.change_type.key]
    return [("", usual), *others]


def _row_of(shown: ShownControl) -> str:
    """Narrow neighbors share a row; every other control has its own."""
    return "narrow" if shown.control.is_narrow else shown.name


def requester_of(viewer: permissions.Viewer) -> Requester:
    """The signed-in person as the one who shares."""
    return Requester(viewer.person_id, viewer.oid, viewer.display_name, viewer.email, viewer.address)
