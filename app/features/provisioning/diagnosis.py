"""Runs every check of the diagnosis and keeps its findings. Changes nothing else here or at ServiceNow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, text

from app.core import clock
from app.core.database import Session
from app.core.jobs import Queue
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.connection.authorization_attempts import LastAttempt, last_attempt
from app.features.connection.connection_view import (
    ConnectionView,
    connection_changed_at,
    connection_view,
    status_changed_at,
    view_of_attempt,
)
from app.features.provisioning.check_catalog import CHECKS, INTERNAL_CHECKS, Check, Stage
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.checks.internal import QUEUE_EXAMINED, queue_finding
from app.features.provisioning.finding import Finding
from app.features.provisioning.finding_catalog import make_finding
from app.features.provisioning.models import DiagnosisRun
from app.features.provisioning.run_check import run_check, run_internal_check
from app.resources import Resources

# Retention: with each new run, those beyond the newest are deleted.
KEPT_RUNS = 20
# A run takes seconds, and each of its calls at most 35; one that has not ended by then lost its worker.
LOST_AFTER = timedelta(minutes=5)
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('security-center diagnosis'))")
REMOTE_STAGES = (Stage.REACH, Stage.AUTHORIZATION, Stage.ACCESS)


@dataclass(frozen=True)
class DiagnosisView:
    """One run as pages show it; `in_progress` while findings may still come.

    `outdated` when a connection was made, authorized again or removed, stopped working or worked again since: its findings
    may no longer be true.
    """

    asked_by: str
    started_at: datetime
    finished_at: datetime | None
    findings: Sequence[Finding]
    in_progress: bool
    outdated: bool

    @property
    def problems(self) -> int:
        """How many findings need a person."""
        return sum(finding.is_problem for finding in self.findings)


async def run_diagnosis(resources: Resources) -> AsyncIterator[Finding]:
    """One finding after another: reaching the instance, the authorization, access to the tables, and our own side."""
    async with resources.database.transaction() as session:
        connection, attempt = await connection_view(session), await last_attempt(session)
    async for finding in _remote_findings(resources, connection, attempt):
        yield finding
    for check in INTERNAL_CHECKS:
        yield await run_internal_check(check, resources)


async def _remote_findings(
    resources: Resources, connection: ConnectionView | None, attempt: LastAttempt | None
) -> AsyncIterator[Finding]:
    """Run the checks stage by stage; stop after a stage in which a blocking check failed."""
    if connection is not None:
        context = CheckContext(resources, connection, attempt=attempt)
    elif attempt is not None and not attempt.succeeded:
        context = CheckContext(resources, view_of_attempt(attempt), attempt=attempt, has_connection=False)
    else:  # Nothing was begun, or what it connected was removed since.
        yield replace(make_finding("not_connected"), checked=T("The connection."))
        return
    is_limited = False
    for stage in REMOTE_STAGES:
        is_blocked = False
        for check in diagnosis_checks(stage, context):
            finding = await run_check(check, context)
            if finding.key == "rate_limit":
                if is_limited:  # It does not pass by itself: later checks would be refused too.
                    return
                is_limited = True
            # Takes effect after this stage: the other checks of the stage do not depend on the one that failed.
            is_blocked |= check.blocks and finding.is_problem
            yield finding
        if is_blocked:
            return


def diagnosis_checks(stage: Stage, context: CheckContext) -> list[Check[CheckContext]]:
    """The checks of this stage that can be made, in their order."""
    return [
        check
        for check in CHECKS
        if check.stage is stage
        and check.in_diagnosis
        and (context.has_connection or not check.needs_connection)
        and check.applies(context)
    ]


async def start_diagnosis(session: Session, queue: Queue, viewer: Viewer) -> None:
    """Within the caller's transaction: have the worker run it. Starts no second one while one is under way."""
    await log_action(session, viewer, T("Connection checked"))
    # A double click is logged, as the person did ask twice, and starts one run: the second waits for the first to commit.
    await session.execute(ONE_AT_A_TIME)
    latest = await latest_run(session)
    if latest is not None and latest.in_progress:
        return
    run_id = await _open_run(session, viewer.display_name)
    await queue.defer(session, "provisioning.diagnose", lock="diagnose", run_id=str(run_id))


async def _open_run(session: Session, asked_by: str) -> UUID:
    """A new run that waits for the worker; the oldest are deleted."""
    kept = select(DiagnosisRun.id).order_by(DiagnosisRun.started_at.desc()).limit(KEPT_RUNS - 1)
    await session.execute(delete(DiagnosisRun).where(DiagnosisRun.id.not_in(kept)))
    row = DiagnosisRun(asked_by=asked_by, started_at=clock.now(), findings=[])
    session.add(row)
    await session.flush()
    return row.id


async def carry_out_run(resources: Resources, run_id: UUID) -> None:
    """Run the diagnosis and store each finding at once, so that the open page shows it."""
    found: list[Finding] = []
    async for finding in run_diagnosis(resources):
        # A short transaction for each finding: none is open while ServiceNow is called.
        found.append(finding)
        async with resources.database.transaction() as session:
            await _keep(session, run_id, found, finished=False)
    async with resources.database.transaction() as session:
        await _keep(session, run_id, found, finished=True)


async def latest_run(session: Session) -> DiagnosisView | None:
    """The newest run, or None where there was none."""
    newest = select(DiagnosisRun).order_by(DiagnosisRun.started_at.desc()).limit(1)
    row = (await session.execute(newest)).scalar_one_or_none()
    if row is None:
        return None
    changed_at, status_changed = await connection_changed_at(session), await status_changed_at(session)
    # A run that found the connection out of order, or restored it, changed the status itself.
    ended_at = row.finished_at or row.started_at
    return DiagnosisView(
        asked_by=row.asked_by,
        started_at=row.started_at,
        finished_at=row.finished_at,
        findings=[Finding.from_json(stored) for stored in row.findings],
        in_progress=row.finished_at is None and row.started_at > clock.now() - LOST_AFTER,
        outdated=(changed_at is not None and row.started_at < changed_at)
        or (status_changed is not None and ended_at < status_changed),
    )


async def shown_run(session: Session) -> DiagnosisView | None:
    """The newest run, for a page: while it waits for a worker, what keeps the worker from it comes first."""
    view = await latest_run(session)
    if view is None or view.finished_at is not None:
        return view
    queue = replace(await queue_finding(session), checked=QUEUE_EXAMINED)
    if not queue.is_problem:
        return view
    return replace(view, findings=[queue, *(finding for finding in view.findings if finding.key != queue.key)])


async def _keep(session: Session, run_id: UUID, found: list[Finding], *, finished: bool) -> None:
    row = await session.get(DiagnosisRun, run_id)
    # The run may have been deleted meanwhile, with the oldest ones.
    if row is not None:
        row.findings = [finding.to_json() for finding in found]
        row.finished_at = clock.now() if finished else None
