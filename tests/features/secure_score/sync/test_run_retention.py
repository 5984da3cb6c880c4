"""Records of imports go, without those from which the next import and the pages draw their conclusions."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import select

from app.core.clock import SetClock
from app.core.database import Session
from app.features.secure_score.models import ImportRun
from app.features.secure_score.sync.run_retention import KEPT_FAILURES, forget_old_runs
from app.features.secure_score.sync.runs import (
    ImportSource,
    RunStatus,
    failures_in_a_row,
    known_until,
    last_ended_run,
    synced_at,
)

TENANT = "a tenant"


async def _runs(
    db: Session,
    clock: SetClock,
    *statuses: RunStatus,
    known: date | None = None,
    source: ImportSource = ImportSource.GRAPH,
) -> None:
    for status in statuses:
        clock.move(3600)
        ended = clock.now() if status in (RunStatus.DONE, RunStatus.PARTIAL, RunStatus.FAILED) else None
        db.add(
            ImportRun(
                tenant_id=TENANT, source=source, status=status, asked_at=clock.now(), finished_at=ended, known_until=known,
                warnings=[],
            )
        )  # fmt: skip
    await db.flush()


async def _statuses(db: Session) -> list[str]:
    return list((await db.execute(select(ImportRun.status).order_by(ImportRun.asked_at))).scalars())


async def test_all_before_the_newest_complete_one_goes(db: Session, still_clock: SetClock) -> None:
    done, partial, failed, waiting = RunStatus.DONE, RunStatus.PARTIAL, RunStatus.FAILED, RunStatus.WAITING
    await _runs(db, still_clock, done, partial, failed, waiting, done, failed, partial)
    still_clock.move(86_400)
    before = await last_ended_run(db, TENANT, ImportSource.GRAPH)
    told = (await failures_in_a_row(db, TENANT, ImportSource.GRAPH), await synced_at(db, TENANT))
    assert await forget_old_runs(db, still_clock.now(), limit=2) == 2
    assert await forget_old_runs(db, still_clock.now(), limit=10) == 1
    assert await _statuses(db) == [waiting, done, failed, partial]
    assert await last_ended_run(db, TENANT, ImportSource.GRAPH) is before
    assert (await failures_in_a_row(db, TENANT, ImportSource.GRAPH), await synced_at(db, TENANT)) == told


async def test_young_ones_stay(db: Session, still_clock: SetClock) -> None:
    await _runs(db, still_clock, RunStatus.DONE, RunStatus.DONE, RunStatus.DONE)
    assert await forget_old_runs(db, still_clock.now() - timedelta(hours=2), limit=10) == 0


async def test_the_one_that_says_up_to_when_all_is_known_stays(db: Session, still_clock: SetClock) -> None:
    await _runs(db, still_clock, RunStatus.DONE, known=date(2026, 11, 1))
    await _runs(db, still_clock, RunStatus.DONE, known=date(2026, 11, 19))
    await _runs(db, still_clock, RunStatus.DONE)
    await forget_old_runs(db, still_clock.now() + timedelta(days=1), limit=10)
    assert await known_until(db, TENANT) == date(2026, 11, 19)
    assert len(await _statuses(db)) == 2


async def test_imports_that_never_succeed_do_not_pile_up(db: Session, still_clock: SetClock) -> None:
    await _runs(db, still_clock, *[RunStatus.FAILED] * (KEPT_FAILURES + 7))
    assert await forget_old_runs(db, still_clock.now() + timedelta(days=1), limit=100) == 7
    assert await failures_in_a_row(db, TENANT, ImportSource.GRAPH) == KEPT_FAILURES


async def test_imports_of_files_prove_nothing_of_those_from_graph(db: Session, still_clock: SetClock) -> None:
    await _runs(db, still_clock, RunStatus.DONE)
    await _runs(db, still_clock, RunStatus.DONE, source=ImportSource.FILES)
    assert await forget_old_runs(db, still_clock.now() + timedelta(days=1), limit=10) == 0
