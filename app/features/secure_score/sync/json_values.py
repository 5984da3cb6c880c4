"""Reads the loose values of Graph's JSON: what cannot be read is None, never 0. Knows no field's name."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from math import isfinite
from typing import Any

MOST_INTEGER = 2**62
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# .NET's empty date and anything else from before computers; seen where a date is not known.
EARLIEST_YEAR = 1990
# PostgreSQL holds neither NUL nor half a surrogate pair.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
ESCAPED_TROUBLE = re.compile(r"\\u0000|\\ud[89a-f]", re.IGNORECASE)


def number(value: object) -> float | None:
    """A number, or a string that holds one; negative ones, which Graph uses for "not available", are None too."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if not NUMBER.fullmatch(value.strip()):
            return None
        value = float(value)
    if not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) and found >= 0 else None


def whole(value: object) -> int | None:
    """A whole number, or a string that holds one."""
    found = number(value)
    if found is None or found != int(found) or found > MOST_INTEGER:
        return None
    return int(found)


def flag(value: object) -> bool | None:
    """True and false, also as words in any case: Graph sends `on` as a string, where "false" must not count as true."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return None


def words(value: object) -> str:
    """A text without what the database cannot hold; anything else is an empty one."""
    return UNSTORABLE.sub("\ufffd", value).replace("\r\n", "\n") if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    """The texts of a list; anything else is left out."""
    return [words(item) for item in value if isinstance(item, str)] if isinstance(value, list) else []


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list; anything else is left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def moment(value: object) -> datetime | None:
    """An ISO 8601 time, with any number of decimals; one without a zone is read as UTC."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year >= EARLIEST_YEAR else None


def as_stored_json(value: object) -> str:
    """JSON that PostgreSQL's jsonb takes, whatever Graph sent: without NUL, broken surrogates, NaN or Infinity."""
    try:
        written = json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_storable(value))
    return json.dumps(_storable(value)) if ESCAPED_TROUBLE.search(written) else written


def _storable(value: object) -> object:
    if isinstance(value, str):
        return UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {UNSTORABLE.sub("\ufffd", str(name)): _storable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value
