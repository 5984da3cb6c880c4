"""The pace at which an instance is called: whatever it answers, in whatever order calls of several processes end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import clock
from app.core.clock import SetClock
from app.core.errors import RetryLater
from app.features.connection import slots
from app.features.connection.gateway import ServiceNowClient, call
from app.features.connection.models import InstanceThrottle
from app.features.connection.throttle import (
    BRIEF_PAUSE_SECONDS,
    LONGEST_WAIT_FOR_PROBE_SECONDS,
    check_allowed,
    end_call,
    pause_of,
)
from app.features.tickets.delivery.deliver import deliver
from app.features.tickets.models import Ticket
from app.features.tickets.types import TicketKind
from app.integrations.http.errors import Ambiguous, Forbidden, RemoteError, Throttled, Unreachable
from tests.factories.calling import another_process, at_once, pause, throttle
from tests.factories.system import System
from tests.factories.tickets import read_ticket, share_one

LANES = 4
START = datetime(2026, 11, 20, 9, tzinfo=UTC)
# What a call may end with; None is an answer, and a plain Exception an end without any outcome.
OUTCOMES: list[Exception | None] = [
    None, Throttled(), Throttled(seconds=0), Throttled(seconds=7), Throttled(seconds=90), Throttled(seconds=86_400),
    Ambiguous(), Unreachable(), Forbidden(), Exception(),
]  # fmt: skip


@dataclass
class Instance:
    """One row, the calls under way (each with the end of its probe, if it is one), and what the instance has named."""

    ours: SetClock = field(default_factory=lambda: SetClock(START))
    row: InstanceThrottle = field(default_factory=lambda: InstanceThrottle(failures=0, requests=0))
    under_way: list[datetime | None] = field(default_factory=list)
    not_before: datetime = START
    started = 0

    def start(self) -> bool:
        before = self.row.probe_until
        if len(self.under_way) >= LANES or check_allowed(self.row) is not None:
            return False
        assert self.ours.now() >= self.not_before, "a named time is never undercut"
        probing = [
            until for until in self.under_way if until is not None and until == before and until > self.ours.now()
        ]
        assert probing == [], "nothing begins while a probe has no outcome"
        self.under_way.append(self.row.probe_until if self.row.probe_until != before else None)
        self.started += 1
        return True

    def end(self, position: int, outcome: Exception | None) -> None:
        probe_until = self.under_way.pop(position)
        if isinstance(outcome, Throttled) and outcome.seconds is not None:
            self.not_before = max(self.not_before, self.ours.now() + timedelta(seconds=outcome.seconds))
        end_call(
            self.row,
            trouble=outcome if isinstance(outcome, RemoteError) else None,
            answered=outcome is None,
            hourly_limit=None,
            probe_until=probe_until,
        )


STEPS = st.one_of(
    st.just("start"),
    st.tuples(st.integers(0, LANES - 1), st.sampled_from(OUTCOMES)),
    st.sampled_from([0.05, 0.3, 1.0, 8.0, 61.0, 400.0]),
)


@given(st.lists(STEPS, max_size=60))
def test_no_named_time_is_undercut_one_probe_goes_alone_and_the_pace_comes_back(
    steps: list[str | float | tuple[int, Exception | None]],
) -> None:
    instance = Instance()
    before = clock.use(instance.ours)
    try:
        for step in steps:
            if isinstance(step, tuple):
                if instance.under_way:
                    instance.end(step[0] % len(instance.under_way), step[1])
            elif isinstance(step, float):
                instance.ours.move(step)
            else:
                instance.start()
        # However it ended: processes that died included, which left a probe without an outcome.
        instance.under_way.clear()
        instance.ours.move(86_400 + LONGEST_WAIT_FOR_PROBE_SECONDS)
        assert instance.start()
        instance.end(0, None)
        assert [instance.start() for _ in range(LANES)] == [True] * LANES
    finally:
        clock.use(before)


@given(st.lists(st.booleans(), max_size=20))
def test_an_instance_that_answers_only_429_for_ten_minutes_gets_about_a_dozen_requests(earlier: list[bool]) -> None:
    """Whatever it answered before: `earlier`, True for an answer, one after the other by four callers who try all the time."""
    instance, asked = Instance(), iter(earlier)
    before = clock.use(instance.ours)
    try:
        refused = 0
        for answer in asked:
            while instance.start():
                pass
            instance.end(0, None if answer else Throttled())
            refused += not answer
            _wait(instance)
        told, end = instance.started, instance.ours.now() + timedelta(minutes=10)
        while instance.ours.now() < end:
            while instance.start():
                pass
            while instance.under_way:
                instance.end(0, Throttled())
            _wait(instance)
        assert instance.started - told <= LANES + 15
    finally:
        clock.use(before)


def _wait(instance: Instance) -> None:
    """Until a pause ends; a probe is not waited for."""
    until = instance.row.paused_until
    if until is not None and until > instance.ours.now():
        instance.ours.move((until - instance.ours.now()).total_seconds())


@pytest.mark.fact("servicenow trap-30", "servicenow 5")
def test_calls_under_way_that_fail_of_the_same_count_once(still_clock: SetClock) -> None:
    """The queue of a node is full: all four lanes are told so at once, and the pause is as brief as after one 429."""
    row = InstanceThrottle(failures=0, requests=0)
    for _ in range(LANES):
        end_call(row, trouble=Throttled(), answered=False, hourly_limit=None, probe_until=None)
    paused = pause_of(row)
    assert row.failures == 1
    assert paused is not None
    assert paused.seconds < 0.2
    assert paused.is_brief


def test_a_long_pause_is_not_waited_for_in_place(still_clock: SetClock) -> None:
    row = InstanceThrottle(failures=0, requests=0)
    end_call(row, trouble=Throttled(seconds=30), answered=False, hourly_limit=None, probe_until=None)
    paused = pause_of(row)
    assert paused is not None
    assert paused.seconds > BRIEF_PAUSE_SECONDS
    assert not paused.is_brief


async def test_the_probes_success_wakes_the_calls_of_every_process(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await system.connect()
    monkeypatch.setattr(slots, "RECHECK_SECONDS", 50.0)  # So it is not the timer that wakes them.
    entered, may_end = 0, asyncio.Event()

    async def probing(_client: ServiceNowClient) -> str:
        nonlocal entered
        entered += 1
        await may_end.wait()
        return "answered"

    await pause(system, connection.id, -0.01)
    async with another_process(system) as other:
        waiting = [asyncio.create_task(call(resources, probing)) for resources in (system.resources, other) * 3]
        await asyncio.sleep(0.5)
        assert entered == 1, "one probe, over all processes"
        may_end.set()
        assert await asyncio.wait_for(asyncio.gather(*waiting), 8) == ["answered"] * 6
    assert (await throttle(system)).probe_until is None


async def test_a_brief_pause_is_waited_for_where_the_call_is_made(system: System) -> None:
    connection = await system.connect()
    await pause(system, connection.id, 0.3)
    assert await call(system.resources, at_once) == "answered"
    row = await throttle(system)
    assert (row.failures, row.paused_until) == (0, None)


@pytest.mark.fact("servicenow sandbox-42")
@pytest.mark.parametrize("attempts", [0, 9])
async def test_a_ticket_answered_429_goes_on_when_the_pause_of_the_instance_ends(system: System, attempts: int) -> None:
    """However often it was tried: the 429 says nothing of this ticket."""
    await system.connect()
    ticket_id = await share_one(system, TicketKind.INCIDENT)
    async with system.resources.database.transaction() as session:
        (await session.get_one(Ticket, ticket_id)).attempts = attempts
    system.servicenow.fault("semaphore_full", method="POST")
    with pytest.raises(RetryLater) as caught:
        await deliver(system.resources, ticket_id)
    assert caught.value.seconds < 0.2
    ticket, row = await read_ticket(system, ticket_id), await throttle(system)
    assert row.paused_until is not None
    assert ticket.next_try_at is not None
    # Its own backoff would be minutes by now. A busy machine writes the moment down some time after it read the pause.
    assert timedelta(seconds=-0.01) <= ticket.next_try_at - row.paused_until < timedelta(seconds=10)


async def test_many_tickets_pass_though_every_sixth_answer_is_a_429(system: System) -> None:
    await system.connect()
    tickets = [await share_one(system, TicketKind.INCIDENT) for _ in range(8)]
    system.servicenow.fault("semaphore_full", every=6, times=1000, path="/table/")
    waits: list[float] = []

    async def patiently(ticket_id: object) -> None:
        for _ in range(30):
            try:
                await deliver(system.resources, ticket_id)  # type: ignore[arg-type]
            except RetryLater as later:
                waits.append(later.seconds)
                await asyncio.sleep(later.seconds)
            else:
                return

    await asyncio.gather(*(patiently(ticket_id) for ticket_id in tickets))
    assert [(await read_ticket(system, ticket_id)).delivery for ticket_id in tickets] == ["shared"] * 8
    assert max(waits, default=0.0) <= BRIEF_PAUSE_SECONDS, "nothing waits longer than the instance needs"
