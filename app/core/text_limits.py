"""Makes a text fit for another system: removes what cannot be sent and cuts to a length. Pure: reads and writes nothing."""

from __future__ import annotations

import re
import unicodedata

CUT = "…"

# Removed: control characters except tab and line feed, lone surrogates, non-characters, the byte order mark, and the
# bidirectional overrides, which let a text read otherwise than it is stored (https://www.unicode.org/reports/tr36/).
FORBIDDEN = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\u202a-\u202e\u2066-\u2069\ufeff]"
)


def clean(text: str) -> str:
    """The text without forbidden characters, in Unicode form NFC, with `\\n` as line end, trimmed."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = FORBIDDEN.sub("", plain)
    # The last two code points of every plane are non-characters, not only U+FFFE and U+FFFF.
    kept = "".join(letter for letter in kept if ord(letter) & 0xFFFE != 0xFFFE)
    return unicodedata.normalize("NFC", kept).strip()


def one_line(text: str) -> str:
    """The cleaned text with every run of white space as one blank."""
    return " ".join(clean(text).split())


def cut(text: str, limit: int) -> str:
    """At most `limit` UTF-16 units, with `…` as the last one where something was cut.

    Never cuts between a letter and the marks that belong to it, nor inside a character of two units.
    """
    if utf16_length(text) <= limit:
        return text
    if limit < 1:
        return ""
    units, end = 0, 0
    for end, letter in enumerate(text):  # noqa: B007 - the index at which the limit is reached is used below.
        units += utf16_length(letter)
        if units > limit - 1:
            break
    while end > 0 and _modifies_the_letter_before(text[end]):
        end -= 1
    return text[:end].rstrip() + CUT


def utf16_length(text: str) -> int:
    """Length as ServiceNow and every browser's `maxlength` count it: an emoji has two units."""
    return len(text) + sum(1 for letter in text if ord(letter) > 0xFFFF)


def _modifies_the_letter_before(letter: str) -> bool:
    # Combining marks, the zero-width joiner, variation selectors and the five skin tones of emoji.
    return (
        bool(unicodedata.combining(letter)) or letter in "\u200d\ufe0e\ufe0f" or "\U0001f3fb" <= letter <= "\U0001f3ff"
    )
