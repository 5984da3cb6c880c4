"""Prove the audit log's chain whole, and say where it is not. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import select, text

from app.core.database import Session
from app.core.logging import get_logger
from app.core.messages import Message, T
from app.features.accounts.audit_chain import BEGINNING, ERASED, entry_hash, person_hash
from app.features.accounts.models import AuditCheckpoint, AuditEntry

log = get_logger(__name__)

BATCH = 1000
# As many as a person reads; a chain that was computed from a changed beginning would name every row.
MOST_BREAKS = 50
# Entries that are appended meanwhile are left to the next time.
ONE_MOMENT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


class Break(StrEnum):
    """What may have been done to the log."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    CUT_OFF = "cut_off"
    NO_CHECKPOINT = "no_checkpoint"


SENTENCES = {
    Break.CHANGED: T("Entry %(number)s was changed after it was written."),
    Break.REMOVED: T("Entries are missing right before entry %(number)s."),
    Break.INSERTED: T("Entry %(number)s does not follow the one before it: entries were inserted or moved there."),
    Break.CUT_OFF: T("The newest entries are missing after entry %(number)s, or were written by something else."),
    Break.NO_CHECKPOINT: T(
        "The checkpoint is missing (table audit_checkpoint), so entries may be missing at either end."
    ),
}


@dataclass(frozen=True)
class ChainBreak:
    """`number` is the entry's number as the audit page shows it; 0 where there is no entry."""

    kind: Break
    number: int

    @property
    def sentence(self) -> Message:
        return Message(SENTENCES[self.kind].message, {"number": self.number})


@dataclass
class ChainReport:
    """`entries` were read, `removed` by retention earlier, `erased` no longer say who; `head` is the newest entry's hash."""

    entries: int = 0
    removed: int = 0
    erased: int = 0
    head: str = BEGINNING
    breaks: list[ChainBreak] = field(default_factory=list)

    def note(self, kind: Break, number: int) -> None:
        if len(self.breaks) < MOST_BREAKS:
            self.breaks.append(ChainBreak(kind, number))


async def verify_chain(session: Session) -> ChainReport:
    """Read every entry. Must be the first statement of its transaction."""
    await session.execute(ONE_MOMENT)
    report = ChainReport()
    checkpoint = (await session.execute(select(AuditCheckpoint))).scalar_one_or_none()
    if checkpoint is not None:
        report.removed, report.head = checkpoint.removed, checkpoint.first_previous_hash
    last = 0
    while True:
        rows = await session.execute(
            select(AuditEntry).where(AuditEntry.id > last).order_by(AuditEntry.id).limit(BATCH)
        )
        found = list(rows.scalars())
        for row in found:
            await _check(session, report, row)
            last = row.id
        session.expunge_all()
        if len(found) < BATCH:
            break
    if checkpoint is None:
        if report.entries:
            report.note(Break.NO_CHECKPOINT, 0)
    # A break inside the chain changes the count as well, and is named already.
    elif report.head != checkpoint.last_hash or (
        report.entries + report.removed != checkpoint.entries and not report.breaks
    ):
        report.note(Break.CUT_OFF, last)
    return report


async def log_head(session: Session) -> None:
    """Log the chain's end, so that a log outside of this database has it: `audit.head` with count and hash."""
    checkpoint = (await session.execute(select(AuditCheckpoint))).scalar_one_or_none()
    if checkpoint is not None:
        log.info("audit.head", entries=checkpoint.entries, removed=checkpoint.removed, hash=checkpoint.last_hash)


async def _check(session: Session, report: ChainReport, row: AuditEntry) -> None:
    report.entries += 1
    if row.previous_hash != report.head:
        known = select(AuditEntry.id).where(AuditEntry.hash == row.previous_hash).limit(1)
        found = (await session.execute(known)).scalar_one_or_none()
        is_elsewhere = found is not None or row.previous_hash == BEGINNING
        report.note(Break.INSERTED if is_elsewhere else Break.REMOVED, row.id)
    of_person = person_hash(row.person_salt, row.person_name, row.person_email, row.address)
    is_erased = all(getattr(row, name) == value for name, value in ERASED.items())
    report.erased += is_erased
    if row.hash != entry_hash(row.previous_hash, row) or (row.person_hash != of_person and not is_erased):
        report.note(Break.CHANGED, row.id)
    report.head = row.hash
