"""Compare texts as ServiceNow's queries do. Does no I/O."""

from __future__ import annotations

import unicodedata


def is_same_text(one: str, other: str) -> bool:
    """Whether `=` in a query takes both for the same: case, accents and blanks at the end do not count.

    docs/facts/servicenow.md#2-3-encoded-query
    """
    return _folded(one) == _folded(other)


def _folded(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.rstrip())
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()
