"""Provisioning's background work: check the steps that wait, and walk through the connection when somebody asks."""

from __future__ import annotations

from uuid import UUID

from app.core.database import Session
from app.core.jobs import TaskGroup
from app.features.connection.connection_view import connection_view
from app.features.provisioning.diagnosis import carry_out, latest_run, open_run
from app.features.provisioning.run_steps import EVERYTHING, queue_failed, queue_step, queue_steps, run_waiting
from app.resources import Resources

tasks = TaskGroup("provisioning")


@tasks.task("start")
async def start(resources: Resources, connection_id: str) -> None:
    """Check every step of a connection that was just made, authorized again or confirmed."""
    async with resources.database.transaction() as session:
        await start_checks(resources, session, UUID(connection_id))


@tasks.task("check")
async def check(resources: Resources, connection_id: str) -> None:
    """Check every step that waits."""
    await run_waiting(resources, UUID(connection_id))


@tasks.task("recheck", every="*/10 * * * *")
async def recheck(resources: Resources) -> None:
    """Check again by the clock what failed: an instance that slept may be awake, and nobody may be looking."""
    async with resources.database.transaction() as session:
        connection = await connection_view(session)
        if connection is None or not connection.is_connected:
            return  # Only a consent helps, and it starts the checks itself.
        if await queue_failed(session, connection.id):
            await _defer(resources, session, connection.id)


@tasks.task("diagnose")
async def diagnose(resources: Resources, run_id: str) -> None:
    """Walk through the connection."""
    await carry_out(resources, UUID(run_id))


async def start_diagnosis(resources: Resources, session: Session, asked_by: str) -> None:
    """Within the caller's transaction: have the worker walk. Does nothing while a walk is under way."""
    latest = await latest_run(session)
    if latest is not None and latest.in_progress:
        return
    run_id = await open_run(session, asked_by)
    await resources.queue.defer(session, "provisioning.diagnose", lock="diagnose", run_id=str(run_id))


async def start_checks(resources: Resources, session: Session, connection_id: UUID, first: str = EVERYTHING) -> None:
    """Within the caller's transaction: check everything from this step on."""
    await queue_steps(session, connection_id, first)
    await _defer(resources, session, connection_id)


async def start_check(resources: Resources, session: Session, connection_id: UUID, key: str) -> None:
    """Within the caller's transaction: check one step again. Raises NotFound."""
    await queue_step(session, connection_id, key)
    await _defer(resources, session, connection_id)


async def _defer(resources: Resources, session: Session, connection_id: UUID) -> None:
    """One at a time, and one waiting at most: a double click adds nothing."""
    name = f"provisioning-{connection_id}"
    await resources.queue.defer(
        session, "provisioning.check", lock=name, queueing_lock=name, connection_id=str(connection_id)
    )
