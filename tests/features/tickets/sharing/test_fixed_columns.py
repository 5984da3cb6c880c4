"""What an administrator's fixed values and the change type add to a record, and what they never replace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.core.errors import InvalidInput
from app.features.connection.preferences import NORMAL_CHANGE, ChangeType, FieldValue, Preferences
from app.features.tickets.sharing.fixed_columns import (
    check_change_type,
    composed_columns,
    fixed_columns,
    why_not_fixed,
)
from app.features.tickets.sharing.record import Links, compose_record, with_decisions
from app.features.tickets.types import TicketKind
from tests.factories.tickets import SENDER, an_ask

EMERGENCY = ChangeType("type", "emergency", "Emergency")
MODEL = ChangeType("chg_model", "a" * 32, "Cloud change")
CALLER = {"caller_id": FieldValue("b" * 32, "Fred Luddy", "Caller")}


def decided(**changes: Any) -> Preferences:
    return replace(Preferences(field_values={"incident": CALLER}), **changes)


def test_fixed_values_are_those_of_the_kind() -> None:
    assert fixed_columns(an_ask(TicketKind.INCIDENT), decided()) == {"caller_id": "b" * 32}
    assert fixed_columns(an_ask(TicketKind.CHANGE), decided()) == {"type": "normal"}


@pytest.mark.parametrize(
    ("chosen", "column", "value"),
    [("", "chg_model", MODEL.value), (EMERGENCY.key, "type", "emergency"), ("type:gone", "chg_model", MODEL.value)],
)
def test_a_persons_choice_wins_while_it_is_offered(chosen: str, column: str, value: str) -> None:
    preferences = decided(change_type=MODEL, change_types=[MODEL, EMERGENCY])
    assert fixed_columns(an_ask(TicketKind.CHANGE, change_type=chosen), preferences) == {column: value}


def test_a_type_that_is_not_offered_is_refused_for_changes_only() -> None:
    with pytest.raises(InvalidInput):
        check_change_type(an_ask(TicketKind.CHANGE, change_type=EMERGENCY.key), decided())
    check_change_type(an_ask(TicketKind.CHANGE, change_type=NORMAL_CHANGE.key), decided())
    check_change_type(an_ask(TicketKind.INCIDENT, change_type=EMERGENCY.key), decided())


@pytest.mark.parametrize("kind", list(TicketKind))
def test_no_fixed_value_replaces_what_was_asked_for(kind: TicketKind) -> None:
    sent = compose_record(an_ask(kind), SENDER, Links("https://us.example/1"), "0" * 32, Preferences()).fields
    values = {column: FieldValue("x", "x", column) for column in sent}
    fixed = compose_record(
        an_ask(kind), SENDER, Links("https://us.example/1"), "0" * 32, Preferences(field_values={kind: values})
    )
    assert fixed.fields == sent
    assert all(why_not_fixed(kind, column, Preferences()) for column in sent)
    assert set(sent) - {"type"} == composed_columns(kind)


def test_a_held_record_takes_todays_decisions_and_keeps_what_was_asked() -> None:
    asked = an_ask(TicketKind.INCIDENT)
    wrong = decided(field_values={"incident": {"category": FieldValue("gone", "Gone", "Category")}}, group_id="c" * 32)
    before = compose_record(asked, SENDER, Links("https://us.example/1"), "0" * 32, wrong).fields
    after = with_decisions(before, asked, SENDER, decided())
    assert before.keys() - after.keys() == {"category", "assignment_group"}
    assert after == {column: before[column] for column in composed_columns(TicketKind.INCIDENT)} | {
        "caller_id": "b" * 32
    }


def test_a_copy_of_a_due_date_that_was_moved_on_stays_with_it() -> None:
    asked = an_ask(TicketKind.INCIDENT)
    copying = Preferences(columns={"incident": {"due_date": "u_due", "name": "u_name"}})
    sent = compose_record(asked, SENDER, Links("https://us.example/1"), "0" * 32, copying).fields
    moved = sent | {"due_date": "2099-12-31 23:59:59", "u_due": "2099-12-31 23:59:59"}
    assert with_decisions(moved, asked, SENDER, copying) == moved
