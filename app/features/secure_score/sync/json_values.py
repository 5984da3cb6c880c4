"""Parse loose values of Graph's JSON. What cannot be read is None, never 0. Knows no member's name.

Types on the wire differ from the declared ones: docs/facts/microsoft-graph.md#1-3-controlscores
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

# Below the limit of PostgreSQL's bigint, which is 2**63 - 1.
LARGEST_INTEGER = 2**62
# Far above the 1,376 points of the largest tenant seen; beyond it, a number is damage that no page can show or add up.
# docs/facts/microsoft-graph.md#1-2-securescore
LARGEST_POINTS = 1_000_000
# Windows PowerShell writes a time as milliseconds since 1970.
# https://learn.microsoft.com/powershell/module/microsoft.powershell.utility/convertto-json
POWERSHELL_TIME = re.compile(r"/Date\((\d{1,14})\)/")
# Stricter than float(), which also reads "1_000", "NaN" and digits of other scripts: docs/facts/microsoft-graph.md#edge-12
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# .NET writes an unknown date as year 1. No date of this data can be older than the product.
EARLIEST_YEAR = 1990
# PostgreSQL's text and jsonb hold neither NUL nor half a surrogate pair.
# https://www.postgresql.org/docs/current/datatype-json.html
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# The same characters as json.dumps writes them.
UNSTORABLE_ESCAPES = re.compile(r"\\u0000|\\ud[89a-f]", re.IGNORECASE)


def number(value: object) -> float | None:
    """A number, or a string that holds one. A negative one is None."""
    # A bool is an int in Python.
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
    # -1 and "-1" are sentinels for "not available": docs/facts/microsoft-graph.md#1-2-securescore
    return found if isfinite(found) and found >= 0 else None


def points_of(value: object) -> float | None:
    """A number that can be points or a percentage; None for one beyond LARGEST_POINTS."""
    found = number(value)
    return found if found is not None and found <= LARGEST_POINTS else None


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


def words(value: object) -> str:
    """A text that the database can hold; an empty one for every other type."""
    return UNSTORABLE.sub("\ufffd", value).replace("\r\n", "\n") if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    """The texts of a list; other items are left out."""
    return [words(item) for item in value if isinstance(item, str)] if isinstance(value, list) else []


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list; other items are left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def moment(value: object) -> datetime | None:
    """An ISO 8601 time; None when it cannot be read. Without a zone it is UTC."""
    if not isinstance(value, str):
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
