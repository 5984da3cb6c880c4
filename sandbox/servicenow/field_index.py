"""Indexes over one field of a table: by equal value, and ordered for ranges. Hold IDs only, no records."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from sandbox.servicenow.text_folding import fold


class ValueIndex:
    """IDs by the value of one field, in insertion order; case and accents are not told apart."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, None]] = {}
        self._value_of: dict[str, str] = {}

    def put(self, sys_id: str, value: str) -> None:
        value = fold(value)
        if self._value_of.get(sys_id) == value:
            return
        self.remove(sys_id)
        self._value_of[sys_id] = value
        self._ids.setdefault(value, {})[sys_id] = None

    def remove(self, sys_id: str) -> None:
        value = self._value_of.pop(sys_id, None)
        if value is None:
            return
        ids = self._ids[value]
        del ids[sys_id]
        if not ids:
            del self._ids[value]

    def count(self, value: str) -> int:
        return len(self._ids.get(fold(value), ()))

    def ids(self, value: str) -> list[str]:
        return list(self._ids.get(fold(value), ()))

    def ids_of_any(self, values: list[str]) -> list[str]:
        """Return the IDs of all these values, each once."""
        return [sys_id for value in dict.fromkeys(map(fold, values)) for sys_id in self._ids.get(value, ())]


class OrderedIndex:
    """IDs sorted by one text field, so that a range is a slice."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, str]] = []
        self._value_of: dict[str, str] = {}

    def put(self, sys_id: str, value: str) -> None:
        if self._value_of.get(sys_id) == value:
            return
        self.remove(sys_id)
        self._value_of[sys_id] = value
        insort(self._entries, (value, sys_id))

    def remove(self, sys_id: str) -> None:
        value = self._value_of.pop(sys_id, None)
        if value is not None:
            del self._entries[bisect_left(self._entries, (value, sys_id))]

    def bounds(self, operator: str, value: str) -> tuple[int, int]:
        """Return (start, end) of the slice for `field operator value`."""
        end = len(self._entries)
        # Entries are (value, ID) pairs: "" sorts before every ID, U+10FFFF after every ID.
        match operator:
            case ">=":
                return bisect_left(self._entries, (value, "")), end
            case ">":
                return bisect_right(self._entries, (value, "\U0010ffff")), end
            case "<=":
                return 0, bisect_right(self._entries, (value, "\U0010ffff"))
            case _:
                return 0, bisect_left(self._entries, (value, ""))

    def ids(self, start: int, end: int) -> list[str]:
        return [sys_id for _, sys_id in self._entries[start:end]]

    def walk(self, start: int, end: int) -> Iterator[str]:
        """Iterate over the slice, for callers that may stop early."""
        return (sys_id for _, sys_id in self._entries[start:end])
