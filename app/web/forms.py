"""Turns a posted form into validated values, or into messages beside the fields; what was typed comes back either way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from app.core.messages import Message, T

Form = TypeVar("Form", bound=BaseModel)
# The longest text we send is a description; longer input is cut here, and refused by each form's own limit.
LONGEST_FIELD = 20_000


@dataclass(frozen=True)
class Parsed(Generic[Form]):
    """`values` is None exactly when `errors` is not empty; `typed` is the input, to be shown again."""

    values: Form | None
    errors: dict[str, Message] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)


async def read_form(request: Request, *, most_fields: int = 100) -> dict[str, str]:
    """The posted text fields, trimmed, with LF line ends. Files are ignored. More fields than that are answered with 400."""
    # Browsers send line breaks as CRLF: https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#form-submission-algorithm
    # The limits are Starlette's own kind (1,000 parts of 1 MiB), set to what our forms need: a denial of service costs less.
    form = await request.form(max_fields=most_fields, max_part_size=256 * 1024)
    return {
        name: value.replace("\r\n", "\n").strip()[:LONGEST_FIELD]
        for name, value in form.items()
        if isinstance(value, str)
    }


def parse(typed: Mapping[str, str], model: type[Form]) -> Parsed[Form]:
    """Validate the fields by a Pydantic model. Empty fields count as missing."""
    values = {name: value for name, value in typed.items() if value}
    # PostgreSQL cannot store U+0000: https://www.postgresql.org/docs/current/datatype-character.html
    nul = {name: T("This holds characters that cannot be used.") for name, value in values.items() if "\0" in value}
    if nul:
        return Parsed(None, nul, dict(typed))
    try:
        return Parsed(model.model_validate(values), {}, dict(typed))
    except ValidationError as error:
        # Reversed, so that of several errors of one field the first is shown.
        return Parsed(None, {_name(item): _message(item) for item in reversed(error.errors())}, dict(typed))


def _name(error: ErrorDetails) -> str:
    return str(error["loc"][0]) if error["loc"] else ""


def _message(error: ErrorDetails) -> Message:
    # Pydantic's error types: https://docs.pydantic.dev/latest/errors/validation_errors/
    context: dict[str, Any] = error.get("ctx", {})
    messages = {
        "missing": T("This is required."),
        "string_too_long": T("At most %(limit)s characters, please.", limit=context.get("max_length", "")),
        "string_too_short": T("At least %(limit)s characters, please.", limit=context.get("min_length", "")),
        "date_from_datetime_parsing": T("This is not a date. Use the form 2026-12-31."),
        "date_parsing": T("This is not a date. Use the form 2026-12-31."),
        "int_parsing": T("This is not a number."),
        "blank_inside": T("There is a blank or a line break inside. Copy it again, without them."),
        "literal_error": T("Choose one of the list."),
        "enum": T("Choose one of the list."),
        "uuid_parsing": T("Reload the page and try again."),
    }
    return messages.get(error["type"], T("This cannot be used."))
