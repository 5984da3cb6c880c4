"""Provisioning's background work: checks of the steps that wait, and the diagnosis that a person asked for."""

from __future__ import annotations

from uuid import UUID

from app.core.jobs import TaskGroup
from app.features.connection.gateway import Lane
from app.features.provisioning.diagnosis import carry_out_run
from app.features.provisioning.queue_checks import queue_checks, queue_failed_checks
from app.features.provisioning.run_steps import run_waiting_steps
from app.resources import Resources

tasks = TaskGroup("provisioning")


@tasks.task("start")
async def start(resources: Resources, connection_id: str) -> None:
    """Check every step of a connection that was just made, authorized again or confirmed.

    Deferred by name in the transaction that does so; until it runs, pages show the steps as waiting.
    """
    async with resources.database.transaction() as session:
        await queue_checks(session, resources.queue, UUID(connection_id))


@tasks.task("check")
async def check(resources: Resources, connection_id: str, lane: str = Lane.INTERACTIVE.value) -> None:
    """Check every step that waits; `lane` is a Lane's value (jobs queued by an older version name none)."""
    await run_waiting_steps(resources, UUID(connection_id), Lane(lane))


# Every ten minutes, so that cards appear without a person when an instance has woken up, at the price of some 20 calls.
@tasks.task("recheck", every="*/10 * * * *")
async def recheck(resources: Resources) -> None:
    """Check again, by schedule, what failed."""
    async with resources.database.transaction() as session:
        await queue_failed_checks(session, resources.queue)


@tasks.task("diagnose")
async def diagnose(resources: Resources, run_id: str) -> None:
    """Carry out a diagnosis that was asked for."""
    await carry_out_run(resources, UUID(run_id))
