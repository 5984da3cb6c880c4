"""How much of a page each of its lists and texts may take, in bytes of HTML. Pure.

A person waits for a page of a megabyte, and texts of another system decide how long theirs are. Escaping makes five bytes of
a quotation mark, so characters are no measure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.core.messages import Message
from app.core.text_limits import cut

# What a line of a list has around its texts: its elements, a moment, a badge.
MARKUP_BYTES = 300
# `&`, `<`, `>`, `"` and `'` become five bytes at most: https://markupsafe.palletsprojects.com/en/stable/escaping/
ESCAPED = "&<>\"'"
LONGEST_ESCAPED = 5
Item = TypeVar("Item")


@dataclass(frozen=True)
class Portion(Generic[Item]):
    """The first items of a list, and how many more it has."""

    items: list[Item]
    left_out: int


def html_bytes(text: str) -> int:
    """The bytes of the text on a page, or a few more."""
    return len(text.encode("utf-8", "replace")) + (LONGEST_ESCAPED - 1) * sum(map(text.count, ESCAPED))


def portion(
    items: Sequence[Item], texts_of: Callable[[Item], Iterable[object]], *, most_bytes: int, most: int | None = None
) -> Portion[Item]:
    """As many of the first items as take at most `most_bytes` of a page; `texts_of` are the texts it shows of one."""
    taken = 0
    for place, item in enumerate(items[:most]):
        taken += MARKUP_BYTES + sum(html_bytes(str(text)) for text in texts_of(item))
        if taken > most_bytes:
            return Portion(list(items[:place]), len(items) - place)
    shown = list(items[:most])
    return Portion(shown, len(items) - len(shown))


def fits(text: str, most_bytes: int) -> bool:
    """Whether the text takes at most that much of a page."""
    return html_bytes(text) <= most_bytes


def fitting(text: str, most_bytes: int) -> str:
    """The text, or its beginning where it would take more of a page."""
    return text if fits(text, most_bytes) else cut(text, most_bytes // LONGEST_ESCAPED)


def shortened(message: Message, longest: int) -> Message:
    """The message with each of its texts cut to `longest` UTF-16 units."""
    return Message(message.message, _shortened(message.values, longest), message.code)


def _shortened(values: Mapping[str, object], longest: int) -> dict[str, object]:
    return {
        name: shortened(value, longest)
        if isinstance(value, Message)
        else cut(value, longest)
        if isinstance(value, str)
        else value
        for name, value in values.items()
    }
