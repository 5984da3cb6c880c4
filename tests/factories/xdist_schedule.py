"""Shares the tests of a parallel run out to its processes, so that none of them waits for another at the end."""

from __future__ import annotations

from collections import Counter

import pytest
from xdist.scheduler import LoadScopeScheduling

# These share one browser and one running product, so one process takes them all.
TOGETHER = "tests/browser"
# What takes longest begins first. Of the rest, modules with many tests do, as with `--dist loadscope` itself.
FIRST = (
    TOGETHER,
    "tests/journeys/test_exactly_once.py",
    "tests/worlds/test_worlds.py",
    "tests/sandbox/test_demo.py",
    "tests/conventions/test_every_page.py",
)


def part_of(nodeid: str) -> str:
    """What is never divided: a module, or the folder that stays together."""
    module = nodeid.split("::")[0]
    return TOGETHER if module.startswith(f"{TOGETHER}/") else module


def longest_first(items: list[pytest.Item]) -> None:
    """Sort the tests into the order in which they are scheduled."""
    counts = Counter(part_of(item.nodeid) for item in items)

    def rank(item: pytest.Item) -> tuple[int, int]:
        part = part_of(item.nodeid)
        return (FIRST.index(part) if part in FIRST else len(FIRST), -counts[part])

    items.sort(key=rank)


class ByPart(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a free process the next part, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        return part_of(nodeid)
