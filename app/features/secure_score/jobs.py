"""Secure Score's background jobs: the scheduled import, the import on request, and writing decisions to Graph."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError, Conflict
from app.core.jobs import TaskGroup
from app.core.logging import get_logger
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.accounts.permissions import Viewer
from app.features.secure_score.actions.plan import PlanChange, decide
from app.features.secure_score.actions.write_back import write_state
from app.features.secure_score.sync.import_scores import import_from_graph
from app.features.secure_score.sync.renames import current_id
from app.features.secure_score.sync.runs import (
    ImportSource,
    RunStatus,
    failures_in_a_row,
    last_ended_run,
    open_run,
    waiting_run,
)
from app.resources import Resources

log = get_logger(__name__)

tasks = TaskGroup("secure_score")

# Graph has one snapshot per day, but catalog, states and `lastSynced` move more often, and a snapshot can be a day late.
# docs/facts/microsoft-graph.md#1-8-freshness-change-history-outlook
SYNC_INTERVAL = timedelta(hours=6)
# Exponential backoff after an import that did not get everything: doubled after each further one, up to SYNC_INTERVAL.
FIRST_BACKOFF = timedelta(minutes=15)
MOST_DOUBLINGS = 5
# The queue runs one job per lock. The name is that of the scheduled task, because the two must not overlap either.
IMPORT_LOCK = "secure_score.scheduled_sync"


async def is_due(session: Session, tenant_id: str) -> bool:
    """Whether it is time for an import: never imported, SYNC_INTERVAL ago, or the backoff after a failure has passed."""
    last = await last_ended_run(session, tenant_id, ImportSource.GRAPH)
    if last is None:
        return True
    wait = SYNC_INTERVAL
    if last.status != RunStatus.DONE:
        wait = backoff(await failures_in_a_row(session, tenant_id, ImportSource.GRAPH))
    return clock.now() - last.asked_at >= wait


def backoff(failures: int) -> timedelta:
    """The wait after this many failed or partial imports in a row: 15 minutes, 30, one hour, two, four, then six."""
    # A permission that is not granted and a list that Graph refuses fail on every attempt, so asking often is of no use.
    doublings = min(max(failures - 1, 0), MOST_DOUBLINGS)
    return min(FIRST_BACKOFF * (1 << doublings), SYNC_INTERVAL)


# Runs every minute, so that an import that fell due while no worker ran starts at once.
@tasks.task("scheduled_sync", every="* * * * *")
async def scheduled_sync(resources: Resources) -> None:
    """Import when it is due, or when a requested run is still waiting because its own job was lost."""
    config = resources.config
    # The pages show another tenant's files, and Graph knows our own tenant only.
    if config.shown_tenant_id != config.tenant_id:
        return
    async with resources.database.transaction() as session:
        requested = await waiting_run(session, config.tenant_id)
        due = requested is not None or await is_due(session, config.tenant_id)
    if due:
        await _import(resources, requested.id if requested else None)


@tasks.task("sync_now")
async def sync_now(resources: Resources) -> None:
    """Import for the requested run, unless the scheduled import has served it meanwhile."""
    async with resources.database.transaction() as session:
        run = await waiting_run(session, resources.config.tenant_id)
    if run is not None:
        await _import(resources, run.id)


async def _import(resources: Resources, run_id: UUID | None = None) -> None:
    try:
        await import_from_graph(resources, run_id=run_id)
    except AppError as error:
        # The run holds what went wrong and `is_due` decides about the next one, so the job itself has not failed.
        log.warning("secure_score.import.failed", run=run_id, error=type(error).__name__)


@tasks.task("send_state")
async def send_state(resources: Resources, control_id: str) -> None:
    """Write one decision to Graph, under the id that the control has today."""
    async with resources.database.transaction() as session:
        control_id = await current_id(session, resources.config.tenant_id, control_id)
    await write_state(resources, control_id)


async def decide_and_send(
    session: Session, resources: Resources, control_id: str, change: PlanChange, *, by: Viewer
) -> None:
    """Store a decision, and queue its PATCH where write-back is switched on. Raises as `plan.decide`."""
    config = resources.config
    write_back = config.secure_score_write_back and config.shown_tenant_id == config.tenant_id
    if await decide(session, config.shown_tenant_id, control_id, change, by=by, write_back=write_back):
        # One lock per control: two decisions about the same one reach Graph in the order in which they were made.
        await resources.queue.defer(
            session, "secure_score.send_state", lock=f"secure_score.state {control_id}", control_id=control_id
        )


async def request_sync(session: Session, resources: Resources, *, by: Viewer) -> None:
    """Queue an import now. Raises Conflict when one is waiting or the pages show another tenant's data."""
    config = resources.config
    if config.shown_tenant_id != config.tenant_id:
        raise Conflict(
            T(
                "The pages show the Secure Score of another tenant, from files (SECURE_SCORE_TENANT_ID). Graph was not asked."
            )
        )
    queued = await resources.queue.defer(
        session, "secure_score.sync_now", lock=IMPORT_LOCK, queueing_lock="secure_score.sync_now"
    )
    if not queued:
        raise Conflict(T("An import is already waiting to begin."))
    await open_run(session, config.tenant_id, ImportSource.GRAPH, asked_by=by.display_name)
    await log_action(session, by, T("Import asked for"))
