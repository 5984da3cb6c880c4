"""Finds records by one field without looking at all of them: by equal value, or by range. Holds ids only."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator


class ValueIndex:
    """Ids by the exact value of one field, in the order they got that value."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, None]] = {}
        self._value_of: dict[str, str] = {}

    def put(self, sys_id: str, value: str) -> None:
        """The record has this value now."""
        if self._value_of.get(sys_id) == value:
            return
        self.remove(sys_id)
        self._value_of[sys_id] = value
        self._ids.setdefault(value, {})[sys_id] = None

    def remove(self, sys_id: str) -> None:
        """The record is gone."""
        value = self._value_of.pop(sys_id, None)
        if value is None:
            return
        ids = self._ids[value]
        del ids[sys_id]
        if not ids:
            del self._ids[value]

    def count(self, value: str) -> int:
        """How many have this value."""
        return len(self._ids.get(value, ()))

    def ids(self, value: str) -> list[str]:
        """Those that have it."""
        return list(self._ids.get(value, ()))


class OrderedIndex:
    """Ids in the order of one text field, so that a range is a slice."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, str]] = []
        self._value_of: dict[str, str] = {}

    def put(self, sys_id: str, value: str) -> None:
        """The record has this value now."""
        if self._value_of.get(sys_id) == value:
            return
        self.remove(sys_id)
        self._value_of[sys_id] = value
        insort(self._entries, (value, sys_id))

    def remove(self, sys_id: str) -> None:
        """The record is gone."""
        value = self._value_of.pop(sys_id, None)
        if value is not None:
            del self._entries[bisect_left(self._entries, (value, sys_id))]

    def bounds(self, operator: str, value: str) -> tuple[int, int]:
        """Where the slice of `field operator value` begins and ends."""
        end = len(self._entries)
        # No id sorts after this, and none before the empty text.
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
        """The slice."""
        return [sys_id for _, sys_id in self._entries[start:end]]

    def walk(self, start: int, end: int) -> Iterator[str]:
        """The same, one by one, for those who may stop early."""
        return (sys_id for _, sys_id in self._entries[start:end])
