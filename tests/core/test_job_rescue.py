"""A job that runs nowhere runs again, and none is run twice."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.core.database import Database
from app.core.job_rescue import JobRescuer
from app.core.jobs import DEAD_AFTER_SECONDS, Queue, TaskGroup

group = TaskGroup("dairy")


@group.task("churn")
async def churn(butter: list[str], milk: str) -> None:
    """Note the milk."""
    butter.append(milk)


@pytest.fixture
def dairy(database_url: str) -> Queue:
    return Queue(database_url, [group])


@pytest.fixture
def rescuer(dairy: Queue) -> JobRescuer:
    return JobRescuer(dairy._app, dairy.pulse)


async def statuses(database: Database) -> list[str]:
    async with database.transaction() as session:
        return list((await session.execute(text("SELECT status::text FROM procrastinate_jobs"))).scalars())


async def abandon(database: Database) -> None:
    """A worker took the oldest job, and was killed."""
    async with database.transaction() as session:
        worker = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id"
        number = (await session.execute(text(worker))).scalar_one()
        await session.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker"), {"worker": number}
        )


async def test_the_job_of_a_killed_worker_is_run_by_another(
    database: Database, dairy: Queue, rescuer: JobRescuer
) -> None:
    async with database.transaction() as session:
        await dairy.defer(session, "dairy.churn", milk="cow")
    await abandon(database)
    butter: list[str] = []
    async with dairy._app.open_async():
        await rescuer.rescue(DEAD_AFTER_SECONDS)
    await dairy.drain(butter)
    assert butter == ["cow"]


async def test_a_killed_job_whose_successor_waits_gives_way_to_it(
    database: Database, dairy: Queue, rescuer: JobRescuer
) -> None:
    """Work that the clock starts: the dead run's lock must not block all later ones."""
    async with database.transaction() as session:
        await dairy.defer(session, "dairy.churn", lock="cow", queueing_lock="cow", milk="old")
    await abandon(database)
    async with database.transaction() as session:
        assert await dairy.defer(session, "dairy.churn", lock="cow", queueing_lock="cow", milk="new")
    butter: list[str] = []
    await dairy.drain(butter)
    assert butter == []
    async with dairy._app.open_async():
        await rescuer.rescue(DEAD_AFTER_SECONDS)
    await dairy.drain(butter)
    assert butter == ["new"]
    assert await statuses(database) == []


async def test_an_own_job_whose_end_was_not_written_down_is_run_again(
    database: Database, dairy: Queue, rescuer: JobRescuer
) -> None:
    """The database was away when the job ended; its worker lives, so it is not taken for dead."""
    async with database.transaction() as session:
        await dairy.defer(session, "dairy.churn", milk="cow")
        worker = "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"
        number = (await session.execute(text(worker))).scalar_one()
        await session.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker"), {"worker": number}
        )
    rescuer._own_workers.add(number)
    async with dairy._app.open_async():
        await rescuer.rescue(DEAD_AFTER_SECONDS)
        assert await statuses(database) == ["doing"]
        await rescuer.rescue(DEAD_AFTER_SECONDS)
    assert await statuses(database) == ["todo"]


async def test_a_job_that_runs_here_is_left_alone(database: Database, dairy: Queue, rescuer: JobRescuer) -> None:
    async with database.transaction() as session:
        await dairy.defer(session, "dairy.churn", milk="cow")
    async with dairy._app.open_async():
        worker = await dairy._app.job_manager.register_worker()
        job = await dairy._app.job_manager.fetch_job(None, worker)
        assert job is not None
        with rescuer.holding(job):
            for _ in range(3):
                await rescuer.rescue(DEAD_AFTER_SECONDS)
                assert await statuses(database) == ["doing"]
