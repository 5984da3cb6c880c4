"""How a field of a ticket is typed. Knows no field, and reads and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.core.messages import Message


class ControlType(StrEnum):
    """How a field is typed; each is a macro of templates/components/field.html."""

    TEXT = "text"
    AREA = "area"
    SELECT = "select"
    DAY = "date"


@dataclass(frozen=True)
class FormControl:
    """`accepts` and `default` are Pydantic's annotation and default; `...` means that something has to be typed.

    `counted` is the limit up to which characters are counted while they are typed, and `over` says what becomes of the
    rest. `choices` are (value, text), and `empty` is the text that stands for none of them. Neighbors that are `is_narrow` share
    a row.
    """

    type: ControlType
    label: Message
    accepts: Any
    default: Any = ...
    hint: Message | str = ""
    max_length: int | None = None
    rows: int = 8
    choices: Sequence[tuple[str, Message | str]] = ()
    empty: Message | str = ""
    is_narrow: bool = False
    counted: int | None = None
    over: Message | str = ""

    @property
    def is_required(self) -> bool:
        """Whether the form is refused without it."""
        return self.default is ...
