"""Idempotent delivery: a create whose answer was lost is reconciled (looked up by correlation ID) before it is repeated.

The one state machine of the outbox: it brings a queued row to ServiceNow exactly once. Each step is a short transaction
of its own, and none is open during a remote call. The row alone tells what may have been sent, so a process that dies at
any point loses nothing and duplicates nothing.

    queued ─┬─ never sent ──────────────── send ─┬─ answered ─────────────────▶ shared
            └─ sent before ─ find ─┬─ found ─────│────────────────────────────▶ shared
                                   ├─ uncertain ─│─ wait, then find again ────▶ queued
                                   ├─ hidden? ───│─ refusal of the lookup ──┐
                                   └─ absent ─▶ send again                  │
                                                 └─ failed ─┬─ passing ─────┼─▶ queued, with backoff
                                                            ├─ 500 ─────────┼─▶ queued, held after BELIEVED_FAILURES
                                                            └─ refused ─────┴─▶ queued once, then held
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Generic

from app.core import clock
from app.core.database import Session
from app.core.errors import RetryLater
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.core.metrics import DELIVERIES
from app.core.unforeseen import is_unforeseen
from app.features.connection.gateway import InstancePaused, Lane, NotConnected, ServiceNowClient, call
from app.features.connection.throttle import own_backoff
from app.features.tickets.delivery.adapter import Answer, Call, Found, OutboundAdapter, Row, StillUncertain, Superseded
from app.features.tickets.delivery.next_step import (
    BELIEVED_FAILURES,
    NextStep,
    failing_message,
    is_refusal,
    next_step,
    refusal_cause,
)
from app.features.tickets.delivery.outbox_row import (
    count_attempt,
    hold,
    is_uncertain,
    note_outcome,
    note_send,
    seconds_in_flight,
)
from app.features.tickets.delivery.unexpected import after_unexpected
from app.features.tickets.types import Delivery
from app.integrations.http.errors import RemoteError
from app.resources import Resources

log = get_logger(__name__)

# A create whose answer was lost may still be running in ServiceNow, whose transaction quota for REST calls is 60 to
# 300 s: docs/facts/servicenow.md#5-limits-failures-sleeping-instances. Until then the record is looked for, not sent.
UNCERTAIN_SECONDS = 330.0
# How often it is looked for meanwhile. Three requests a minute per ticket do not hurt the instance.
LOOKUP_INTERVAL_SECONDS = 20.0
# A send that was noted leaves within this time or not at all, also where the process or its machine is frozen in between.
# So a lost one has ended there before it is uncertain no longer, and its attempt before others take it for dead.
LEAVES_WITHIN_SECONDS = 30.0
# An attempt without an outcome after this is taken for dead: leaving, and a whole answer (35 s), take less. One that lives
# on after all, because renewing the token took long, is stopped by its number before it sends.
ATTEMPT_SECONDS = 75.0

STILL_UNDER_WAY = T("Another attempt is still waiting for ServiceNow’s answer.")


class Lookup(Generic[Row, Found]):
    """Finds out whether a row has arrived. Sends nothing, and takes no attempt's number."""

    lane = Lane.BACKGROUND
    # Whether a send might still have been under way when the newest call left.
    was_uncertain = False
    noted_at = 0.0  # When the newest send was noted, by clock.seconds_awake_and_asleep().

    def __init__(self, resources: Resources, adapter: OutboundAdapter[Row, Found], number: int = 0) -> None:
        """`number` is the row's last attempt: once there is a later one, this lookup is superseded."""
        self.resources = resources
        self.adapter = adapter
        self.number = number

    async def look(self) -> Found | None:
        """What is in ServiceNow; None when it is proven that nothing is.

        Raises StillUncertain while an earlier send may be under way, QueryIgnored when ServiceNow would not show the
        record if it were there, Superseded, and what `gateway.call` raises.
        """
        # Reconciliation: did the create arrive whose answer was lost? docs/facts/servicenow.md#6-idempotency
        found = await self._call(self.adapter.find)
        if found is not None:
            return found
        # As it was before the lookup left. By now the time may be over, but the send may have ended between the moment
        # at which ServiceNow answered the lookup and this one, and an empty answer would be taken for the proof.
        if self.was_uncertain:
            raise StillUncertain
        async with self.resources.database.transaction() as session:
            check = await self.adapter.visibility_check(session, await self.current(session))
        if check is not None:
            await self._call(check)
        return None

    async def keep(self, found: Found, *, just_sent: bool = False) -> None:
        """The row has arrived. That is true regardless of what other attempts wrote, unless one of them has said so already."""
        async with self.resources.database.transaction() as session:
            await self.adapter.lock_before_row(session, just_sent=just_sent)
            row = await self.adapter.load(session)
            if row is not None:
                await self.keep_on(session, row, found)

    async def keep_on(self, session: Session, row: Row, found: Found) -> None:
        """As `keep`, on the row that the caller has locked after what `lock_before_row` locks."""
        if row.delivery == Delivery.SHARED:
            return
        await self.adapter.delivered(session, row, found)
        row.delivery, row.shared_at = Delivery.SHARED, clock.now()
        row.in_flight_since = row.next_try_at = row.uncertain_until = row.problem = None

    async def current(self, session: Session) -> Row:
        """The row, locked, while this attempt is the newest. Raises Superseded: late losers write nothing."""
        row = await self.adapter.load(session)
        is_decided = row is None or row.delivery != self.adapter.awaiting
        if row is None or is_decided or row.attempts != self.number:
            raise Superseded(is_decided=is_decided)
        return row

    async def _call(self, work: Call[Answer], *, sends: bool = False) -> Answer:
        async def noted(client: ServiceNowClient) -> Answer:
            # Noted inside the slot, so that a pause or a wait for a slot leaves no attempt behind. Runs again after a
            # 401, by which ServiceNow said that it did nothing (docs/facts/servicenow.md#2-6-error-envelope).
            await self._note(sends=sends)
            client.leave_by = self.noted_at + LEAVES_WITHIN_SECONDS if sends else None
            return await work(client)

        return await self._ask(noted)

    async def _ask(self, work: Call[Answer]) -> Answer:
        return await call(self.resources, work, connection_id=self.adapter.connection_id, lane=self.lane)

    async def _note(self, *, sends: bool) -> None:  # noqa: ARG002 - a lookup never sends.
        async with self.resources.database.transaction() as session:
            self.was_uncertain = is_uncertain(await self.current(session), clock.now())


class Attempt(Lookup[Row, Found]):
    """One attempt at delivering a queued row.

    `began` once it has its number, `sends` while its call is the send, `was_answered` once ServiceNow has taken it.
    `is_unsent` once it is certain that nothing of the row was ever done.
    """

    lane = Lane.DELIVERY
    began = sends = was_answered = is_unsent = False
    was_sent = True
    failures = 0

    async def deliver(self) -> None:
        """Raises RetryLater when there has to be another attempt; returns when none is needed."""
        try:
            await self._attempt()
        except Exception as error:
            if not is_unforeseen(error):
                raise
            await self._unexpected(error)

    async def _attempt(self) -> None:
        was_sent = await self._admit()
        if was_sent is None:
            return
        try:
            arrived = await self._bring(was_sent=was_sent)
        except Superseded as error:
            error.go_on_after(LOOKUP_INTERVAL_SECONDS)
            return
        if arrived is not None:
            found, just_sent = arrived
            await self.keep(found, just_sent=just_sent)
            self.tell_delivered()

    def tell_delivered(self) -> None:
        DELIVERIES.labels("delivered").inc()
        log.info("delivery.delivered", **self.adapter.log_fields, attempt=self.number)

    async def _bring(self, *, was_sent: bool) -> tuple[Found, bool] | None:
        """What is in ServiceNow now, and whether it is the answer to the send; None when it is written down why nothing is.

        Raises RetryLater when there has to be another attempt, and Superseded.
        """
        self.was_sent = was_sent
        try:
            found = await self.look() if was_sent else None
            if found is not None:
                return found, False
            if self.failures >= BELIEVED_FAILURES:
                await self._hold_failing()
                return None
            return await self._send(was_sent=was_sent)
        except Superseded:
            log.warning("delivery.superseded", **self.adapter.log_fields, attempt=self.number)
            raise
        except StillUncertain:
            await self._wait(self.adapter.still_uncertain, LOOKUP_INTERVAL_SECONDS)
        except InstancePaused as error:
            # Without a reason, only the slots of the instance were taken: the page shows no problem.
            await self._wait(error.reason, error.seconds, in_history=False)
        except NotConnected as error:
            await self._wait(error.message, None, failed=True)
        except RemoteError as error:
            await self._fail(error)
        return None

    async def _admit(self) -> bool | None:
        """Whether the row was sent before; None when it needs no attempt. Raises RetryLater when it may not begin yet."""
        async with self.resources.database.transaction() as session:
            row = await self.adapter.load(session)
            if row is None or row.delivery != self.adapter.awaiting:
                return None
            self.number, self.failures = row.attempts, row.failures
            stop = await self._stop(session, row)
        if isinstance(stop, RetryLater):
            raise stop
        return None if stop else row.sent_at is not None

    async def _stop(self, session: Session, row: Row) -> RetryLater | Superseded | None:
        """Why the attempt must not begin; None when it may. Returned, not raised, so that rows written here are committed."""
        seconds = seconds_in_flight(row, clock.now(), attempt_seconds=ATTEMPT_SECONDS)
        if seconds > 0:
            return RetryLater(seconds, STILL_UNDER_WAY)
        postponed = await self.adapter.postpone(session, row)
        return Superseded() if row.delivery != self.adapter.awaiting else postponed

    async def _send(self, *, was_sent: bool) -> tuple[Found, bool]:
        """What is there now, and whether it is the answer to the send. Raises what `_call` raises."""
        try:
            found = await self._call(self.adapter.send, sends=True)
        except RemoteError as error:
            earlier = await self._find_despite_refusal() if was_sent and is_refusal(error) else None
            if earlier is None:
                raise
            return earlier, False
        return await self._confirm(found), True

    async def _find_despite_refusal(self) -> Found | None:
        """What an earlier send has left, when a repeated one was refused: perhaps because it is there already."""
        recheck = self.adapter.recheck()
        if recheck is None:
            return None
        try:
            return await self._call(recheck)
        except (RemoteError, InstancePaused, NotConnected):
            return None
        finally:
            # What is written down next is said of the send.
            self.sends = True

    async def _confirm(self, found: Found) -> Found:
        """What became of a send that was answered, where only another call tells. Raises what refuses it."""
        check = self.adapter.confirmation()
        if check is None:
            return found
        self.was_answered = True
        confirmed = await self._call(check)
        self.sends = True
        return self.adapter.confirmed(confirmed)

    async def _note(self, *, sends: bool) -> None:
        """Commit, before the call, that this attempt makes it. The first time, the attempt takes its number."""
        self.noted_at = clock.seconds_awake_and_asleep()
        async with self.resources.database.transaction() as session:
            row = await self.current(session)
            stop = None if self.began else await self._stop(session, row)
            now = clock.now()
            self.was_uncertain = is_uncertain(row, now)
            if stop is None:
                self.note_on(row, now, sends=sends)
        if stop is not None:
            raise stop
        self.noted(row, sends=sends)

    def note_on(self, row: Row, now: datetime, *, sends: bool) -> None:
        """Write on the locked row that this attempt makes a call. Once that is committed, `noted` follows, and the call."""
        if not self.began:
            count_attempt(row, now)
        row.in_flight_since = row.next_try_at = now
        if self.was_answered:
            row.uncertain_until = None
        if sends:
            note_send(row, now, uncertain_seconds=UNCERTAIN_SECONDS)
            self.adapter.before_send(row)

    def noted(self, row: Row, *, sends: bool) -> None:
        self.number, self.began, self.sends = row.attempts, True, sends

    async def _end(self, session: Session, *, failed: bool) -> Row | None:
        """The row, no longer in flight; None when it was decided since. Raises RetryLater when another attempt has begun.

        An attempt that failed before its first call, because there was no token or no connection, is counted now: its
        page shows it, and the next wait is longer.
        """
        try:
            row = await self.current(session)
        except Superseded as error:
            error.go_on_after(LOOKUP_INTERVAL_SECONDS)
            return None
        row.in_flight_since = None
        if failed and not self.began:
            count_attempt(row, clock.now())
            self.number, self.began = row.attempts, True
        return row

    def _show(self, session: Session, row: Row, problem: Message, *, in_history: bool = True) -> None:
        if in_history and row.problem != problem.to_json():
            self.adapter.note_problem(session, row, problem)
        row.problem = problem.to_json()

    async def _wait(
        self, problem: Message | None, seconds: float | None, *, in_history: bool = True, failed: bool = False
    ) -> None:
        """Nothing more was sent. Without `seconds`, the sweep queues the row again once the connection is authorized."""
        async with self.resources.database.transaction() as session:
            row = await self._end(session, failed=failed)
            if row is None:
                return
            if problem is not None:
                self._show(session, row, problem, in_history=in_history)
            row.next_try_at = None if seconds is None else clock.now() + timedelta(seconds=seconds)
            if self.sends:  # The send was refused with 401, and the token could not be renewed: it was not done.
                row.uncertain_until = None
        DELIVERIES.labels("deferred").inc()
        log.info("delivery.deferred", **self.adapter.log_fields, seconds=seconds)
        if seconds is not None:
            raise RetryLater(seconds, problem)

    async def _fail(self, error: RemoteError) -> None:
        """Write down what went wrong and what follows. Raises RetryLater unless a person has to act."""
        async with self.resources.database.transaction() as session:
            row = await self._end(session, failed=True)
            if row is None:
                return
            seconds = await own_backoff(session, self.adapter.connection_id, error, self.number)
            is_other_cause = row.refusal_cause != refusal_cause(error)
            before = Message.from_json(row.problem) if row.problem and row.refusals and is_other_cause else None
            self._show(session, row, error.message)
            # What was said of a lookup says nothing of the send before it.
            if self.sends:
                note_outcome(row, error, was_sent=self.was_sent)
            self.is_unsent = row.sent_at is None
            if is_refusal(error):
                row.refusals += 1
                # A refused lookup counts only until a send is refused, too.
                if self.sends or row.refusal_cause is None or not is_other_cause:
                    row.refusal_cause, row.refused_at = refusal_cause(error), row.attempted_at
            step = next_step(error, refusals=row.refusals, sends=self.sends, turned_away=row.turned_away)
            if step is NextStep.RETRY:
                row.next_try_at = clock.now() + timedelta(seconds=seconds)
            elif step is NextStep.HOLD:
                await self.adapter.refused(session, row)
                self._hold(session, row, error.message)
            else:
                self._hold(session, row, self.adapter.in_doubt(error.message, before))
                # Set until a lookup has found out: sharing the same action again asks first meanwhile.
                row.uncertain_until = row.uncertain_until or clock.now()
        DELIVERIES.labels("retried" if step is NextStep.RETRY else "held").inc()
        log.info("delivery.failed", **self.adapter.log_fields, outcome=type(error).__name__, next_step=step.value)
        if step is NextStep.RETRY:
            raise RetryLater(seconds, error.message)

    async def _hold_failing(self) -> None:
        """ServiceNow failed at it too often, and it is proven that nothing of it is there."""
        async with self.resources.database.transaction() as session:
            row = await self._end(session, failed=False)
            if row is None:
                return
            problem = failing_message(row.failures, row.failure_text)
            self._show(session, row, problem)
            self._hold(session, row, problem)
        DELIVERIES.labels("held").inc()
        log.info("delivery.failed", **self.adapter.log_fields, outcome="failing", next_step=NextStep.HOLD.value)

    async def _unexpected(self, error: Exception) -> None:
        """Raises RetryLater a few times; then the row is held, so that no job fails for ever."""
        async with self.resources.database.transaction() as session:
            row = await self._end(session, failed=True)
            if row is None:
                return
            fields = self.adapter.log_fields
            end = after_unexpected(row, error, sends=self.sends, now=clock.now(), log_fields=fields)
            self._show(session, row, end.problem)
            if end.seconds is None and row.sent_at is None:
                self._hold(session, row, end.problem)
            elif end.seconds is None:
                self._hold(session, row, self.adapter.in_doubt(end.problem, None))
                row.uncertain_until = row.uncertain_until or clock.now()
        if end.seconds is not None:
            raise RetryLater(end.seconds, end.problem)

    def _hold(self, session: Session, row: Row, problem: Message) -> None:
        hold(row, problem)
        self.adapter.note_held(session, row)
