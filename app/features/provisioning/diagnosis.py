"""Walks through the connection and finds what is wrong. Changes nothing here or at ServiceNow, and sends no ticket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import delete, select

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError
from app.core.messages import T
from app.features.connection.authorization_attempts import DENIED, LastAttempt, last_attempt
from app.features.connection.connection_view import (
    ConnectionView,
    connection_changed_at,
    connection_view,
    view_of_attempt,
)
from app.features.provisioning.checks.authorization import check_client, check_consent, check_release, check_token
from app.features.provisioning.checks.check_context import REGISTRY, CheckContext, finding_for_error
from app.features.provisioning.checks.connectivity import check_clock, check_consent_page, check_reach
from app.features.provisioning.checks.integration_user import check_account
from app.features.provisioning.checks.internal import check_import, check_queue, check_tickets, judged_queue
from app.features.provisioning.checks.tables import check_choices, check_correlation, check_ranges, check_table
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.models import DiagnosisRun
from app.features.tickets.types import TicketKind
from app.resources import Resources

KEPT_RUNS = 20
# A walk takes seconds; one that has not ended by then lost its worker.
LOST_AFTER = timedelta(minutes=5)

# With a token, in this order.
INSIDE: tuple[Callable[[CheckContext], Awaitable[Finding]], ...] = (
    check_release,
    check_client,
    check_account,
    *(partial(check_table, kind=kind) for kind in TicketKind),
    check_choices,
    check_ranges,
    check_correlation,
    check_clock,
)
INTERNAL = (check_queue, check_tickets, check_import)


@dataclass(frozen=True)
class DiagnosisView:
    """One walk as pages show it; `in_progress` while findings may still come.

    `outdated` when a connection was made, authorized again or removed since: what it found may be true no more.
    """

    asked_by: str
    started_at: datetime
    finished_at: datetime | None
    findings: Sequence[Finding]
    in_progress: bool
    outdated: bool

    @property
    def problems(self) -> int:
        """How many findings need somebody."""
        return sum(finding.is_problem for finding in self.findings)


async def run_diagnosis(resources: Resources) -> AsyncIterator[Finding]:
    """One finding after another: the way there, the consent, what is allowed there, and our own side."""
    async with resources.database.transaction() as session:
        connection, attempt = await connection_view(session), await last_attempt(session)
    async for finding in _at_servicenow(resources, connection, attempt):
        yield finding
    for check in INTERNAL:
        yield await check(resources)


async def _at_servicenow(
    resources: Resources, connection: ConnectionView | None, attempt: LastAttempt | None
) -> AsyncIterator[Finding]:
    """Each stage is the ground of the next: what a failure makes pointless is not tried."""
    if connection is None and (attempt is None or attempt.succeeded):  # What it connected was removed since.
        yield Finding(
            "not_connected", State.PROBLEM, T("The connection."), T("ServiceNow is not connected."),
            advice=T("Open ServiceNow > Connect to ServiceNow, and follow the checklist."),
        )  # fmt: skip
        return
    look = CheckContext(resources, connection or view_of_attempt(attempt))  # type: ignore[arg-type]  # One of both is there.
    yield (reach := await _safely(look, check_reach))
    if attempt is not None and (finding := _unfinished(connection, attempt)):
        yield finding
    if reach.is_problem:
        return
    yield await _safely(look, check_consent_page)
    if connection is None:
        yield await _safely(look, check_clock)
        return
    yield (token := await _safely(look, check_token))
    yield await _safely(look, check_consent)
    if token.is_problem:
        return
    limited = False
    for check in INSIDE:
        finding = await _safely(look, check)
        if finding.key == "rate_limit":
            if limited:  # It does not pass by itself: what comes after would only be refused too.
                return
            limited = True
        yield finding


def _unfinished(connection: ConnectionView | None, attempt: LastAttempt) -> Finding | None:
    """An authorization after which nothing was connected: it failed, or nobody came back from ServiceNow."""
    if connection is not None and connection.connected_at >= attempt.begun_at:
        return None
    checked = T("The authorization that was begun last.")
    if connection is not None and connection.is_connected and attempt.problem == DENIED:
        return Finding(
            "authorization_denied", State.NOTE, checked,
            T("Deny was pressed on ServiceNow’s consent page. The connection is as it was before."),
            advice=T("Nothing has to be done, unless another account or client was meant to take its place."),
        )  # fmt: skip
    if attempt.problem is not None:
        return Finding(
            "authorization_failed", State.PROBLEM, checked, attempt.problem,
            advice=T("Mend what it names, then press Authorize again."),
            screen=REGISTRY,
            message=T(
                "The authorization of our OAuth client %(client)s by the user %(user)s did not succeed: %(why)s",
                client=attempt.client_id, user=attempt.expected_user_name or T("the integration user"), why=attempt.problem,
            ),
        )  # fmt: skip
    if attempt.came_back:
        return None
    return Finding(
        "authorization_unfinished", State.NOTE if connection else State.PROBLEM, checked,
        T("An authorization was begun, and no browser has come back from ServiceNow. If it showed an error page: "
          "“Invalid redirect_uri” means that the client’s record holds another redirect URL; “Invalid client_id” that the "
          "client ID is wrong or the record not active. If the login refused the integration user: it is marked “Web "
          "service access only”, locked, or has to enrol in multi-factor authentication first. If it signed in somebody "
          "else: single sign-on took over."),
        advice=T("The checklist on the set-up page has the way round for each of them."),
        screen=T("%(registry)s; User Administration > Users", registry=REGISTRY),
        message=T(
            "Authorizing our OAuth client %(client)s ends at an error page or at the login. Please check that its record is "
            "active and holds our redirect URL, and that the user %(user)s is active, not locked, not marked “Web service "
            "access only”, and enrolled in multi-factor authentication where that is required.",
            client=attempt.client_id, user=attempt.expected_user_name or T("the integration user"),
        ),
    )  # fmt: skip


async def _safely(look: CheckContext, check: Callable[[CheckContext], Awaitable[Finding]]) -> Finding:
    try:
        return await check(look)
    except AppError as error:
        return finding_for_error(look, T("This check was begun."), error)


async def open_run(session: Session, asked_by: str) -> UUID:
    """A new walk that waits for the worker; the oldest are forgotten."""
    kept = select(DiagnosisRun.id).order_by(DiagnosisRun.started_at.desc()).limit(KEPT_RUNS - 1)
    await session.execute(delete(DiagnosisRun).where(DiagnosisRun.id.not_in(kept)))
    row = DiagnosisRun(asked_by=asked_by, started_at=clock.now(), findings=[])
    session.add(row)
    await session.flush()
    return row.id


async def carry_out(resources: Resources, walk_id: UUID) -> None:
    """Walk, and keep each finding as it comes, so that the page fills in."""
    found: list[Finding] = []
    async for finding in run_diagnosis(resources):
        found.append(finding)
        async with resources.database.transaction() as session:
            await _keep(session, walk_id, found, finished=False)
    async with resources.database.transaction() as session:
        await _keep(session, walk_id, found, finished=True)


async def latest_run(session: Session) -> DiagnosisView | None:
    """The newest one."""
    row = (
        await session.execute(select(DiagnosisRun).order_by(DiagnosisRun.started_at.desc()).limit(1))
    ).scalar_one_or_none()
    if row is None:
        return None
    changed_at = await connection_changed_at(session)
    return DiagnosisView(
        asked_by=row.asked_by,
        started_at=row.started_at,
        finished_at=row.finished_at,
        findings=[Finding.from_json(stored) for stored in row.findings],
        in_progress=row.finished_at is None and row.started_at > clock.now() - LOST_AFTER,
        outdated=changed_at is not None and row.started_at < changed_at,
    )


async def shown_run(session: Session) -> DiagnosisView | None:
    """The newest one, for a page: while it waits for a worker, what keeps the worker from it comes first."""
    view = await latest_run(session)
    if view is None or view.finished_at is not None:
        return view
    queue = await judged_queue(session)
    if not queue.is_problem:
        return view
    return replace(view, findings=[queue, *(finding for finding in view.findings if finding.key != queue.key)])


async def _keep(session: Session, walk_id: UUID, found: list[Finding], *, finished: bool) -> None:
    row = await session.get(DiagnosisRun, walk_id)
    if row is not None:
        row.findings = [finding.to_json() for finding in found]
        row.finished_at = clock.now() if finished else None
