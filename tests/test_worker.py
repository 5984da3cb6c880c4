"""A worker works on the tables of its own version only."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from app import worker
from app.core.schema_guard import UnfitDatabase
from app.worker import work_while_fit
from tests.factories.outages import marked_as
from tests.factories.system import System


async def test_a_worker_stops_taking_jobs_when_its_tables_are_migrated_under_it(
    system: System, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SCHEMA_CHECK_SECONDS", 0.05)
    with capture_logs() as lines:
        working = asyncio.create_task(work_while_fit(system.resources))
        await asyncio.sleep(0.5)
        assert not working.done()
        with marked_as(database_url, "9999"):
            async with asyncio.timeout(30):
                with pytest.raises(UnfitDatabase, match="newer version"):
                    await working
    assert "worker.schema.changed" in {line["event"] for line in lines}
