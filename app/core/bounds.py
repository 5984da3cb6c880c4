"""Bounds for every value from outside: texts are cleaned and cut, numbers are finite and in range, lists end. Pure.

A value of another kind than asked for is empty or None, never an error: what a foreign system sends is not ours to choose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from math import isfinite
from typing import TypeVar

from app.core.text_limits import clean, cut, one_line

# Lengths of such columns in ServiceNow and Entra ID, rounded up. Longer values are damage or an attack.
# docs/facts/servicenow.md#4-3-shared-task-fields
LONGEST_NUMBER = 40
LONGEST_CODE = 100
LONGEST_LABEL = 255
LONGEST_TITLE = 500
LONGEST_ADDRESS = 2_000
LONGEST_TEXT = 65_536
LONGEST_TOKEN = 16_384
MOST_ITEMS = 200
# Far beyond every number that means something, and below what Python refuses to write (4300 digits).
LARGEST_INTEGER_BITS = 256

# PostgreSQL's text and jsonb hold neither NUL nor half a surrogate pair.
# https://www.postgresql.org/docs/current/datatype-json.html
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
# Stricter than float(), which also reads "1_000", "NaN" and digits of other scripts.
DECIMAL = re.compile(r"[+-]?([0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})([eE][+-]?[0-9]{1,4})?", re.ASCII)

Item = TypeVar("Item")


def exact(value: object, longest: int = LONGEST_TEXT) -> str:
    """The value as a text that can be stored, otherwise unchanged, so that it can be compared with what was sent."""
    return UNSTORABLE.sub("\ufffd", _as_text(value)[:longest])


def line(value: object, longest: int) -> str:
    """One line without control characters, of at most `longest` UTF-16 units."""
    # Cut before it is cleaned too: cleaning reads each letter several times.
    return cut(one_line(_as_text(value)[: 4 * longest + 100]), longest)


def lines(value: object, longest: int = LONGEST_TEXT) -> str:
    """The same with its line breaks."""
    return cut(clean(_as_text(value)[: 4 * longest + 100]), longest)


def identifier(value: object, longest: int = LONGEST_LABEL) -> str:
    """An id; empty when it is too long, because a part of an id could be the id of something else."""
    text = exact(value, longest + 1)
    return text if len(text) <= longest else ""


def token_text(value: object, longest: int = LONGEST_TOKEN) -> str | None:
    """A bearer token; None for what cannot be one. It is never cut: a part of a token opens nothing."""
    # https://www.rfc-editor.org/rfc/rfc6749#appendix-A.12 allows visible ASCII only, and headers hold nothing else.
    if not isinstance(value, str) or len(value) > longest or not VISIBLE_ASCII.fullmatch(value):
        return None
    return value


def finite(value: object, low: float, high: float) -> float | None:
    """A number, or a text that holds one, between both bounds; None for every other one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip()[:1_000]
        if not DECIMAL.fullmatch(value):
            return None
    elif not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except (OverflowError, ValueError):
        return None
    return found if isfinite(found) and low <= found <= high else None


def whole(value: object, low: int, high: int) -> int | None:
    """An integer, or a text that holds one, between both bounds; None for every other one."""
    if isinstance(value, str):
        value = int(value.strip()) if INTEGER.fullmatch(value.strip()[:40]) else None
    if isinstance(value, float):
        value = int(value) if isfinite(value) and value == int(value) else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if low <= value <= high else None


def first(values: Iterable[Item], most: int = MOST_ITEMS) -> list[Item]:
    """At most that many of them."""
    return list(islice(values, most))


def _as_text(value: object) -> str:
    # A list or an object has no text: its repr() may be large, or nested too deep.
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        # Python refuses to write integers of thousands of digits.
        return str(value) if isinstance(value, float) or value.bit_length() <= LARGEST_INTEGER_BITS else ""
    return ""
