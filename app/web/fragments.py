"""Rendered pieces of pages, kept in this process for everyone who may read them. Renders nothing and asks no database.

The versions in a key are read before the content (docs/decisions/0012-kept-fragments.md): what is kept may be newer than
its versions say, and is never older.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256

from app.core import clock
from app.core.database_connection import GRACE_SECONDS, patience, wait_for_other

# A card takes 2 to 8 kB, and there is one for each role and language; a person's frame takes 12 kB. So this holds the
# pages of some 2,500 people, and beyond that the ones that were not asked for the longest are made again.
MOST_BYTES = 32 * 1024 * 1024
# Python's objects around a fragment, so that very small ones are counted as well.
OVERHEAD_BYTES = 1_000
# Some texts move with time alone. Those that matter name their own moment (`Fragment.until`); a day that becomes "recent" no
# more, or a due date that passes, is shown at most this much later.
LONGEST_KEPT = timedelta(seconds=60)


@dataclass(frozen=True)
class Key:
    """What a fragment depends on: its name, everything else that its text depends on, and the versions of its topics.

    `inputs` hold the rights and the language always, and the person where the fragment says anything of one.
    """

    name: str
    inputs: tuple[Hashable, ...]
    versions: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Fragment:
    """One rendered text, in the pieces between which something else is put.

    `until` is when it stops being true by itself. `topics` are those of its key that it really depends on; None is all.
    `marks` are what the page it is put into has to know.
    """

    pieces: tuple[bytes, ...]
    until: datetime | None = None
    topics: frozenset[str] | None = None
    marks: tuple[str, ...] = ()

    @cached_property
    def tag(self) -> str:
        """The same for the same text, in every process."""
        return sha256(b"\0".join(self.pieces) + "\0".join(self.marks).encode()).hexdigest()[:32]

    @property
    def size(self) -> int:
        return sum(len(piece) for piece in self.pieces) + OVERHEAD_BYTES


@dataclass(frozen=True)
class _Kept:
    fragment: Fragment
    versions: tuple[tuple[str, int], ...]
    since: datetime
    until: datetime

    def is_true_for(self, key: Key, now: datetime) -> bool:
        # A clock that was set back says nothing of how old it is.
        is_same = self.versions == key.versions or set(self.versions) <= set(key.versions)
        return is_same and self.since <= now < self.until


# An error is that of its key, and of no other.
Make = Callable[[Sequence[Key]], Awaitable[Mapping[Key, Fragment | Exception]]]


@dataclass
class Fragments:
    """The fragments of this process, the newest of each name and inputs. One that is wanted by many is made once.

    `seconds` is how long a making waits for the database, however long the one who asked first had waited before.
    """

    most_bytes: int = MOST_BYTES
    seconds: float = 4 + GRACE_SECONDS
    size: int = 0
    _kept: OrderedDict[tuple[str, tuple[Hashable, ...]], _Kept] = field(default_factory=OrderedDict)
    _making: dict[Key, asyncio.Future[Fragment]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def find(self, key: Key) -> Fragment | None:
        """The fragment, if it is kept and still true."""
        slot = (key.name, key.inputs)
        kept = self._kept.get(slot)
        if kept is None or not kept.is_true_for(key, clock.now()):
            return None
        self._kept.move_to_end(slot)
        return kept.fragment

    async def get(self, keys: Sequence[Key], make: Make) -> list[Fragment]:
        """The fragments of these keys. `make` is called with those that are neither kept nor being made, all at once.

        Raises what `make` raises, or has for one of these keys, to everyone who waits for it; nothing is kept of that. Who
        has no patience left gets NoAnswer, and ends the making for no one.
        """
        found = {key: self.find(key) for key in keys}
        missing = [key for key, fragment in found.items() if fragment is None]
        new = [key for key in missing if key not in self._making]
        if new:
            # A task of its own: the one who asked first may go away, and the others get it all the same.
            loop = asyncio.get_running_loop()
            begun = {key: loop.create_future() for key in new}
            self._making.update(begun)
            task = asyncio.create_task(self._make(begun, make))
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._ended(done, begun))
        # All are noted before the first wait, because each leaves the list when it is done.
        waits = {key: self._making[key] for key in missing}
        for key, making in waits.items():
            made = await wait_for_other(making)
            found[key] = made
        return [fragment for key in keys if (fragment := found[key]) is not None]

    async def _make(self, begun: Mapping[Key, asyncio.Future[Fragment]], make: Make) -> None:
        since = clock.now()
        made: Mapping[Key, Fragment | Exception]
        try:
            with patience(self.seconds):
                made = await make(list(begun))
        except Exception as error:
            made = dict.fromkeys(begun, error)
        for key, making in begun.items():
            self._tell(key, making, made[key], since)

    def _tell(self, key: Key, making: asyncio.Future[Fragment], made: Fragment | Exception, since: datetime) -> None:
        del self._making[key]
        if isinstance(made, Exception):
            making.set_exception(made)
            # Everyone who waited may be gone: an error that no one asks for would be reported as forgotten.
            making.exception()
        else:
            self._keep(key, made, since)
            making.set_result(made)

    def _ended(self, task: asyncio.Task[None], begun: Mapping[Key, asyncio.Future[Fragment]]) -> None:
        self._tasks.discard(task)
        # The process ends. A task that is cancelled before its first step runs no line, so it cannot do this itself.
        for key, making in begun.items():
            if making.cancel():
                del self._making[key]

    def _keep(self, key: Key, fragment: Fragment, since: datetime) -> None:
        until = min(since + LONGEST_KEPT, fragment.until or datetime.max.replace(tzinfo=since.tzinfo))
        topics = fragment.topics
        versions = tuple(pair for pair in key.versions if topics is None or pair[0] in topics)
        slot = (key.name, key.inputs)
        if (before := self._kept.pop(slot, None)) is not None:
            self.size -= before.fragment.size
        self._kept[slot] = _Kept(fragment, versions, since, until)
        self.size += fragment.size
        self._drop(clock.now())

    def _drop(self, now: datetime) -> None:
        """Drop what was not asked for the longest while there is too much, and while it has ended.

        So nothing of a person who left or was erased stays for longer than others need their pages.
        """
        while self._kept:
            slot, first = next(iter(self._kept.items()))
            if self.size <= self.most_bytes and now < first.until:
                break
            del self._kept[slot]
            self.size -= first.fragment.size
