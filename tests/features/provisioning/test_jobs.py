"""Provisioning's jobs, as another feature defers them: by name, in the transaction that makes a connection."""

from __future__ import annotations

from sqlalchemy import text, update

from app.core.clock import SetClock
from app.features.connection.models import Connection
from app.features.provisioning.jobs import recheck
from tests.factories.provisioning import provisioned, steps
from tests.factories.system import System


async def test_the_job_named_start_checks_every_step_of_a_connection(system: System) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        await system.resources.queue.defer(session, "provisioning.start", connection_id=str(connection.id))
    await system.work()
    assert {line.state for line in (await steps(system)).values()} == {"good", "unknown"}


async def test_a_new_consent_shows_every_step_as_waiting_until_the_job_has_run(
    system: System, still_clock: SetClock
) -> None:
    await provisioned(system)
    still_clock.move(60)
    async with system.resources.database.transaction() as session:
        await session.execute(update(Connection).values(connected_at=still_clock.now()))
    lines = await steps(system)
    assert {line.state for line in lines.values()} == {"waiting"}
    assert all(line.finding for line in lines.values())  # What was found before stays, so that no card vanishes.


async def test_the_clock_checks_steps_that_no_job_has_come_to(system: System) -> None:
    await system.connect()
    await recheck.function(system.resources)
    await system.work()
    assert {line.state for line in (await steps(system)).values()} == {"good", "unknown"}


async def test_a_job_of_an_older_version_names_no_lane(system: System) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        await system.resources.queue.defer(session, "provisioning.check", connection_id=str(connection.id))
    await system.work()
    async with system.resources.database.transaction() as session:
        left = await session.execute(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'"))
        assert left.scalar_one() == 0
