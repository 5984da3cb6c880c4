"""Queues checks of the connection: marks steps as waiting, defers the job, writes the audit log. Checks nothing itself."""

from __future__ import annotations

from uuid import UUID

from app.core.database import Session
from app.core.errors import NotFound
from app.core.jobs import Queue
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.connection.connection_view import connection_view
from app.features.connection.gateway import Lane
from app.features.provisioning.finding import State
from app.features.provisioning.finding_catalog import passes_by_itself
from app.features.provisioning.list_steps import RENEWAL_STEP, list_steps
from app.features.provisioning.models import ProvisioningStep
from app.features.provisioning.step_rows import is_due, is_lost, load_rows, set_state
from app.features.provisioning.steps import STEP_KEYS, STEPS

EVERYTHING = ""
FAILED = frozenset({State.PROBLEM, State.SKIPPED})


async def request_all_checks(session: Session, queue: Queue, viewer: Viewer) -> None:
    """Queue every step at a person's request. Does nothing without a connection, or while its account waits for confirmation."""
    connection = await connection_view(session)
    if connection is not None and connection.is_confirmed:
        await queue_checks(session, queue, connection.id)
        await log_action(session, viewer, T("Provisioning started over"), instance=connection.instance_name)


async def request_checks_in_need(session: Session, queue: Queue, viewer: Viewer) -> None:
    """Queue, at a person's request, all steps from the first that failed or was never checked; else every step."""
    connection = await connection_view(session)
    if connection is not None and connection.is_confirmed:
        await queue_checks(session, queue, connection.id, await first_in_need(session))
        await log_action(session, viewer, T("Provisioning started over"), instance=connection.instance_name)


async def request_check(session: Session, queue: Queue, viewer: Viewer, step: str) -> None:
    """Queue one step at a person's request. Raises NotFound for a step that does not exist."""
    connection = await connection_view(session)
    if connection is not None and connection.is_confirmed:
        await queue_check(session, queue, connection.id, step)
        await log_action(session, viewer, T("Step checked again"), instance=connection.instance_name, step=step)


async def queue_checks(session: Session, queue: Queue, connection_id: UUID, first: str = EVERYTHING) -> None:
    """Mark this step and all later ones as waiting, and queue the job, in the caller's transaction."""
    start = STEP_KEYS.index(first) if first in STEP_KEYS else 0
    for step in STEPS[start:]:
        await set_state(session, connection_id, step.code, State.WAITING)
    await _defer(session, queue, connection_id, Lane.INTERACTIVE)


async def queue_check(session: Session, queue: Queue, connection_id: UUID, key: str) -> None:
    """Mark this step as waiting, and queue the job, in the caller's transaction. Raises NotFound for an unknown step."""
    if key not in STEP_KEYS:
        raise NotFound
    await set_state(session, connection_id, key, State.WAITING)
    await _defer(session, queue, connection_id, Lane.INTERACTIVE)


async def queue_failed_checks(session: Session, queue: Queue) -> None:
    """Queue again, by schedule, what failed, was not checked to the end, or was never checked."""
    connection = await connection_view(session)
    if connection is None or not connection.is_connected:
        return  # Only a consent helps, and it starts the checks itself.
    # A step that is new in this version has no row, and is due until it was checked once.
    rows = await load_rows(session, connection.id)
    wanted = [
        key
        for key in STEP_KEYS
        if _wants_another_check(rows.get(key))
        or is_due(rows.get(key), connection.connected_at)
        or (key == RENEWAL_STEP and connection.lacks_scope)
    ]
    for key in wanted:
        await set_state(session, connection.id, key, State.WAITING)
    if wanted:
        await _defer(session, queue, connection.id, Lane.BACKGROUND)


async def first_in_need(session: Session) -> str:
    """The key of the first step that failed or was never checked; EVERYTHING where none did."""
    for line in await list_steps(session):
        if not line.is_outcome and line.state in (State.PROBLEM, State.SKIPPED, "todo"):
            return line.key
    return EVERYTHING


def _wants_another_check(row: ProvisioningStep | None) -> bool:
    if row is None:
        return False
    # What passes by itself was kept as a note (run_steps), and is checked again.
    passing = row.state == State.NOTE and row.finding is not None and passes_by_itself(row.finding["key"])
    return row.state in FAILED or passing or is_lost(row)


async def _defer(session: Session, queue: Queue, connection_id: UUID, lane: Lane) -> None:
    """Queue the job unless one waits already: a double click adds nothing."""
    # The same name for both: jobs of one connection run one after the other, and of those that wait, one is enough.
    name = f"provisioning-{connection_id}"
    await queue.defer(
        session, "provisioning.check", lock=name, queueing_lock=name, connection_id=str(connection_id), lane=lane.value
    )
