"""The types and models among which the process of change requests is chosen. Pure: asks and stores nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.features.connection.preferences import NORMAL_CHANGE, ChangeType, Preferences
from app.integrations.servicenow.field_lookup import FoundRecord
from app.integrations.servicenow.schemas import FieldChoice

# Those of the base system, for instances that do not let us read the list. docs/facts/servicenow.md#4-2-change-request
KNOWN_TYPES = (
    NORMAL_CHANGE,
    ChangeType("type", "standard", "Standard"),
    ChangeType("type", "emergency", "Emergency"),
)
# More are no choice for people who share.
MOST_OFFERED = 50


@dataclass(frozen=True)
class OfferedTypes:
    """`types_read`: the types are the instance's own; otherwise they are those of the base system."""

    types: Sequence[ChangeType]
    models: Sequence[ChangeType]
    types_read: bool

    @property
    def all(self) -> list[ChangeType]:
        return [*self.types, *self.models]


@dataclass(frozen=True)
class ChangeTypeForm:
    """What may be chosen and what is chosen; `offered` holds the chosen one in any case, also where nothing can be asked."""

    offered: OfferedTypes
    chosen: ChangeType
    may_choose: bool


def offered_types(choices: Sequence[FieldChoice], models: Sequence[FoundRecord]) -> OfferedTypes:
    """What the instance offers, by what could be read of it."""
    types = [ChangeType("type", choice.value, choice.label) for choice in choices]
    return OfferedTypes(
        types=types[:MOST_OFFERED] or KNOWN_TYPES,
        models=[ChangeType("chg_model", model.sys_id, model.name) for model in models[:MOST_OFFERED]],
        types_read=bool(types),
    )


def change_type_form(offered: OfferedTypes, preferences: Preferences) -> ChangeTypeForm:
    chosen = preferences.change_type
    if chosen.key not in {one.key for one in offered.all}:
        of_types, of_models = ([chosen], []) if chosen.column == "type" else ([], [chosen])
        offered = OfferedTypes([*offered.types, *of_types], [*offered.models, *of_models], offered.types_read)
    return ChangeTypeForm(offered, chosen, may_choose=bool(preferences.change_types))
