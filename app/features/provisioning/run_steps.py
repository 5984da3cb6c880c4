"""Runs the steps between connected and working, and keeps what each one found. One step is one short transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError, NotFound
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.connection.connection_view import ConnectionView, connection_view
from app.features.provisioning.checks.check_context import CheckContext, finding_for_error
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.models import ProvisioningStep
from app.features.provisioning.readiness import hides_everything, judged, problems
from app.features.provisioning.steps import BY_KEY, CARDS, CARDS_TITLE, KEYS, STEPS, Step, following
from app.resources import Resources

log = get_logger(__name__)

# A step that has been running for longer lost its worker; it may be checked again.
LOST_AFTER = timedelta(minutes=3)
EVERYTHING = ""
FAILED = frozenset({State.PROBLEM, State.SKIPPED})
# What passes by itself and says nothing about the step: no reason to take away what worked a moment ago.
PASSING = frozenset({"rate_limit", "trouble"})


@dataclass(frozen=True)
class StepLine:
    """One step as pages show it; `state` is a State's value, or "todo" when it was never checked."""

    key: str
    title: Message
    state: str
    checked_at: datetime | None
    finding: Finding | None
    is_outcome: bool = False

    @property
    def in_progress(self) -> bool:
        """Whether something will change by itself soon."""
        return self.state in (State.WAITING, State.RUNNING)


async def list_steps(session: Session) -> list[StepLine]:
    """Every step of the active connection in order, the outcome last; all "todo" when nothing is connected."""
    connection = await connection_view(session)
    rows = await _rows(session, connection.id) if connection else {}
    lines = [_line(step.key, step.title, rows.get(step.key)) for step in STEPS]
    return [*lines, await _outcome(session, connection, lines)]


async def queue_steps(session: Session, connection_id: UUID, first: str = EVERYTHING) -> None:
    """Within the caller's transaction: from this step on, everything waits to be checked. The caller adds the job."""
    start = KEYS.index(first) if first in KEYS else 0
    for step in STEPS[start:]:
        await _set_state(session, connection_id, step.key, State.WAITING)


async def queue_step(session: Session, connection_id: UUID, key: str) -> None:
    """The same for one step alone. Raises NotFound."""
    if key not in BY_KEY:
        raise NotFound
    await _set_state(session, connection_id, key, State.WAITING)


async def queue_failed(session: Session, connection_id: UUID) -> bool:
    """The same for the steps that failed, were not checked to the end, or wait for one; says whether there are any."""
    found = [row.step for row in (await _rows(session, connection_id)).values() if _wants_another_check(row)]
    for key in found:
        await _set_state(session, connection_id, key, State.WAITING)
    return bool(found)


def _wants_another_check(row: ProvisioningStep) -> bool:
    passing = row.state == State.NOTE and row.finding is not None and row.finding["key"] in PASSING
    return row.state in FAILED or passing or _is_lost(row)


def _is_lost(row: ProvisioningStep) -> bool:
    return row.state == State.RUNNING and row.changed_at < clock.now() - LOST_AFTER


async def first_in_need(session: Session) -> str:
    """The first step that failed or was never checked; everything, when none did."""
    for line in await list_steps(session):
        if not line.is_outcome and line.state in (State.PROBLEM, State.SKIPPED, "todo"):
            return line.key
    return EVERYTHING


async def run_waiting(resources: Resources, connection_id: UUID) -> None:
    """Check every step that waits, in order. A failure that blocks skips what comes after it until it is mended."""
    while True:
        async with resources.database.transaction() as session:
            connection = await connection_view(session)
            step = await _next_waiting(session, connection_id)
            if connection is None or connection.id != connection_id or step is None:
                return
            await _set_state(session, connection_id, step.key, State.RUNNING)
        finding = await _found(resources, connection, step)
        async with resources.database.transaction() as session:
            await _keep(session, connection_id, step, finding)
        log.info("step checked", step=step.key, outcome=finding.key, verdict=finding.state.value)


async def _found(resources: Resources, connection: ConnectionView, step: Step) -> Finding:
    look = CheckContext(resources, connection)
    try:
        return await step.check(look)
    except AppError as error:
        return finding_for_error(look, T("This step was begun."), error)


async def _keep(session: Session, connection_id: UUID, step: Step, finding: Finding) -> None:
    rows = await _rows(session, connection_id)
    before = rows.get(step.key)
    if finding.key in PASSING and before and before.finding and not Finding.from_json(before.finding).is_problem:
        finding = replace(finding, state=State.NOTE)
    await _set_state(session, connection_id, step.key, finding.state, finding)
    if not step.blocks:
        return
    for later in following(step.key):
        row = rows.get(later.key)
        state = State(row.state) if row else None
        if finding.is_problem and state is State.WAITING:
            await _set_state(session, connection_id, later.key, State.SKIPPED)
        elif not finding.is_problem and state is State.SKIPPED:
            await _set_state(session, connection_id, later.key, State.WAITING)


async def _next_waiting(session: Session, connection_id: UUID) -> Step | None:
    rows = await _rows(session, connection_id)
    for step in STEPS:
        row = rows.get(step.key)
        if row and (row.state == State.WAITING or _is_lost(row)):
            return step
    return None


async def _set_state(
    session: Session, connection_id: UUID, key: str, state: State, finding: Finding | None = None
) -> None:
    now = clock.now()
    values: dict[str, object] = {"state": state, "changed_at": now}
    if finding is not None:
        values |= {"finding": finding.to_json(), "checked_at": now}
    row = {"connection_id": connection_id, "step": key, **values}
    await session.execute(
        insert(ProvisioningStep)
        .values(row)
        .on_conflict_do_update(index_elements=["connection_id", "step"], set_=values)
    )


async def _rows(session: Session, connection_id: UUID) -> dict[str, ProvisioningStep]:
    query = select(ProvisioningStep).where(ProvisioningStep.connection_id == connection_id)
    found = await session.execute(query.execution_options(populate_existing=True))
    return {row.step: row for row in found.scalars()}


def _line(key: str, title: Message, row: ProvisioningStep | None) -> StepLine:
    if row is None:
        return StepLine(key, title, "todo", None, None)
    finding = Finding.from_json(row.finding) if row.finding else None
    return StepLine(key, title, "todo" if _is_lost(row) else row.state, row.checked_at, finding)


async def _outcome(session: Session, connection: ConnectionView | None, lines: Sequence[StepLine]) -> StepLine:
    """Whether the home page shows its cards, and what is missing."""
    checked = T("The outcome of the steps above.")
    if connection is None:
        return StepLine(CARDS, CARDS_TITLE, "todo", None, None, is_outcome=True)
    ready = judged(await problems(session, connection.id))
    since = connection.connected_at
    if hides_everything(
        connection.status, was_checked=any(line.checked_at and line.checked_at >= since for line in lines)
    ):
        finding = Finding("cards", State.PROBLEM, checked, T("Hidden until somebody has confirmed the account."))
    elif not connection.is_connected:
        finding = Finding(
            "cards", State.PROBLEM, checked,
            T("The cards stay on the home page, with what was last known and how old it is. Nothing is sent or refreshed "
              "until the connection is authorized."),
        )  # fmt: skip
    elif ready.is_ready:
        finding = Finding("cards", State.GOOD, checked, T("Both cards are shown."))
    elif ready.kinds:
        finding = Finding("cards", State.NOTE, checked, T("One of the two cards is shown."))
    else:
        finding = Finding("cards", State.PROBLEM, checked, T("Hidden until the problems above are solved."))
    if any(line.in_progress for line in lines):
        return StepLine(CARDS, CARDS_TITLE, State.WAITING, None, finding, is_outcome=True)
    return StepLine(CARDS, CARDS_TITLE, finding.state, None, finding, is_outcome=True)
