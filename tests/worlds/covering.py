"""Choose worlds: a pairwise covering array of the usual values, and one world for each value that stops a journey."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from allpairspy import AllPairs

from tests.worlds.parameters import BY_NAME, PARAMETERS, Value, World, is_possible


def all_worlds(seed: int) -> list[World]:
    """Return worlds in which every two values of two parameters meet at least once; the seed varies which ones.

    A value that stops a journey would hide the others of its world, so each gets one world beside them.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose.
    varied = [parameter for parameter in PARAMETERS if len(parameter.values) > 1]
    chance.shuffle(varied)
    values = [chance.sample(parameter.values, len(parameter.values)) for parameter in varied]
    names = [parameter.name for parameter in varied]

    def fits(row: Sequence[Value]) -> bool:
        return is_possible(dict(zip(names, row, strict=False)))

    worlds = [_world(names, row) for row in AllPairs(values, filter_func=fits)]
    return worlds + list(_stopped(chance, worlds))


def some_worlds(seed: int, count: int) -> list[World]:
    """Return `count` of them, drawn by the seed."""
    worlds = all_worlds(seed)
    return random.Random(seed).sample(worlds, min(count, len(worlds)))  # noqa: S311 - repeatable on purpose.


def _stopped(chance: random.Random, worlds: list[World]) -> Iterator[World]:
    for parameter in PARAMETERS:
        for value in parameter.stops:
            yield {**chance.choice(worlds), parameter.name: value}


def _world(names: Sequence[str], row: Sequence[Value]) -> World:
    return {name: value for name, value in zip(names, row, strict=True) if value != BY_NAME[name].usual}
