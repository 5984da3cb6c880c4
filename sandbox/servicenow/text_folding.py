"""Fold text so that comparisons mind neither case nor accents. Compares nothing itself."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """Return the text without case and accents."""
    # See docs/facts/servicenow.md#2-3-encoded-query (text comparison). ASCII, the usual case, needs no decomposition.
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()
