"""Our own side: the worker, the queue, held tickets and the import."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.core.clock import SetClock
from app.core.database import Session
from app.core.process_reports import ProcessReport, write_report
from app.features.provisioning.checks.internal import check_keys, check_storage, evaluate_import
from app.features.secure_score.jobs import scheduled_sync
from app.features.tickets.types import TicketKind
from tests.factories.connecting import a_worker
from tests.factories.graph_payloads import keep_days
from tests.factories.outages import full_disk, missing
from tests.factories.provisioning import diagnose
from tests.factories.system import System
from tests.factories.tickets import run_due_and_waiting, share_one

pytestmark = pytest.mark.thorough


async def test_a_queue_without_a_worker_and_a_stuck_one(system: System) -> None:
    manager = await system.signed_in("manager")
    await system.connect()
    await manager.post("/ticketProvisioning/check")
    assert "python -m app worker" in str((await diagnose(system))["no_worker"].advice)
    await a_worker(system)
    async with system.resources.database.transaction() as session:
        await session.execute(text("UPDATE procrastinate_events SET at = now() - interval '1 hour'"))
    assert "has been due for 60 minutes" in str((await diagnose(system))["queue_stuck"].meaning)


async def test_tickets_that_wait_for_a_person_are_counted(system: System) -> None:
    await system.connect()
    system.servicenow.instance.switches.acl_refuses = "change_request.create"
    await share_one(system, TicketKind.CHANGE)
    await run_due_and_waiting(system, rounds=3)
    finding = (await diagnose(system))["tickets_held"]
    assert "wait for a person: 1" in str(finding.meaning)


async def test_an_import_that_is_missing_or_stale_is_found(system: System, still_clock: SetClock) -> None:
    await system.connect()
    assert "Sync now" in str((await diagnose(system))["import_missing"].advice)
    system.microsoft.tenant.reset()
    keep_days(system.microsoft.tenant, 3)
    await scheduled_sync.function(system.resources)
    assert not (await diagnose(system))["import"].is_problem
    still_clock.move(36 * 3600)
    assert "import" in await diagnose(system)  # To the hour it is still fresh enough.
    still_clock.move(60)
    finding = (await diagnose(system))["import_stale"]
    assert finding.is_problem
    assert "the last runs say what went wrong" in str(finding.advice)


@pytest.mark.parametrize(
    ("age", "key", "words"),
    [
        (None, "import_missing", "No Secure Score"),
        (timedelta(minutes=20), "import", "less than two hours"),
        (timedelta(hours=2), "import", "Imported 2 hours ago."),
        (timedelta(hours=36), "import", "36 hours"),
        (timedelta(hours=36, seconds=1), "import_stale", "36 hours old"),
    ],
)
def test_an_import_is_stale_after_a_day_and_a_half(
    still_clock: SetClock, age: timedelta | None, key: str, words: str
) -> None:
    finding = evaluate_import(None if age is None else still_clock.now() - age)
    assert finding.key == key
    assert words in str(finding.meaning)


async def test_a_process_without_the_key_of_the_stored_secrets_is_named(system: System) -> None:
    await system.connect()
    right = ProcessReport("web", system.resources.vault.fingerprints, "0001", host="left", pid=1)
    wrong = ProcessReport("worker", ("0a1b2c3d",), "0001", host="right", pid=2)
    async with system.resources.database.transaction() as session:
        await write_report(session, right)
    assert "keys_differ" not in await diagnose(system)
    async with system.resources.database.transaction() as session:
        await write_report(session, wrong)
    finding = (await diagnose(system))["keys_differ"]
    assert finding.is_problem
    assert "is not known to worker 2 on right." in str(finding.meaning)
    assert system.resources.vault.fingerprints[0] in str(finding.meaning)


async def test_only_the_keys_that_a_process_lacks_are_named(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    async def two_keys(_session: Session) -> frozenset[str]:
        return frozenset({"0a1b2c3d", "4e5f6a7b"})

    monkeypatch.setattr("app.features.provisioning.checks.internal.keys_in_use", two_keys)
    async with system.resources.database.transaction() as session:
        await write_report(session, ProcessReport("worker", ("0a1b2c3d",), "0001", host="right", pid=2))
    assert "The key of the stored secrets (4e5f6a7b)" in str((await check_keys(system.resources)).meaning)


async def test_a_missing_table_is_no_matter_of_storing(system: System, database_url: str) -> None:
    with missing(database_url, "diagnosis_run"), pytest.raises(ProgrammingError):
        await check_storage(system.resources)


async def test_a_database_that_stores_nothing_is_found_and_nothing_stays_of_the_trial(
    system: System, database_url: str
) -> None:
    assert "storage" in await diagnose(system)
    with full_disk(database_url, "diagnosis_run"):
        finding = (await diagnose(system))["storage_refused"]
    assert "stores nothing: could not extend file: No space left on device." in str(finding.meaning)
    async with system.resources.database.transaction() as session:
        assert (await session.execute(text("SELECT count(*) FROM diagnosis_run"))).scalar_one() == 0
