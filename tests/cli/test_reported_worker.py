"""A worker without a port is healthy while it reports itself to the database."""

from __future__ import annotations

import pytest

from app.bootstrap import reporting_as
from app.cli.reported_worker import has_reported
from app.core import process_reports
from tests.factories.system import System


async def test_the_database_knows_the_workers_of_this_machine(
    system: System, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await has_reported(system.resources) == 1
    assert "has reported within a minute" in capsys.readouterr().out
    async with reporting_as("web", system.resources):
        assert await has_reported(system.resources) == 1
    async with reporting_as("worker", system.resources):
        assert await has_reported(system.resources) == 0
        assert "The worker is healthy." in capsys.readouterr().out
        monkeypatch.setattr("socket.gethostname", lambda: "another-machine")
        assert await has_reported(system.resources) == 1
    assert process_reports.RUNNING_SECONDS > 2 * process_reports.REPORT_SECONDS
