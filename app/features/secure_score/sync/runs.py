"""The record of imports: who requested it, progress, warnings, result. Imports nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ScalarSelect, Select, func, select, update

from app.core import clock
from app.core.database import Session
from app.core.messages import Message, T
from app.features.secure_score.models import ImportRun

# A running import writes a heartbeat per page. Without one for this long, its process has died.
HEARTBEAT_TIMEOUT = timedelta(minutes=15)
MOST_WARNINGS = 50


class RunStatus(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"


class ImportSource(StrEnum):
    GRAPH = "graph"
    FILES = "files"


INTERRUPTED = T("The import was interrupted: its process ended before it was done. What it had imported is kept.")


@dataclass(frozen=True)
class RunLine:
    """One import as the page shows it; `seconds` is None until it is over."""

    id: UUID
    source: str
    status: str
    asked_by: str
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    stage: str
    snapshots_read: int
    snapshots_new: int
    profiles_read: int
    profiles_new: int
    profiles_changed: int
    actions_scored: int
    without_profile: int
    warnings: tuple[Message, ...]
    problem: Message | None

    @property
    def in_progress(self) -> bool:
        return self.status in (RunStatus.WAITING, RunStatus.RUNNING)


async def open_run(session: Session, tenant_id: str, source: ImportSource, *, asked_by: str = "") -> ImportRun:
    """Add a run that waits, after closing runs whose process has died."""
    await close_dead_runs(session, tenant_id)
    run = ImportRun(
        tenant_id=tenant_id,
        source=source,
        status=RunStatus.WAITING,
        asked_by=asked_by,
        asked_at=clock.now(),
        warnings=[],
    )
    session.add(run)
    await session.flush()
    return run


async def close_dead_runs(session: Session, tenant_id: str) -> None:
    """Mark running imports without a recent heartbeat as failed."""
    await session.execute(
        update(ImportRun)
        .where(
            ImportRun.tenant_id == tenant_id,
            ImportRun.status == RunStatus.RUNNING,
            ImportRun.heard_at < clock.now() - HEARTBEAT_TIMEOUT,
        )
        .values(status=RunStatus.FAILED, finished_at=ImportRun.heard_at, problem=INTERRUPTED.to_json())
    )


async def waiting_run(session: Session, tenant_id: str) -> ImportRun | None:
    """The oldest run that was requested and has not begun, locked until the transaction ends."""
    found = await session.execute(
        select(ImportRun)
        .where(ImportRun.tenant_id == tenant_id, ImportRun.status == RunStatus.WAITING)
        .order_by(ImportRun.asked_at)
        .limit(1)
        # A run that another worker is about to begin is not ours.
        .with_for_update(skip_locked=True)
    )
    return found.scalar_one_or_none()


async def last_ended_run(session: Session, tenant_id: str, source: ImportSource) -> ImportRun | None:
    ended = (RunStatus.DONE, RunStatus.PARTIAL, RunStatus.FAILED)
    found = await session.execute(
        select(ImportRun)
        .where(ImportRun.tenant_id == tenant_id, ImportRun.source == source, ImportRun.status.in_(ended))
        .order_by(ImportRun.asked_at.desc())
        .limit(1)
    )
    return found.scalar_one_or_none()


async def failures_in_a_row(session: Session, tenant_id: str, source: ImportSource) -> int:
    """How many partial or failed runs followed the last complete one."""
    done = select(func.max(ImportRun.asked_at)).where(
        ImportRun.tenant_id == tenant_id, ImportRun.source == source, ImportRun.status == RunStatus.DONE
    )
    found = await session.execute(
        select(func.count()).where(
            ImportRun.tenant_id == tenant_id,
            ImportRun.source == source,
            ImportRun.status.in_((RunStatus.PARTIAL, RunStatus.FAILED)),
            func.coalesce(ImportRun.asked_at > done.scalar_subquery(), True),
        )
    )
    return found.scalar_one()


async def known_until(session: Session, tenant_id: str) -> date | None:
    """The newest day up to which the scores were read without a gap; None before the first such import."""
    found = await session.execute(
        select(func.max(ImportRun.known_until)).where(
            ImportRun.tenant_id == tenant_id, ImportRun.source == ImportSource.GRAPH
        )
    )
    return found.scalar_one()


def last_sync(tenant_id: str) -> ScalarSelect[datetime | None]:
    """The end of the last import that was not a failure, as a subquery."""
    brought = ImportRun.status.in_((RunStatus.DONE, RunStatus.PARTIAL))
    return select(func.max(ImportRun.finished_at)).where(ImportRun.tenant_id == tenant_id, brought).scalar_subquery()


async def synced_at(session: Session, tenant_id: str) -> datetime | None:
    return (await session.execute(select(last_sync(tenant_id)))).scalar_one()


async def list_runs(session: Session, tenant_id: str, *, limit: int = 50) -> list[RunLine]:
    """The newest runs first. One whose process has died is shown as failed, also before it is closed."""
    return [run_line(run) for run in (await session.execute(run_query(tenant_id, limit))).scalars()]


def run_query(tenant_id: str, limit: int) -> Select[ImportRun]:
    """The newest runs, for `run_line`."""
    return select(ImportRun).where(ImportRun.tenant_id == tenant_id).order_by(ImportRun.asked_at.desc()).limit(limit)


# What `run_line` reads of a run.
RUN_COLUMNS = (
    ImportRun.id, ImportRun.source, ImportRun.status, ImportRun.asked_by, ImportRun.asked_at, ImportRun.started_at,
    ImportRun.heard_at, ImportRun.finished_at, ImportRun.stage, ImportRun.snapshots_read, ImportRun.snapshots_new,
    ImportRun.profiles_read, ImportRun.profiles_new, ImportRun.profiles_changed, ImportRun.actions_scored,
    ImportRun.without_profile, ImportRun.warnings, ImportRun.problem,
)  # fmt: skip
MOMENTS = ("asked_at", "started_at", "heard_at", "finished_at")


def newest_run(tenant_id: str) -> Select[*tuple[Any, ...]]:
    """The newest run in columns, for `stored_run`."""
    newest = select(*RUN_COLUMNS).where(ImportRun.tenant_id == tenant_id)
    return newest.order_by(ImportRun.asked_at.desc()).limit(1)


def stored_run(row: Mapping[str, Any]) -> ImportRun:
    """A run of RUN_COLUMNS as JSON tells it."""
    moments = {name: row[name] and datetime.fromisoformat(row[name]).astimezone(UTC) for name in MOMENTS}
    return ImportRun(**{**row, **moments, "id": UUID(row["id"])})


def stored(sentences: Sequence[Message]) -> list[dict[str, object]]:
    """Warnings as JSON, each once, at most MOST_WARNINGS."""
    return [sentence.to_json() for sentence in dict.fromkeys(sentences)][:MOST_WARNINGS]


def run_line(run: ImportRun) -> RunLine:
    died = (
        run.status == RunStatus.RUNNING and run.heard_at is not None and run.heard_at < clock.now() - HEARTBEAT_TIMEOUT
    )
    finished_at = run.heard_at if died else run.finished_at
    problem = Message.from_json(run.problem) if run.problem else None
    return RunLine(
        id=run.id,
        source=run.source,
        status=RunStatus.FAILED if died else run.status,
        asked_by=run.asked_by,
        asked_at=run.asked_at,
        started_at=run.started_at,
        finished_at=finished_at,
        seconds=(finished_at - run.started_at).total_seconds() if finished_at and run.started_at else None,
        stage=run.stage,
        snapshots_read=run.snapshots_read,
        snapshots_new=run.snapshots_new,
        profiles_read=run.profiles_read,
        profiles_new=run.profiles_new,
        profiles_changed=run.profiles_changed,
        actions_scored=run.actions_scored,
        without_profile=run.without_profile,
        warnings=tuple(Message.from_json(warning) for warning in run.warnings),
        problem=INTERRUPTED if died else problem,
    )
