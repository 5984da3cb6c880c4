"""Runs the provisioning steps that wait, one after the other, and keeps what each found. No transaction spans a call."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from app.core.database import Session
from app.core.logging import get_logger
from app.features.connection.connection_view import connection_view
from app.features.connection.gateway import Lane
from app.features.provisioning.check_catalog import Check
from app.features.provisioning.checks.check_context import CheckContext
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.finding_catalog import passes_by_itself
from app.features.provisioning.models import ProvisioningStep
from app.features.provisioning.run_check import run_check
from app.features.provisioning.step_rows import is_lost, load_rows, set_state
from app.features.provisioning.steps import STEPS, steps_after
from app.resources import Resources

log = get_logger(__name__)


async def run_waiting_steps(resources: Resources, connection_id: UUID, lane: Lane) -> None:
    """Check every step that waits, in order. A failure that blocks skips what comes after it until it is fixed.

    Ends early when the connection was removed meanwhile.
    """
    while True:
        async with resources.database.transaction() as session:
            connection = await connection_view(session)
            step = next_waiting(await load_rows(session, connection_id))
            if connection is None or connection.id != connection_id or step is None:
                return
            # Committed before the call, so that pages show it and a worker that dies here is noticed.
            await set_state(session, connection_id, step.code, State.RUNNING)
        finding = await run_check(step, CheckContext(resources, connection, lane))
        async with resources.database.transaction() as session:
            await _keep(session, connection_id, step, finding)
        log.info("provisioning.step.checked", step=step.code, finding=finding.key, verdict=finding.state.value)


async def _keep(session: Session, connection_id: UUID, step: Check[CheckContext], finding: Finding) -> None:
    rows = await load_rows(session, connection_id)
    before = rows.get(step.code)
    if passes_by_itself(finding.key) and before and before.finding and not Finding.from_json(before.finding).is_problem:
        # A rate limit is no result for the step: one that worked keeps its state.
        finding = replace(finding, state=State.NOTE)
    await set_state(session, connection_id, step.code, finding.state, finding)
    if step.blocks:
        for key, state in states_after(step.code, rows, failed=finding.is_problem).items():
            await set_state(session, connection_id, key, state)


def next_waiting(rows: dict[str, ProvisioningStep]) -> Check[CheckContext] | None:
    """The first step that waits, or whose worker died while it ran."""
    for step in STEPS:
        row = rows.get(step.code)
        if row and (row.state == State.WAITING or is_lost(row)):
            return step
    return None


def states_after(key: str, rows: dict[str, ProvisioningStep], *, failed: bool) -> dict[str, State]:
    """New states of the steps after one that blocks: waiting ones are skipped when it failed, and the other way round."""
    # States of steps that were not asked for stay as they are: a check of one step must not touch the others.
    now, then = (State.WAITING, State.SKIPPED) if failed else (State.SKIPPED, State.WAITING)
    return {later.code: then for later in steps_after(key) if later.code in rows and rows[later.code].state == now}
