"""What may be chosen as the process of change requests, by what the instance lets us read."""

from __future__ import annotations

import pytest

from app.features.connection.preferences import ChangeType, Preferences
from app.features.provisioning.change_types import KNOWN_TYPES, MOST_OFFERED, change_type_form, offered_types
from app.integrations.servicenow.field_lookup import FoundRecord
from app.integrations.servicenow.schemas import FieldChoice

OWN = [FieldChoice("normal", "Normal"), FieldChoice("cloud", "Cloud")]
MODELS = [FoundRecord("a" * 32, "Cloud change")]


@pytest.mark.fact("servicenow 4.2")
def test_where_nothing_can_be_read_the_types_of_the_base_system_are_offered() -> None:
    offered = offered_types([], [])
    assert (offered.types, offered.models, offered.types_read) == (KNOWN_TYPES, [], False)
    assert [one.value for one in offered.all] == ["normal", "standard", "emergency"]


def test_types_and_models_of_the_instance_are_offered_with_its_own_names() -> None:
    offered = offered_types(OWN, MODELS)
    assert offered.types_read
    assert [(one.key, one.label) for one in offered.all] == [
        ("type:normal", "Normal"), ("type:cloud", "Cloud"), (f"chg_model:{'a' * 32}", "Cloud change"),
    ]  # fmt: skip
    assert len(offered_types([FieldChoice(str(n), "x") for n in range(99)], []).types) == MOST_OFFERED


@pytest.mark.parametrize("column", ["type", "chg_model"])
def test_what_was_chosen_stays_in_the_list_when_the_instance_no_longer_offers_it(column: str) -> None:
    gone = ChangeType(column, "gone", "Gone")
    form = change_type_form(offered_types(OWN, MODELS), Preferences(change_type=gone))
    assert gone in form.offered.all
    assert (form.chosen, form.may_choose) == (gone, False)
    assert change_type_form(offered_types(OWN, MODELS), Preferences(change_types=KNOWN_TYPES)).may_choose
