"""From posted fields to validated values, or to messages beside the fields."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, StringConstraints

from app.web.forms import parse


class Size(StrEnum):
    SMALL = "small"


class SampleForm(BaseModel):
    """One field of each type that our forms use."""

    name: Annotated[str, StringConstraints(min_length=2, max_length=5)]
    count: int = 1
    day: date | None = None
    size: Size = Size.SMALL
    color: Literal["red", "blue"] = "red"
    key: UUID | None = None


def test_valid_fields_become_values() -> None:
    parsed = parse({"name": "abc", "count": "7", "day": "2026-12-31", "color": "blue"}, SampleForm)
    assert parsed.values == SampleForm(name="abc", count=7, day=date(2026, 12, 31), color="blue")
    assert parsed.errors == {}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "This is required."),
        ("name", "a", "At least 2 characters, please."),
        ("name", "abcdef", "At most 5 characters, please."),
        ("name", "a\0b", "This holds characters that cannot be used."),
        ("count", "many", "This is not a number."),
        ("day", "31.12.2026", "This is not a date. Use the form 2026-12-31."),
        ("size", "huge", "Choose one of the list."),
        ("color", "green", "Choose one of the list."),
        ("key", "no-uuid", "Reload the page and try again."),
    ],
)
def test_a_field_that_cannot_be_used_says_why_and_keeps_what_was_typed(field: str, value: str, message: str) -> None:
    typed = {"name": "abc"} | {field: value}
    parsed = parse(typed, SampleForm)
    assert parsed.values is None
    assert {name: str(error) for name, error in parsed.errors.items()} == {field: message}
    assert parsed.typed == typed


def test_every_field_that_is_wrong_is_named() -> None:
    assert set(parse({"count": "x", "day": "y"}, SampleForm).errors) == {"name", "count", "day"}
