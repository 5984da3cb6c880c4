"""Secure Score's background work: keeps the import up to date. The import itself is elsewhere."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from app.core import clock
from app.core.database import Session
from app.core.errors import AppError, Conflict
from app.core.jobs import TaskGroup
from app.core.logging import get_logger
from app.core.messages import T
from app.features.secure_score.actions.plan import PlanChange, decide
from app.features.secure_score.actions.write_back import write_state
from app.features.secure_score.sync.import_scores import import_from_graph
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

# Graph makes one snapshot a day; catalog, states and sync times move more often.
SYNC_EVERY = timedelta(hours=6)
# After an import that did not get everything; twice as long after each further one, up to SYNC_EVERY.
TRY_AGAIN_AFTER = timedelta(minutes=15)
MOST_DOUBLINGS = 5
ONE_AT_A_TIME = "secure_score.scheduled_sync"


async def is_due(session: Session, tenant_id: str) -> bool:
    """Whether the clock says it is time: never imported, six hours ago, or sooner after a failure.

    What fails again and again (a permission nobody grants, one list that Graph will not give) is asked for ever more
    rarely: after 15 minutes, 30, one hour, two, four, and then every six hours like everything else.
    """
    last = await last_ended_run(session, tenant_id, ImportSource.GRAPH)
    if last is None:
        return True
    wait = SYNC_EVERY
    if last.status != RunStatus.DONE:
        failed = await failures_in_a_row(session, tenant_id, ImportSource.GRAPH)
        wait = min(TRY_AGAIN_AFTER * 2 ** min(failed - 1, MOST_DOUBLINGS), SYNC_EVERY)
    return clock.now() - last.asked_at >= wait


@tasks.task("scheduled_sync", every="* * * * *")
async def scheduled_sync(resources: Resources) -> None:
    """Import when it is due; looks every minute, so that a worker that was off catches up at once."""
    config = resources.config
    if config.shown_tenant_id != config.tenant_id:
        return  # The pages show another tenant's files; Graph knows only our own tenant.
    async with resources.database.transaction() as session:
        asked_for = await waiting_run(session, config.tenant_id)
        due = asked_for is not None or await is_due(session, config.tenant_id)
    if due:
        await _import(resources, asked_for.id if asked_for else None)


@tasks.task("sync_now")
async def sync_now(resources: Resources) -> None:
    """Import because somebody asked; the run they asked for waits in the table."""
    async with resources.database.transaction() as session:
        run = await waiting_run(session, resources.config.tenant_id)
    if run is not None:
        await _import(resources, run.id)


async def _import(resources: Resources, run_id: UUID | None = None) -> None:
    """The run itself keeps what went wrong, and `scheduled_sync` tries again: a failed import is no failed job."""
    try:
        await import_from_graph(resources, run_id=run_id)
    except AppError as error:
        log.warning("import failed", error=type(error).__name__)


@tasks.task("send_state")
async def send_state(resources: Resources, control_id: str) -> None:
    """Write one decision to Graph."""
    await write_state(resources, control_id)


async def decide_and_send(
    session: Session, resources: Resources, control_id: str, wish: PlanChange, *, who: str
) -> None:
    """Keep a decision, and queue its way to Graph where that is switched on. Raises as `plan.decide`."""
    config = resources.config
    write_back = config.secure_score_write_back and config.shown_tenant_id == config.tenant_id
    if await decide(session, config.shown_tenant_id, control_id, wish, who=who, write_back=write_back):
        await resources.queue.defer(
            session, "secure_score.send_state", lock=f"secure_score.state {control_id}", control_id=control_id
        )


async def ask_to_sync(session: Session, resources: Resources, *, asked_by: str) -> None:
    """Queue an import now. Raises Conflict when one is waiting or the pages show another tenant's data."""
    config = resources.config
    if config.shown_tenant_id != config.tenant_id:
        raise Conflict(
            T(
                "The pages show the Secure Score of another tenant, from files (SECURE_SCORE_TENANT_ID). Graph was not asked."
            )
        )
    queued = await resources.queue.defer(
        session, "secure_score.sync_now", lock=ONE_AT_A_TIME, queueing_lock="secure_score.sync_now"
    )
    if not queued:
        raise Conflict(T("An import is already waiting to begin."))
    await open_run(session, config.tenant_id, ImportSource.GRAPH, asked_by=asked_by)
