"""Turns a posted form into validated values, or into messages beside the fields; what was typed comes back either way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from app.core.errors import AppError
from app.core.messages import Message, T

Form = TypeVar("Form", bound=BaseModel)
# The longest text we send is a description; longer input is cut here, and refused by each form's own limit.
LONGEST_FIELD = 20_000
# No field of ours has a longer name: a prefix and a column of ServiceNow, which are 80 characters at most.
LONGEST_NAME = 200
# Characters of all values of a form that is shown again: `&#34;` for one quotation mark makes five of each, and a page stays
# under a megabyte. The largest one, twenty fixed values with a search text each, has some 60,000.
MOST_SHOWN_AGAIN = 150_000
CHARSET = re.compile(r"\bcharset[^=;]*=\s*\"?([^\s;\"]*)", re.IGNORECASE)


class UnreadableForm(AppError):
    """The form names a character set that is not ours."""

    status = 415
    default = T(
        "This form came in a character set that we cannot read, so nothing was done. Open the page here and send it again."
    )


class FormTooLong(AppError):
    """The fields hold more than any form of ours."""

    status = 413
    default = T("What was sent is too large, so nothing was done. Shorten it and try again.")


@dataclass(frozen=True)
class PostedFields:
    """The text fields of a form in their order; a name may come several times. Files are left out."""

    pairs: Sequence[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.pairs if other == name]

    def single(self) -> dict[str, str]:
        """The last value of each name. Raises FormTooLong where they hold more than is ever shown again."""
        last = dict(self.pairs)
        if sum(map(len, last.values())) > MOST_SHOWN_AGAIN:
            raise FormTooLong
        return last


@dataclass(frozen=True)
class Parsed(Generic[Form]):
    """`values` is None exactly when `errors` is not empty; `typed` is the input, to be shown again."""

    values: Form | None
    errors: dict[str, Message] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)


def refuse_other_charsets(request: Request) -> None:
    """Raises UnreadableForm for a form in another character set than UTF-8. Every reader of a form calls it first."""
    # A browser sends a form in the page's character set, which is UTF-8, and names none. Python knows a hundred others, some
    # of which fail in a way of their own or give half characters: RFC 7578 5.1.2, https://docs.python.org/3/library/codecs.html
    if any(name.lower() not in ("utf-8", "utf8") for name in CHARSET.findall(request.headers.get("content-type", ""))):
        raise UnreadableForm


async def posted_fields(request: Request, *, most_fields: int) -> PostedFields:
    """The posted text fields, trimmed and cut, with LF line ends. More fields than that are answered with 400.

    Raises UnreadableForm. Starlette keeps what was read: of two calls, the first one's limit counts.
    """
    refuse_other_charsets(request)
    # The limits are Starlette's own kind (1,000 parts of 1 MiB), set to what our forms need: a denial of service costs less.
    form = await request.form(max_files=10, max_fields=most_fields, max_part_size=256 * 1024)
    # Browsers send line breaks as CRLF: https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#form-submission-algorithm
    return PostedFields(
        [
            (name, value.replace("\r\n", "\n").strip()[:LONGEST_FIELD])
            for name, value in form.multi_items()
            if isinstance(value, str) and len(name) <= LONGEST_NAME
        ]
    )


async def read_form(request: Request, *, most_fields: int = 100) -> dict[str, str]:
    """The last value of each posted field, as `posted_fields` gives them. Raises UnreadableForm and FormTooLong."""
    return (await posted_fields(request, most_fields=most_fields)).single()


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
