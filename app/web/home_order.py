"""The order of a person's home cards after one was moved or several were dragged. Knows names only."""

from __future__ import annotations

from collections.abc import Sequence


def moved(wanted: Sequence[str], shown: Sequence[str], name: str, step: int) -> list[str]:
    """The order after a card changed places with the shown one before (-1) or after it (1); unchanged at either end."""
    if name not in shown:
        return list(wanted)
    here = shown.index(name)
    there = here + step
    if not 0 <= there < len(shown):
        return list(wanted)
    order = list(shown)
    order[here], order[there] = order[there], order[here]
    return in_order(wanted, order)


def in_order(wanted: Sequence[str], order: Sequence[str]) -> list[str]:
    """The wanted cards, with those of `order` in that order; cards that are not shown now keep their places."""
    asked = [name for name in dict.fromkeys(order) if name in wanted]
    following = iter(asked)
    return [next(following) if name in asked else name for name in wanted]
