"""Which categories a page lists by name, however many Graph names. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from app.features.secure_score.vocabulary import Category

# Microsoft has five, and a handful of others were seen: docs/facts/microsoft-graph.md#edge-37
MOST_CATEGORIES = 25


def listed_categories(largest_first: Iterable[str], chosen: str = "") -> list[str]:
    """All names while there are few; else Microsoft's five, the unnamed one, the chosen one, and the largest others.

    At most MOST_CATEGORIES, in the given order. `largest_first` holds each name once; the empty one is "no category".
    """
    names = list(largest_first)
    if len(names) <= MOST_CATEGORIES:
        return names
    listed = {*Category, "", chosen}.intersection(names)
    for name in names:
        if len(listed) >= MOST_CATEGORIES:
            break
        listed.add(name)
    return [name for name in names if name in listed]
