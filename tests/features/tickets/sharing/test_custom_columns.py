"""Copies of data items in columns of the instance's own, and the assignment group."""

from __future__ import annotations

import pytest

from app.features.connection.preferences import Preferences
from app.features.tickets.sharing.custom_columns import custom_columns
from app.features.tickets.types import TicketKind
from tests.factories.tickets import SENDER, an_ask


def test_without_preferences_nothing_is_added() -> None:
    assert custom_columns(an_ask(), SENDER, Preferences()) == {}


def test_the_group_is_added_by_its_id() -> None:
    wanted = Preferences(group_id="0" * 32, group_name="Security")
    assert custom_columns(an_ask(), SENDER, wanted) == {"assignment_group": "0" * 32}


def test_the_columns_of_another_kind_are_not_filled() -> None:
    wanted = Preferences(columns={"incident": {"category": "u_category"}})
    assert custom_columns(an_ask(TicketKind.CHANGE), SENDER, wanted) == {}
    assert custom_columns(an_ask(TicketKind.INCIDENT), SENDER, wanted) == {"u_category": "Identity"}


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("requested_by", SENDER.oid),
        ("name", "Require multifactor authentication"),
        ("description", "Administrators first."),
        ("priority", "2"),
        ("due_date", "2030-12-31 12:00:00"),
        ("source", "Microsoft recommendation"),
        ("category", "Identity"),
    ],
)
def test_every_data_item_can_be_copied(item: str, value: str) -> None:
    wanted = Preferences(columns={"change": {item: "u_copy"}})
    assert custom_columns(an_ask(), SENDER, wanted) == {"u_copy": value}


def test_an_item_that_is_not_known_any_more_is_passed_over() -> None:
    wanted = Preferences(columns={"change": {"severity": "u_severity", "name": "u_name"}})
    assert list(custom_columns(an_ask(), SENDER, wanted)) == ["u_name"]
