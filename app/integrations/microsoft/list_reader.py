"""Read a list of Graph's item by item, so that the objects of a large answer never exist all at once. Sends nothing."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any

from app.core.messages import Message, T
from app.integrations.http.errors import InvalidResponse

# Characters. One day of a large tenant is half a million; its objects take some thirty times the smallest JSON.
LONGEST_ITEM = 4 * 1024 * 1024
# Items are handed on in portions of so many characters, or a little more.
PORTION = 2 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
# A page of Graph has 999 at most: docs/facts/microsoft-graph.md#1-6-paging-size-throttling
MOST_ITEMS = 10_000
MOST_MEMBERS = 50
NO_LIST = T("Graph’s answer is not a list.")
NO_OBJECT = T("The answer is JSON, but not an object.")
TOO_LARGE = T("An entry of Graph’s answer is larger than we accept.")

Item = dict[str, Any]


class ListReader:
    """One answer: an object with a member `value`, a list of objects. `next_link` is known once the portions are read."""

    def __init__(self, body: bytes) -> None:
        self.next_link: object = None
        self._text = _SlidingText(body)

    def portions(self) -> Iterator[list[Item]]:
        """The items in order; one empty portion for an empty list. Raises InvalidResponse where it stops being a list.

        What came before that was readable, and may have been stored by then.
        """
        text, found = self._text, False
        text.expect("{", NO_OBJECT)
        goes_on = not text.skip("}")
        members = 0
        while goes_on:
            name, members = text.value(), members + 1
            text.expect(":")
            if members > MOST_MEMBERS or (name == "value" and found):
                raise InvalidResponse(NO_LIST)
            if name == "value":
                found = True
                yield from self._items()
            elif name == "@odata.nextLink":
                self.next_link = text.value()
            else:
                text.value()
            goes_on = text.skip(",")
            if not goes_on:
                text.expect("}")
        text.expect("")
        if not found:
            raise InvalidResponse(NO_LIST)

    def _items(self) -> Iterator[list[Item]]:
        text = self._text
        text.expect("[", NO_LIST)
        portion: list[Item] = []
        began, count, is_first = text.position, 0, True
        while not text.skip("]"):
            if not is_first:
                text.expect(",")
            is_first = False
            item = text.value()
            count += 1
            if not isinstance(item, dict) or count > MOST_ITEMS:
                raise InvalidResponse(NO_LIST)
            portion.append(item)
            if text.position - began >= PORTION:
                yield portion
                portion, began = [], text.position
        if portion or count == 0:
            yield portion


class _SlidingText:
    """The part of a text that is being read. `position` counts characters from the start of the whole."""

    def __init__(self, body: bytes) -> None:
        self._body, self._taken = body, 0
        # As the json module reads bytes: halves of surrogate pairs are let through, and are replaced later.
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
        self._json = json.JSONDecoder()
        self._text, self._at, self._before = "", 0, 0

    @property
    def position(self) -> int:
        return self._before + self._at

    def skip(self, letter: str) -> bool:
        """Whether this character comes next, after white space, or nothing where it is empty; it is passed then."""
        if self._next() != letter:
            return False
        self._at += len(letter)
        return True

    def expect(self, letter: str, otherwise: Message | None = None) -> None:
        if not self.skip(letter):
            raise InvalidResponse(otherwise) if otherwise else self._broken()

    def value(self) -> Any:  # noqa: ANN401 - whatever JSON holds.
        """The next JSON value, which is passed."""
        self._next()
        while True:
            try:
                found, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._double():
                    raise self._broken(error.pos) from error
                continue
            except (ValueError, RecursionError) as error:
                # A number of thousands of digits, or thousands of open brackets.
                raise self._broken() from error
            except MemoryError as error:
                raise InvalidResponse(TOO_LARGE) from error
            # A number that ends with what was read so far may go on.
            if end == len(self._text) and self._more(CHUNK_BYTES):
                continue
            if end - self._at > LONGEST_ITEM:
                raise InvalidResponse(TOO_LARGE)
            self._at = end
            return found

    def _next(self) -> str:
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in " \t\n\r\ufeff":
                    return self._text[self._at]
                self._at += 1
            if not self._more(CHUNK_BYTES):
                return ""

    def _double(self) -> bool:
        """Read as much again as there is, so that trying again costs no more than reading; False at the end."""
        ahead = len(self._text) - self._at
        if ahead > LONGEST_ITEM:
            raise InvalidResponse(TOO_LARGE)
        return self._more(max(ahead, CHUNK_BYTES))

    def _more(self, size: int) -> bool:
        if self._taken >= len(self._body):
            return False
        chunk = self._body[self._taken : self._taken + size]
        self._taken += len(chunk)
        self._before += self._at
        try:
            self._text = self._text[self._at :] + self._decoder.decode(chunk, self._taken >= len(self._body))
        except UnicodeError as error:
            raise self._broken() from error
        self._at = 0
        return True

    def _broken(self, at: int | None = None) -> InvalidResponse:
        position = self._before + (self._at if at is None else at)
        return InvalidResponse(
            T(
                "The answer is not complete JSON: it breaks off or goes wrong at character %(position)s.",
                position=position,
            )
        )
