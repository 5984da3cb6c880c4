"""Set the sandbox to a world, move its time and ours together, and act as the people who work there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from app.core import clock
from app.features.tickets.jobs import poll_tickets, sweep
from sandbox.control_api import AGENT
from sandbox.servicenow import business_rules, change_models
from sandbox.servicenow.store import Record, Store
from tests.factories.system import System
from tests.worlds.parameters import LOST_ANSWER, World

CLOSED = {"incident": "6", "change_request": "3"}
REOPENED = {"incident": "2", "change_request": "-1"}


class SharedClock:
    """The time of the product and of the sandbox: it runs, and jumps when it is told to or when the product waits."""

    def __init__(self, store: Store) -> None:
        self._store, self._ahead = store, timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def sleep(self, seconds: float) -> None:
        self.move(seconds)

    def move(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)
        self._store.clock_offset = self._ahead


@contextmanager
def inhabited(system: System, world: World) -> Iterator[SharedClock]:
    """Reset the sandbox to this world; the clock is the process's until the block ends."""
    instance = system.servicenow.instance
    instance.reset()
    instance.switches.change({name: value for name, value in world.items() if name != LOST_ANSWER})
    shared = SharedClock(instance.store)
    before = clock.use(shared)
    try:
        yield shared
    finally:
        clock.use(before)
        instance.reset()


async def let_pass(system: System, shared: SharedClock, seconds: float) -> None:
    """Move the time, then run what the worker would run by then: jobs that wait, the sweep, a poll."""
    shared.move(seconds)
    async with system.resources.database.transaction() as session:
        await session.execute(
            text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo' AND scheduled_at <= :now"),
            {"now": shared.now()},
        )
    await sweep.function(system.resources)
    await system.work()
    await poll_tickets.function(system.resources)


async def forget_checks(system: System) -> None:
    """Take the provisioning checks out of the queue: a diagnosis runs the same where a journey is refused."""
    async with system.resources.database.transaction() as session:
        await session.execute(text("DELETE FROM procrastinate_jobs WHERE task_name LIKE 'provisioning.%'"))


def move_record(system: System, table: str, sys_id: str, state: str) -> None:
    """Bring a record to this state as an agent does, one allowed step after the other; an administrator may do any."""
    instance = system.servicenow.instance
    agent = instance.store.find("sys_user", user_name=AGENT)
    assert agent is not None
    is_checked, instance.switches.check_transitions = instance.switches.check_transitions, False
    try:
        for step in _way(instance.store, table, sys_id, state):
            record = instance.store.get(table, sys_id)
            assert record is not None
            sent = {"state": step, "close_code": "Resolved by caller", "close_notes": "Done as asked."}
            if table == "change_request":
                sent["close_code"] = "successful"
            business_rules.update(instance.store, instance.switches, table, record, sent, agent)
    finally:
        instance.switches.check_transitions = is_checked
    moved = instance.store.get(table, sys_id)
    assert moved is not None
    assert moved["state"] == state, (table, state, moved["state"])


def _way(store: Store, table: str, sys_id: str, goal: str) -> list[str]:
    """Return the states from where the record is to the goal; only the goal where no walk leads there."""
    record = store.get(table, sys_id)
    if record is None or table != "change_request":
        return [goal]
    ways: list[list[str]] = [[record["state"]]]
    seen = {record["state"]}
    for way in ways:
        for following in change_models.next_states(store, _in_state(record, way[-1])):
            if following == goal:
                return [*way[1:], following]
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return [goal]


def _in_state(record: Record, state: str) -> Record:
    return record | {"state": state}
