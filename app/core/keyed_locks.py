"""Named asyncio locks, for single flight within one process. They do not lock out other processes."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class KeyedLocks:
    """Gives the same lock for the same name while it is in use; an unused lock is garbage collected."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        # The dictionary is weak: the caller's reference keeps the lock alive.
        lock = self._locks.get(name)
        if lock is None:
            lock = asyncio.Lock()
            self._locks[name] = lock
        return lock
