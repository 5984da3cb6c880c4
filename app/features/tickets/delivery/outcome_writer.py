"""Stores the answers to sent tickets: while one commit is under way, the next answers gather for the one after it."""

from __future__ import annotations

import asyncio
from uuid import UUID

from app.core.unforeseen import is_unforeseen
from app.features.connection.call_log import keep_calls
from app.features.connection.slots import CallUnderWay, record_outcomes
from app.features.connection.throttle import throttle_of
from app.features.tickets.delivery.prepared import Arrived, PreparedAttempt, store
from app.integrations.servicenow.schemas import RemoteTicket
from app.resources import Resources

# An answer holds a whole record.
MOST_AT_ONCE = 16


class OutcomeWriter:
    """Serves the lanes of one process."""

    def __init__(self, resources: Resources, connection_id: UUID) -> None:
        self._resources = resources
        self._connection_id = connection_id
        self._waiting: list[tuple[Arrived, asyncio.Future[bool]]] = []
        self._writing: asyncio.Task[None] | None = None
        # Slots that are no longer needed, given back with the next commit.
        self.leaving: list[CallUnderWay] = []

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def keep(self, attempt: PreparedAttempt, found: list[RemoteTicket], ended: CallUnderWay) -> bool:
        """Return once the answer is stored; False when it is written down why it cannot be.

        Raises RetryLater, and what the database raises: then the ticket is looked for later, as after a lost answer.
        """
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((Arrived(attempt, found, ended), kept))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await kept

    async def finish(self) -> None:
        """Wait until what came is stored, also where the one that waited for it was cancelled."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            leaving, self.leaving = self.leaving, []
            try:
                await store(self._resources, self._connection_id, [arrived for arrived, _ in batch], leaving)
            except BaseException as error:
                self.leaving += leaving
                if not isinstance(error, Exception):
                    raise
                if is_unforeseen(error):
                    await self._write_each(batch)
                    continue
                for _, kept in batch:
                    _settle(kept, error)
            else:
                for _, kept in batch:
                    _settle(kept)

    async def _write_each(self, batch: list[tuple[Arrived, asyncio.Future[bool]]]) -> None:
        """One of them cannot be stored: the others are, and it is treated as what no one foresaw."""
        try:
            await self._record([arrived.call for arrived, _ in batch])
        except Exception as error:
            for _, kept in batch:
                _settle(kept, error)
            return
        for arrived, kept in batch:
            try:
                is_kept = await arrived.attempt.keep_alone(arrived.found)
            except Exception as error:
                _settle(kept, error)
            else:
                _settle(kept, is_kept=is_kept)

    async def _record(self, ended: list[CallUnderWay]) -> None:
        async with self._resources.database.transaction() as session:
            throttle = await throttle_of(session, self._connection_id)
            await record_outcomes(session, throttle, ended)
        await keep_calls(self._resources)


def _settle(kept: asyncio.Future[bool], error: Exception | None = None, *, is_kept: bool = True) -> None:
    # The one that waited may have been cancelled.
    if kept.done():
        return
    if error is not None:
        kept.set_exception(error)
    else:
        kept.set_result(is_kept)
