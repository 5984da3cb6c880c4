"""Choose worlds: a pairwise covering array of the usual values, and one world for each value that stops a journey."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from allpairspy import AllPairs

from tests.worlds.parameters import BY_NAME, LOST_ANSWER, PARAMETERS, World, possible_worlds

HOLDING = "holding"


# What decides with a lost answer whether a record can be found again, besides the values that may hold a ticket.
ABOUT_LOST_ANSWERS = (
    LOST_ANSWER, "chosen_sys_id", "duplicate_sys_id", "created_without_body", "invalid_query_returns_no_rows",
    "strict_queries", "range_refused",
)  # fmt: skip


@cache
def all_worlds(seed: int) -> list[World]:
    """Return worlds in which every two values of two parameters meet at least once; the seed varies which ones.

    Values that hold a ticket or stop a journey would hide the others of their world. So the first ones meet in pairs only
    what has to do with lost answers, and each of the others gets one world.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose.
    usual = _covering(chance, {parameter.name: parameter.values for parameter in PARAMETERS})
    holding = {
        HOLDING: [(parameter.name, value) for parameter in PARAMETERS for value in parameter.holds],
        **{name: BY_NAME[name].values for name in ABOUT_LOST_ANSWERS},
    }
    worlds = list(usual)
    for row in _covering(chance, holding):
        name, value = row.pop(HOLDING)
        worlds.append({**chance.choice(usual), **row, name: value})
    for parameter in PARAMETERS:
        worlds += [{**chance.choice(usual), parameter.name: value} for value in parameter.stops]
    return [_told(world) for world in worlds]


def _covering(chance: random.Random, values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return rows in which every two values of two columns meet, in an order of columns and values drawn by chance."""
    names = [name for name in values if len(values[name]) > 1]
    chance.shuffle(names)
    drawn = [chance.sample(list(values[name]), len(values[name])) for name in names]

    rows = [dict(zip(names, row, strict=True)) for row in AllPairs(drawn)]
    return [world for row in rows for world in possible_worlds(row)]


def _told(world: World) -> World:
    """Return the world without what is usual."""
    return {name: value for name, value in world.items() if value != BY_NAME[name].usual}


def some_worlds(seed: int, count: int) -> list[World]:
    """Return `count` of them, drawn by the seed."""
    worlds = all_worlds(seed)
    return random.Random(seed).sample(worlds, min(count, len(worlds)))  # noqa: S311 - repeatable on purpose.
