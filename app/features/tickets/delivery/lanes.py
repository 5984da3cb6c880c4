"""Lanes: up to four slots that one process keeps while tickets wait, and sends one ticket after the other in each.

    claim ── one commit: slots, pause, tickets noted as sent ──▶ ready ──▶ lane: send ─┬─ made ─▶ stored, several to a commit
      ▲                                                            │                   └─ else ─▶ outbound.py, then an own job
      └─────────── more wait and few are ready ◀───────────────────┴─ a call failed, too late, stopping ─▶ given back

Only the first send of a ticket goes this way, and only a clean answer comes back. Everything else is brought by a job of its
own (outbound.py). Why it is built this way: docs/decisions/0013-delivery-lanes.md
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from uuid import UUID

from app.core.database_trouble import DATABASE_ERRORS
from app.core.errors import RetryLater
from app.core.logging import bind_fields, current_correlation_id, get_logger, rebind_correlation_id
from app.core.metrics import DELIVERIES
from app.core.unforeseen import is_unforeseen, kind_of
from app.features.connection import slots
from app.features.connection.slots import (
    SLOTS,
    CallUnderWay,
    Pool,
    keep_extending,
    release_slot,
    release_slots,
    slots_given_back,
)
from app.features.connection.throttle import Deferral
from app.features.connection.tokens import LiveToken
from app.features.tickets.delivery.claim_tickets import Claim, Wanted, claim, come_back_for_locked
from app.features.tickets.delivery.deliver import deliver
from app.features.tickets.delivery.hand_over import give_own_job, give_own_jobs, start_lanes, start_lanes_in
from app.features.tickets.delivery.outcome_writer import OutcomeWriter
from app.features.tickets.delivery.prepared import PreparedAttempt, TooLate, give_back, next_rows, postpone
from app.features.tickets.models import Ticket
from app.resources import Resources

log = get_logger(__name__)

# So many tickets at most are noted as sent beyond those in the lanes: a process that is killed leaves few to look for.
MOST_AHEAD = 8
# And no more than leave within this time, as answers came lately.
AHEAD_SECONDS = 1.0
# With more answers that are not stored yet, nothing is claimed.
MOST_UNSTORED = 24
# Of an average over the newest answers, the share of the newest one.
NEWEST_COUNTS = 0.2
# Rows that are left to jobs of their own when they cannot be prepared together.
HANDED_OVER = 8


class Lanes:
    """The lanes of one process to one instance. `run` returns when no ticket waits; `look_again` when one may.

    `is_open`: `look_again` will be heeded.
    """

    def __init__(self, resources: Resources, connection_id: UUID) -> None:
        self.resources = resources
        self.connection_id = connection_id
        self.is_open = True
        # Slots by lease: of those that are lent, a call waits for its answer.
        self._idle: list[CallUnderWay] = []
        self._lent: dict[UUID, CallUnderWay] = {}
        self._lost: set[UUID] = set()
        self._ready: deque[PreparedAttempt] = deque()
        self._unsent: list[PreparedAttempt] = []
        self._bringing: set[asyncio.Task[None]] = set()
        self._failing: set[PreparedAttempt] = set()
        self._writer = OutcomeWriter(resources, connection_id)
        self._changed = asyncio.Event()
        self._live: LiveToken | None = None
        self._seconds: float | None = None
        self._error: Exception | None = None
        # No ticket waits; asked to look again since the rows were read; nothing can be claimed before something changes; a
        # call failed; a slot is to be given up.
        self._is_last = self._is_asked = self._is_blocked = self._has_failed = self._gives_up_one = False

    def look_again(self) -> None:
        self._is_asked, self._is_last = True, False
        self._wake()

    def _found_last(self) -> None:
        # What is asked for while a claim is under way may have been committed after the claim had read the rows.
        self._is_last = not self._is_asked

    async def run(self) -> None:
        """Raises NotConnected, and what the database raises; everything that began is then ended or given back."""
        try:
            while not self._is_over:
                self._changed.clear()
                self._fill_lanes()
                if not await self._step():
                    await self._changed.wait()
            # No await between this and the last look whether more wait.
            self.is_open = False
        except asyncio.CancelledError:
            for task in self._bringing:
                task.cancel()
            raise
        finally:
            self.is_open = False
            await asyncio.shield(self._end())
        if self._error is not None:
            raise self._error

    @property
    def _takes_no_more(self) -> bool:
        return self.resources.queue.is_stopping or self._error is not None

    @property
    def _is_over(self) -> bool:
        return (self._is_last or self._takes_no_more) and not (self._ready or self._unsent or self._bringing)

    @property
    def _ahead(self) -> int:
        if self._seconds is None:
            return 0
        return min(MOST_AHEAD, int(SLOTS[Pool.SHARED] * AHEAD_SECONDS / max(self._seconds, 0.001)))

    def _wake(self) -> None:
        self._is_blocked = False
        self._changed.set()

    def _fill_lanes(self) -> None:
        while self._idle and self._ready and not (self._has_failed or self._takes_no_more):
            slot, attempt = self._idle.pop(), self._ready.popleft()
            self._lent[slot.lease_id] = slot
            task = asyncio.create_task(self._bring(attempt, slot))
            self._bringing.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._bringing.discard(task)
        self._wake()

    async def _step(self) -> bool:
        """Do what is next in the rows. False when there is nothing to do until something changes."""
        has_no_slot = not (self._idle or self._lent)  # All were lost, while this process was frozen.
        if self._has_failed or self._takes_no_more or has_no_slot:
            # What failed may be about to fail for all; none of these has left, and none will before it is claimed again.
            self._unsent += self._ready
            self._ready.clear()
            self._seconds = None
        if self._unsent:
            unsent, self._unsent = self._unsent, []
            self._is_last = False  # They wait again.
            await give_back(self.resources, self.connection_id, unsent)
            self._has_failed = False
            return True
        self._has_failed = False
        if self._is_last and not self._ready:
            self._writer.leaving += self._idle
            self._idle.clear()
        if self._writer.leaving and not self._writer.waiting:
            leaving, self._writer.leaving = self._writer.leaving, []
            await release_slots(self.resources, leaving)
            return True
        if self._may_claim:
            return await self._claim()
        return False

    @property
    def _may_claim(self) -> bool:
        if self._is_last or self._is_blocked or self._failing or self._writer.waiting > MOST_UNSTORED:
            return False
        return len(self._ready) <= self._ahead // 2

    async def _claim(self) -> bool:
        # Also what changes while the claim is under way unblocks: nothing else may come, and all would wait for ever.
        self._is_blocked = True
        try:
            made = await self._claimed()
        except Exception as error:
            if not is_unforeseen(error):
                raise
            # One of the rows cannot be prepared. Each is tried alone, where it is counted and held with a reason.
            log.warning("delivery.claim.failed", error=kind_of(error), exc_info=error)
            if not await self._leave_to_own_jobs():
                raise
            self._is_blocked = False
            return True
        if made.deferral is None and not (made.needs_token or made.is_full):
            # Where nothing was got, it is asked again when something changes.
            self._is_blocked &= not (made.ready or made.has_handed_over or self._is_last)
            return not self._is_blocked
        if self._bringing:
            # Perhaps for the outcome of one of our own calls: the first one after a pause, or one that renews the token.
            self._has_failed = bool(self._ready)
            return self._has_failed
        self._is_blocked = False
        if made.deferral is not None:
            await self._wait_for_pause(made.deferral)
        elif made.needs_token:
            await self._bring_one_slowly()
        else:
            await self._wait_for_slot()
        return True

    async def _claimed(self) -> Claim:
        """Claim, and take over what was claimed."""
        held = [*self._idle, *self._lent.values()]
        wanted = Wanted(self.connection_id, held, set(self._lent), len(self._ready), self._ahead)
        self._is_asked = False
        async with self.resources.database.transaction() as session:
            made = await claim(self.resources, session, wanted)
        self._lost |= {slot.lease_id for slot in made.lost}
        slots_given_back(self.resources, [slot for slot in self._idle if slot.lease_id in self._lost])
        self._idle = [slot for slot in self._idle if slot.lease_id not in self._lost] + made.slots
        for slot in made.slots:
            keep_extending(self.resources, slot)
        # A single share goes ahead of what is ready of a bulk share.
        self._ready = deque(sorted([*self._ready, *made.ready], key=lambda one: one.ticket.batch_id is not None))
        self._live = made.live or self._live
        if made.is_last:
            self._found_last()
        self._gives_up_one = made.is_wanted and len(held) - len(made.lost) + len(made.slots) >= SLOTS[Pool.SHARED]
        self._fill_lanes()
        return made

    async def _bring(self, attempt: PreparedAttempt, slot: CallUnderWay) -> None:
        ticket = attempt.ticket
        # Each line of the log leads back to the request in which the ticket was shared.
        rebind_correlation_id(ticket.request_id or current_correlation_id(), "task", "job")
        bind_fields(ticket=str(ticket.id), attempt=attempt.number)
        try:
            try:
                await self._send(attempt, slot)
            except TooLate:
                self._unsent.append(attempt)
            except RetryLater as later:
                if attempt.is_unsent:  # It waits for the lanes again, which claim nothing before the pause is over.
                    self._is_last = False
                else:
                    await give_own_job(self.resources, ticket.id, later.seconds)
        except Exception as error:
            self._error = self._error or error
        finally:
            self._failing.discard(attempt)

    async def _send(self, attempt: PreparedAttempt, slot: CallUnderWay) -> None:
        async def failed(ended: CallUnderWay) -> None:
            # Nothing else leaves until the outcome is recorded, and the row written.
            self._has_failed = True
            self._failing.add(attempt)
            self._lent.pop(slot.lease_id, None)
            await asyncio.shield(release_slot(self.resources, ended))

        call, loop = replace(slot, live=self._live, probe_until=attempt.probe_until), asyncio.get_running_loop()
        started = loop.time()
        found = await attempt.bring(call, failed)
        if found is None:
            return
        self._answered(slot, call, loop.time() - started)
        if await self._writer.keep(attempt, found, call):
            bind_fields(number=attempt.ticket.number)
            attempt.tell_delivered()

    def _answered(self, slot: CallUnderWay, call: CallUnderWay, seconds: float) -> None:
        """The lane is free for the next ticket before the answer is stored."""
        self._lent.pop(slot.lease_id, None)
        self._seconds = seconds if self._seconds is None else self._seconds + NEWEST_COUNTS * (seconds - self._seconds)
        if self._live is None or (call.live is not None and call.live.version > self._live.version):
            self._live = call.live  # The token was renewed.
        if slot.lease_id in self._lost:
            slots_given_back(self.resources, [slot])
        elif self._gives_up_one or (self._is_last and not self._ready):
            self._gives_up_one = False
            self._writer.leaving.append(slot)
        else:
            self._idle.append(slot)
        self._fill_lanes()
        self._wake()

    async def _leave_to_own_jobs(self) -> bool:
        async with self.resources.database.transaction() as session:
            rows = await next_rows(session, self.connection_id, HANDED_OVER)
            await give_own_jobs(session, self.resources.queue, rows)
        return bool(rows)

    async def _wait_for_pause(self, deferral: Deferral) -> None:
        """In place, where it ends within moments; the end of a probe wakes. Otherwise in the queue."""
        if deferral.is_brief:
            idle, self._idle = self._idle, []
            await release_slots(self.resources, idle)
            loop, key = asyncio.get_running_loop(), slots.key_of(self.connection_id, Pool.SHARED)
            seconds = min(deferral.seconds, slots.RECHECK_SECONDS)
            async with self.resources.database.notifications.subscribe(key, patience=seconds) as released:
                await slots.wait_until(released, loop.time() + seconds)
            return
        async with self.resources.database.transaction() as session:
            tickets = await postpone(session, self.connection_id, deferral)
            await start_lanes_in(session, self.resources.queue, deferral.seconds)
        DELIVERIES.labels("deferred").inc(tickets)
        log.info("delivery.deferred", tickets=tickets, seconds=deferral.seconds)
        self._found_last()

    async def _bring_one_slowly(self) -> None:
        """Its own attempt renews the token, or writes down why that is not possible."""
        idle, self._idle = self._idle, []
        await release_slots(self.resources, idle)
        async with self.resources.database.transaction() as session:
            rows = await next_rows(session, self.connection_id, 1)
            if not rows:
                await come_back_for_locked(session, self.resources.queue, self.connection_id, rows)
        for row in rows:
            await bring_slowly(self.resources, row)
        if not rows:
            self._found_last()

    async def _wait_for_slot(self) -> None:
        """All are taken by others. After a while this job gives its place in the worker to another one, and comes back."""
        loop, notifications = asyncio.get_running_loop(), self.resources.database.notifications
        deadline = loop.time() + slots.LONGEST_WAIT_SECONDS[Pool.SHARED]
        key = slots.key_of(self.connection_id, Pool.SHARED)
        async with notifications.subscribe(key, patience=deadline - loop.time()) as released:
            while loop.time() < deadline and not self._takes_no_more:
                released.clear()
                if not (await self._claimed()).is_full:
                    return
                await slots.wait_until(released, min(loop.time() + slots.RECHECK_SECONDS, deadline))
                await notifications.listen(deadline - loop.time())
        async with self.resources.database.transaction() as session:
            await start_lanes_in(session, self.resources.queue, slots.BUSY_RETRY_SECONDS)
        self._found_last()

    async def _end(self) -> None:
        """Everything that began ends; what did not begin is given back, and another worker goes on with it."""
        await asyncio.gather(*self._bringing, return_exceptions=True)
        await self._writer.finish()
        unsent = [*self._unsent, *self._ready]
        self._ready.clear()
        try:
            await give_back(self.resources, self.connection_id, unsent)
            if self.resources.queue.is_stopping and (unsent or not self._is_last):
                async with self.resources.database.transaction() as session:
                    await start_lanes(session, self.resources.queue)
        except DATABASE_ERRORS as error:
            # They are looked for before they are sent, like those of a process that died.
            log.warning("delivery.lanes.not_given_back", tickets=len(unsent), error=kind_of(error))
            self._error = self._error or error  # A job that ended well would not come back for those that wait.
        await release_slots(self.resources, [*self._idle, *self._lent.values(), *self._writer.leaving])


async def bring_slowly(resources: Resources, ticket: Ticket) -> None:
    """One attempt of the ticket's own; if there has to be another one, a job brings it."""

    async def attempt() -> None:
        rebind_correlation_id(ticket.request_id or current_correlation_id(), "task", "job")
        try:
            await deliver(resources, ticket.id)
        except RetryLater as later:
            await give_own_job(resources, ticket.id, later.seconds)

    # A task of its own, so that its fields are on no other line of the log.
    await asyncio.create_task(attempt())
