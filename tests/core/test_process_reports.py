"""Processes that run report themselves, with their keys; those that ended are gone, at once or after a minute."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app import __version__
from app.core import process_reports
from app.core.database import Database, make_engine
from app.core.process_reports import ProcessReport, RunningProcess, reporting, running_processes, write_report

WEB = ProcessReport("web", ("new", "old"), "0018", host="a", pid=7)


async def running(database: Database, kind: str | None = None) -> list[RunningProcess]:
    async with database.transaction() as session:
        return await running_processes(session, kind)


async def age(database: Database, seconds: int) -> None:
    async with database.transaction() as session:
        await session.execute(
            text("UPDATE running_process SET seen_at = seen_at - make_interval(secs => :s)"), {"s": seconds}
        )


async def test_a_process_is_known_for_as_long_as_it_runs(database: Database) -> None:
    async with reporting(database, WEB):
        [found] = await running(database)
        assert (found.kind, found.host, found.pid, found.version) == ("web", "a", 7, __version__)
        assert (found.keys, found.schema_revision, str(found)) == (["new", "old"], "0018", "web 7 on a")
        assert await running(database, "worker") == []
    assert await running(database) == []


async def test_one_that_died_is_not_running_after_a_minute_and_its_row_goes_after_an_hour(database: Database) -> None:
    async with database.transaction() as session:
        await write_report(session, WEB)
    await age(database, process_reports.RUNNING_SECONDS + 1)
    assert await running(database) == []
    await age(database, 3600)
    async with database.transaction() as session:
        await write_report(session, ProcessReport("worker", ("new",), "0018"))
        assert (await session.execute(text("SELECT kind FROM running_process"))).scalars().all() == ["worker"]


async def test_reports_are_repeated_while_the_process_is_alive_only(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_reports, "REPORT_SECONDS", 0.01)
    alive, asked = False, asyncio.Event()

    def is_alive() -> bool:
        asked.set()
        return alive

    async with reporting(database, WEB, is_alive=is_alive):
        await age(database, 600)
        asked.clear()
        await asked.wait()
        assert await running(database) == []
        alive = True
        while not await running(database):  # noqa: ASYNC110 - the row tells, no event of ours.
            await asyncio.sleep(0.01)
        [found] = await running(database)
        assert found.started_at < found.seen_at


async def test_a_database_that_is_away_stops_no_process() -> None:
    away = Database(make_engine("postgresql://user:change-me@127.0.0.1:1/none"))
    with capture_logs() as logged:
        async with reporting(away, WEB):
            pass
    assert [line["event"] for line in logged] == ["process.report.not_written", "process.report.not_removed"]
    await away.close()
