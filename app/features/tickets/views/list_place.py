"""Where a page of the ticket list begins, to and from the text in its address. Pure.

A page begins beside a ticket, not after a number of them: what is shared meanwhile shifts no page, and none is slower than
another. https://use-the-index-luke.com/no-offset
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

WRITTEN = re.compile(r"(before|after)\.(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)\.([0-9a-f]{32})", re.ASCII)


class Direction(StrEnum):
    """Which tickets a page holds: the newest, the oldest, or those shared before or after a certain one."""

    NEWEST = "newest"
    OLDEST = "oldest"
    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class ListPlace:
    """`created_at` and `ticket_id` are those of the ticket beside the page; it need not exist any more."""

    direction: Direction = Direction.NEWEST
    created_at: datetime | None = None
    ticket_id: UUID | None = None

    @classmethod
    def read(cls, text: str) -> ListPlace:
        """What an address says. Anything else than a place is the newest tickets, so that no address leads nowhere."""
        if text == Direction.OLDEST:
            return OLDEST
        found = WRITTEN.fullmatch(text[:100])
        if found is None:
            return NEWEST
        try:
            return cls(Direction(found[1]), datetime.fromisoformat(found[2]), UUID(found[3]))
        except ValueError:  # The thirteenth month.
            return NEWEST

    def write(self) -> str:
        """Empty for the newest tickets."""
        if self.created_at is None or self.ticket_id is None:
            return "" if self.direction is Direction.NEWEST else self.direction.value
        moment = self.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        # strftime() writes the year 900 with three digits on Linux.
        return f"{self.direction}.{moment.rjust(26, '0')}Z.{self.ticket_id.hex}"

    @property
    def is_ascending(self) -> bool:
        """Whether the page is read from older tickets to newer ones."""
        return self.direction in (Direction.OLDEST, Direction.AFTER)


NEWEST, OLDEST = ListPlace(), ListPlace(Direction.OLDEST)
