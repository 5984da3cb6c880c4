"""Each kind of row is deleted after the days that its setting says, in short transactions, and counted before on demand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from app.core import clock
from app.core.clock import SetClock
from app.core.database import Session
from app.features.keeping import retention
from app.features.keeping.jobs import remove_ended, remove_old_rows, tasks
from app.features.keeping.retention import DAILY, HOURLY, Rule, count_old, remove_old
from app.resources import KeptDays
from tests.factories.audit import write
from tests.factories.system import System


async def _add_entries(system: System, days: int, count: int = 1) -> None:
    before = clock.use(SetClock(clock.now() - timedelta(days=days)))
    try:
        await write(system.resources.database, count)
    finally:
        clock.use(before)


async def _entries(system: System) -> int:
    async with system.resources.database.transaction() as session:
        return int((await session.execute(text("SELECT count(*) FROM audit_entry"))).scalar_one())


def _keeping(system: System, **days: int) -> None:
    config = replace(system.resources.config, kept_days=KeptDays(**days))
    system.resources = replace(system.resources, config=config)


async def test_the_nightly_job_deletes_what_is_older_than_its_setting(system: System) -> None:
    await _add_entries(system, 31)
    await _add_entries(system, 29)
    _keeping(system, audit=30)
    await remove_old_rows.function(system.resources)
    assert await _entries(system) == 1


async def test_nothing_goes_where_the_setting_is_for_ever(system: System) -> None:
    await _add_entries(system, 20_000)
    _keeping(system, audit=0, closed_tickets=0, import_runs=0, failed_jobs=0)
    assert await remove_old(system.resources.database, system.resources.config, DAILY) == dict.fromkeys(
        ("audit_entries", "closed_tickets", "import_runs", "failed_jobs"), 0
    )
    assert await _entries(system) == 1


async def test_sessions_end_though_no_one_signs_in(system: System, still_clock: SetClock) -> None:
    await (await system.signed_in("viewer")).aclose()
    still_clock.move(3600 * 12 + 86_400 * KeptDays().sessions + 1)
    await remove_ended.function(system.resources)
    async with system.resources.database.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM web_session"))).scalar_one() == 0


async def test_each_transaction_deletes_a_few(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    await _add_entries(system, 1000, count=5)
    sizes: list[int] = []
    rule = DAILY[0]

    async def counted(session: Session, moment: datetime, *, limit: int) -> int:
        sizes.append(await rule.forget(session, moment, limit=limit))
        return sizes[-1]

    rules = (Rule(rule.name, counted, rule.age),)
    assert await remove_old(system.resources.database, system.resources.config, rules) == {"audit_entries": 5}
    assert sizes == [2, 2, 1]


async def test_one_run_ends_however_much_there_is(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "MOST_BATCHES", 2)
    await _add_entries(system, 1000, count=5)
    assert (await remove_old(system.resources.database, system.resources.config, DAILY))["audit_entries"] == 4


async def test_counting_deletes_nothing(system: System) -> None:
    await _add_entries(system, 1000, count=3)
    counts = await count_old(system.resources.database, system.resources.config, (*DAILY, *HOURLY))
    assert counts["audit_entries"] == 3
    assert await _entries(system) == 3


def test_both_jobs_run_by_themselves() -> None:
    assert {task.name: task.every for task in tasks.tasks} == {
        "keeping.remove_ended": "37 * * * *",
        "keeping.remove_old": "43 3 * * *",
    }
