"""Entries of the audit log, for tests of its chain."""

from __future__ import annotations

from sqlalchemy import select, text

from app.core.database import Database
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.accounts.audit_verify import ChainReport, verify_chain
from app.features.accounts.models import AuditEntry


async def write(database: Database, count: int) -> None:
    """So many entries in one transaction."""
    async with database.transaction() as session:
        for number in range(count):
            await log_action(session, None, T("Something"), number=number)


async def entries(database: Database) -> list[AuditEntry]:
    async with database.transaction() as session:
        return list((await session.execute(select(AuditEntry).order_by(AuditEntry.id))).scalars())


async def report_of(database: Database) -> ChainReport:
    async with database.transaction() as session:
        return await verify_chain(session)


async def tamper(database: Database, *statements: str) -> None:
    """What a person could do who reaches the database with all rights: triggers are off."""
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            await session.execute(text(statement))
