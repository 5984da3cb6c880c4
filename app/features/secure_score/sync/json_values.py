"""Parse loose values of Graph's JSON. What cannot be read is None, never 0. Knows no member's name.

Types on the wire differ from the declared ones: docs/facts/microsoft-graph.md#1-3-controlscores
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from app.core import bounds
from app.core.bounds import LONGEST_ADDRESS, LONGEST_LABEL, LONGEST_TEXT, UNSTORABLE

# Below the limit of PostgreSQL's bigint, which is 2**63 - 1.
LARGEST_INTEGER = 2**62
# Controls of one day. The largest catalog seen has some four hundred: docs/facts/microsoft-graph.md#1-3-controlscores
MOST_OBJECTS = 5_000
# Far above the 1,376 points of the largest tenant seen; beyond it, a number is damage that no page can show or add up.
# docs/facts/microsoft-graph.md#1-2-securescore
LARGEST_POINTS = 1_000_000
# Windows PowerShell writes a time as milliseconds since 1970.
# https://learn.microsoft.com/powershell/module/microsoft.powershell.utility/convertto-json
POWERSHELL_TIME = re.compile(r"/Date\((\d{1,14})\)/")
# .NET writes an unknown date as year 1. No date of this data can be older than the product.
EARLIEST_YEAR = 1990
# What the database cannot hold, as json.dumps writes it.
UNSTORABLE_ESCAPES = re.compile(r"\\u0000|\\ud[89a-f]", re.IGNORECASE)


def number(value: object) -> float | None:
    """A number, or a string that holds one. A negative one is None."""
    # -1 and "-1" are sentinels for "not available": docs/facts/microsoft-graph.md#1-2-securescore
    return bounds.finite(value, 0, sys.float_info.max)


def points_of(value: object) -> float | None:
    """A number that can be points or a percentage; None for one beyond LARGEST_POINTS."""
    return bounds.finite(value, 0, LARGEST_POINTS)


def whole(value: object) -> int | None:
    """An integer, or a string that holds one, as `count` and `total` do."""
    found = number(value)
    if found is None or found != int(found) or found > LARGEST_INTEGER:
        return None
    return int(found)


def flag(value: object) -> bool | None:
    """True and false, also as words in any case."""
    # Graph sends `on` as a string, and "false" is truthy in Python: docs/facts/microsoft-graph.md#edge-13
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return None


def words(value: object, longest: int = LONGEST_TEXT) -> str:
    """A text that the database can hold, cut to this length; an empty one for every other type."""
    return bounds.exact(value, longest).replace("\r\n", "\n") if isinstance(value, str) else ""


def label(value: object, longest: int = LONGEST_LABEL) -> str:
    """A text of one line; an empty one for every other type."""
    return bounds.line(value, longest) if isinstance(value, str) else ""


def key(value: object) -> str:
    """An id, as it came; empty for every other type, and for one that is too long to be one."""
    return bounds.identifier(value) if isinstance(value, str) else ""


def address(value: object) -> str:
    """The address of a page; empty for one that is too long, because a part of it leads elsewhere."""
    return bounds.identifier(value, LONGEST_ADDRESS).strip() if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    """The texts of a list, MOST_ITEMS at most; other items are left out."""
    items = value if isinstance(value, list) else []
    return bounds.first(label(item) for item in items if isinstance(item, str))


def objects(value: object, most: int = MOST_OBJECTS) -> list[dict[str, Any]]:
    """The objects of a list, so many at most; other items are left out."""
    items = value if isinstance(value, list) else []
    return bounds.first((item for item in items if isinstance(item, dict)), most)


def moment(value: object) -> datetime | None:
    """An ISO 8601 time; None when it cannot be read. Without a zone it is UTC."""
    if not isinstance(value, str) or len(value) > LONGEST_LABEL:
        return None
    if (milliseconds := POWERSHELL_TIME.fullmatch(value.strip())) is not None:
        value = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(milliseconds[1]))).isoformat()
    try:
        # Takes the six and seven decimals that Graph sends: docs/facts/microsoft-graph.md#edge-20
        found = datetime.fromisoformat(value.strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year >= EARLIEST_YEAR else None


def as_stored_json(value: object) -> str:
    """JSON that PostgreSQL's jsonb accepts: without NUL, broken surrogates, NaN or Infinity."""
    try:
        return _as_json(value)
    except RecursionError:
        # It could be read a few levels higher in the stack. Nothing of it that means something is so deep.
        return "{}"


def _as_json(value: object) -> str:
    # Rewriting every value is slow, and hardly any snapshot needs it.
    try:
        written = json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_storable(value))
    return json.dumps(_storable(value)) if UNSTORABLE_ESCAPES.search(written) else written


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
