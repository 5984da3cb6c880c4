"""The accidents: each happens to a stage, lasts for seconds, and ends when the function returns."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psutil
import psycopg

from tests.chaos.stage import Stage

# Longer than the time-outs of connections and statements, so that each of them strikes.
LASTS_SECONDS = 20.0
ALL_OTHER_BACKENDS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@dataclass(frozen=True)
class Accident:
    """`name` is that of its figures, `title` what the document calls it."""

    name: str
    title: str
    happen: Callable[[Stage], Awaitable[None]]


async def restart(stage: Stage) -> None:
    await asyncio.to_thread(stage.postgres.stop, "fast")
    await asyncio.to_thread(stage.postgres.start)


async def crash(stage: Stage) -> None:
    await asyncio.to_thread(stage.postgres.crash)


async def freeze(stage: Stage) -> None:
    frozen = stage.postgres_processes()
    _signal(frozen, signal.SIGSTOP)
    try:
        await asyncio.sleep(LASTS_SECONDS)
    finally:
        _signal(frozen, signal.SIGCONT)


async def kill_backends(stage: Stage) -> None:
    with stage.connect() as connection:
        for _ in range(5):
            connection.execute(ALL_OTHER_BACKENDS)
            await asyncio.sleep(1)


async def exhaust_connections(stage: Stage) -> None:
    """Every connection that the server allows is taken by others, also those that ours give back."""
    with contextlib.ExitStack() as taken:
        connection = taken.enter_context(stage.connect())
        connection.execute(ALL_OTHER_BACKENDS)
        for _ in range(round(LASTS_SECONDS / 0.2)):
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    taken.enter_context(stage.connect())
            await asyncio.sleep(0.2)


async def lock_waiting_tickets(stage: Stage) -> None:
    """Another program holds the rows of all waiting tickets in a transaction that it does not end."""
    with stage.connect() as connection, contextlib.suppress(psycopg.OperationalError), connection.transaction():
        connection.execute("SELECT id FROM ticket WHERE delivery = 'queued' FOR UPDATE")
        await asyncio.sleep(LASTS_SECONDS)


async def kill_worker(stage: Stage) -> None:
    stage.workers.kill(0)


async def kill_both_workers(stage: Stage) -> None:
    for _ in range(3):
        stage.workers.kill(0)
        stage.workers.kill(0)
        await asyncio.sleep(4)


async def lose_packets(stage: Stage) -> None:
    stage.link.lose_packets()
    try:
        await asyncio.sleep(LASTS_SECONDS)
    finally:
        stage.link.pass_again()


async def clock_ahead(stage: Stage) -> None:
    stage.clock_file.write_text("600")


async def clock_back(stage: Stage) -> None:
    stage.clock_file.write_text("-600")


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


ACCIDENTS = (
    Accident("postgres_restart", "PostgreSQL is restarted", restart),
    Accident("postgres_crash", "PostgreSQL crashes and recovers from its log", crash),
    Accident("postgres_freeze", "PostgreSQL freezes for 20 s", freeze),
    Accident("backends_killed", "every connection is killed, five times in 5 s", kill_backends),
    Accident("connections_exhausted", "others take every connection for 20 s", exhaust_connections),
    Accident("tickets_locked", "another program locks all waiting tickets for 20 s", lock_waiting_tickets),
    Accident("worker_killed", "a worker is killed", kill_worker),
    Accident("both_workers_killed", "both workers are killed, three times in 12 s", kill_both_workers),
    Accident("packets_lost", "the network loses every packet for 20 s", lose_packets),
    Accident("clock_ahead", "the workers' clock jumps ahead by 10 min", clock_ahead),
    Accident("clock_back", "the workers' clock jumps back by 10 min", clock_back),
)
