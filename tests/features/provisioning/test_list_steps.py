"""What pages show of the steps, and of their outcome."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.core.clock import SetClock
from app.core.messages import T
from app.features.connection.tokens import TOKEN_REFUSED
from app.features.provisioning.list_steps import step_line
from app.features.provisioning.models import ProvisioningStep
from tests.factories.provisioning import check_context, steps
from tests.factories.system import System


async def test_a_step_whose_worker_died_may_be_checked_again(system: System, still_clock: SetClock) -> None:
    connection = await system.connect()
    async with system.resources.database.transaction() as session:
        session.add(ProvisioningStep(
            connection_id=connection.id, step="reach", state="running", changed_at=still_clock.now(),
        ))  # fmt: skip
    assert (await steps(system))["reach"].state == "running"
    still_clock.move(181)
    assert (await steps(system))["reach"].state == "todo"


def row(state: str, changed_at: datetime, **values: Any) -> ProvisioningStep:
    return ProvisioningStep(connection_id=UUID(int=1), step="reach", state=state, changed_at=changed_at, **values)


@pytest.mark.parametrize(
    ("status", "age", "state", "expected"),
    [
        ("connected", None, "", "waiting"),
        ("connected", 3600, "problem", "waiting"),
        ("connected", 1, "problem", "problem"),
        ("unconfirmed", None, "", "todo"),
        ("needs_attention", None, "", "todo"),
        ("needs_attention", 3600, "problem", "problem"),
    ],
)
def test_a_step_of_a_connection_that_was_just_made_waits_before_its_job_has_run(
    still_clock: SetClock, status: str, age: int | None, state: str, expected: str
) -> None:
    now = still_clock.now()
    connection = check_context(status=status, connected_at=now - timedelta(minutes=1)).connection
    stored = None if age is None else row(state, now - timedelta(seconds=age))
    assert step_line("reach", T("Reach"), stored, connection).state == expected


GOOD = {"key": "token", "state": "good", "checked": {"message": "c"}, "meaning": {"message": "It works."}}


@pytest.mark.parametrize(
    ("key", "checked_before", "state", "words"),
    [
        ("token", 60, "problem", "ServiceNow refuses even a fresh access token"),
        ("account", 60, "skipped", "It works."),
        ("reach", 60, "good", "It works."),
        ("clock", 60, "good", "It works."),
        ("token", -60, "good", "It works."),
    ],
)
def test_a_connection_that_stopped_working_overrules_what_was_checked_before(
    still_clock: SetClock, key: str, checked_before: int, state: str, words: str
) -> None:
    stopped_at = still_clock.now() - timedelta(minutes=5)
    connection = check_context(
        status="needs_attention", attention=TOKEN_REFUSED, status_changed_at=stopped_at, connected_at=stopped_at
    ).connection
    checked_at = stopped_at - timedelta(seconds=checked_before)
    stored = row("good", checked_at, checked_at=checked_at, finding=GOOD)
    line = step_line(key, T("Step"), stored, connection)
    assert line.state == state
    assert line.finding is not None
    assert words in str(line.finding.meaning)


def test_without_a_connection_every_step_is_still_to_do() -> None:
    line = step_line("reach", T("Reach"), None, None)
    assert (line.state, line.in_progress, line.finding) == ("todo", False, None)


async def test_a_connection_that_was_just_made_shows_waiting_steps_at_once(system: System) -> None:
    await system.connect()
    assert {line.state for line in (await steps(system)).values()} == {"waiting"}
