"""Running processes report themselves: who runs where, with which keys and tables. Decides nothing about them.

Each web and worker writes its row every REPORT_SECONDS, on the database's clock, so that clocks that differ do no harm.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped

from app import __version__
from app.core.database import Base, Database, Id, Session
from app.core.database_trouble import DATABASE_ERRORS
from app.core.logging import get_logger

log = get_logger(__name__)

REPORT_SECONDS = 20.0
# Three reports are missed before a process counts as gone.
RUNNING_SECONDS = 65
# Retention: rows of processes that ended without saying so.
KEPT = timedelta(hours=1)


class RunningProcess(Base):
    """A web or worker process. `keys` are fingerprints of its VAULT_KEYS, newest first (core/vault.py)."""

    __tablename__ = "running_process"

    id: Mapped[Id]
    kind: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    schema_revision: Mapped[str]
    keys: Mapped[list[str]]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]

    def __str__(self) -> str:
        return f"{self.kind} {self.pid} on {self.host}"


@dataclass(frozen=True)
class ProcessReport:
    """What one process says of itself; `kind` is web or worker."""

    kind: str
    keys: tuple[str, ...]
    schema_revision: str
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    id: UUID = field(default_factory=uuid4)


async def write_report(session: Session, report: ProcessReport) -> None:
    """Insert or refresh the row of this process, and delete those not seen for an hour."""
    now = func.now()
    values = {
        "id": report.id, "kind": report.kind, "host": report.host, "pid": report.pid, "version": __version__,
        "schema_revision": report.schema_revision, "keys": list(report.keys), "started_at": now, "seen_at": now,
    }  # fmt: skip
    written = insert(RunningProcess).values(values)
    await session.execute(written.on_conflict_do_update(index_elements=["id"], set_={"seen_at": now}))
    await session.execute(delete(RunningProcess).where(RunningProcess.seen_at < now - KEPT))


async def running_processes(session: Session, kind: str | None = None) -> list[RunningProcess]:
    """Every process that has reported within RUNNING_SECONDS, the oldest first; of one kind if it is named."""
    query = select(RunningProcess).where(RunningProcess.seen_at > func.now() - timedelta(seconds=RUNNING_SECONDS))
    if kind is not None:
        query = query.where(RunningProcess.kind == kind)
    return list((await session.execute(query.order_by(RunningProcess.started_at, RunningProcess.id))).scalars())


@asynccontextmanager
async def reporting(
    database: Database, report: ProcessReport, *, is_alive: Callable[[], bool] = lambda: True
) -> AsyncIterator[None]:
    """Report this process for as long as the block lasts and `is_alive` says so. A database that is away stops nothing."""
    await _report(database, report)
    reporter = asyncio.create_task(_report_regularly(database, report, is_alive))
    try:
        yield
    finally:
        reporter.cancel()
        await asyncio.gather(reporter, return_exceptions=True)
        try:
            async with database.transaction() as session:
                await session.execute(delete(RunningProcess).where(RunningProcess.id == report.id))
        except DATABASE_ERRORS as error:
            log.warning("process.report.not_removed", error=type(error).__name__)


async def _report_regularly(database: Database, report: ProcessReport, is_alive: Callable[[], bool]) -> None:
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        if is_alive():
            await _report(database, report)


async def _report(database: Database, report: ProcessReport) -> None:
    try:
        async with database.transaction() as session:
            await write_report(session, report)
    except DATABASE_ERRORS as error:
        log.warning("process.report.not_written", error=type(error).__name__)
