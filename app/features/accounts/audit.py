"""The audit log: writes who did what, when and from where, and lists it. Stores no secret, and deletes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy import Select, String, cast, func, or_, select

from app.core import clock
from app.core.bounds import exact
from app.core.database import Session
from app.core.logging import current_correlation_id, redact
from app.core.messages import Message
from app.features.accounts.audit_chain import append
from app.features.accounts.models import AuditEntry

PAGE_SIZE = 50
# An export holds everything; it is read in batches, so that a long history does not fill the memory.
EXPORT_BATCH = 1000
# A fact is a name, a number or a short text; longer ones are cut, so that no typed text floods the log.
LONGEST_FACT = 500


@dataclass(frozen=True)
class AuditLine:
    """One entry. `who` is empty when the product itself acted; `address` is the IP address of the person's browser.

    `request_id` finds its log lines.
    """

    number: int
    at: datetime
    who: str
    email: str
    address: str
    action: Message
    facts: dict[str, str]
    request_id: str = ""


@dataclass(frozen=True)
class AuditList:
    """One page of the log, newest first."""

    lines: list[AuditLine]
    count: int
    page: int
    pages: int


class Actor(Protocol):
    """Who acted; the signed-in `Viewer` is one."""

    @property
    def person_id(self) -> UUID | None:
        """The person's row, if there is one."""

    @property
    def display_name(self) -> str:
        """Stored with each entry, because entries are kept longer than the person's row."""

    @property
    def email(self) -> str:
        """Stored with each entry, like the name."""

    @property
    def address(self) -> str:
        """Where the browser calls from; empty when unknown."""


async def log_action(session: Session, who: Actor | None, action: Message, /, **facts: object) -> None:
    """Write an entry at the end of the caller's transaction: it is committed exactly when the action itself is.

    `who` is None when the product itself acts. `action` is a short sentence without values ("Connection removed"), so that
    entries of one kind can be searched together; values go into `facts`.
    """
    # What belongs into an entry, and that no secret does:
    # https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html#data-to-exclude
    append(
        session,
        AuditEntry(
            at=clock.now(),
            person_id=who.person_id if who else None,
            person_name=who.display_name if who else "",
            person_email=who.email if who else "",
            address=who.address if who else "",
            action=action.to_json(),
            facts={name: _fact(name, value) for name, value in facts.items()},
            request_id=current_correlation_id(),
        ),
    )


def _fact(name: str, value: object) -> str:
    # Typed texts and those of other systems may hold what the database cannot.
    text = value if isinstance(value, str) else str(value)
    return exact(redact(exact(text), name), LONGEST_FACT)


async def list_entries(session: Session, *, wanted: str = "", page: int = 1) -> AuditList:
    """One page of the entries that hold this text in any column; a page past the end is the last one."""
    query = _entries(wanted)
    count = (await session.execute(select(func.count()).select_from(query.subquery()))).scalar_one()
    pages = max(-(-count // PAGE_SIZE), 1)
    page = min(max(page, 1), pages)
    rows = await session.execute(query.order_by(AuditEntry.id.desc()).limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE))
    return AuditList([_line(row) for row in rows.scalars()], count, page, pages)


async def all_entries(session: Session, *, wanted: str = "") -> AsyncIterator[AuditLine]:
    """Every entry that holds this text in any column, oldest first."""
    # Keyset pagination by id: entries that are written meanwhile shift no batch, as OFFSET would.
    last = 0
    while True:
        rows = await session.execute(
            _entries(wanted).where(AuditEntry.id > last).order_by(AuditEntry.id).limit(EXPORT_BATCH)
        )
        found = list(rows.scalars())
        for row in found:
            yield _line(row)
        if len(found) < EXPORT_BATCH:
            return
        last = found[-1].id
        # Frees the rows of earlier batches; the session would keep all of them in memory.
        session.expire_all()


def _entries(wanted: str) -> Select[AuditEntry]:
    query = select(AuditEntry)
    if not wanted.strip():
        return query
    columns = (
        AuditEntry.person_name,
        AuditEntry.person_email,
        AuditEntry.address,
        AuditEntry.action["message"].astext,
        cast(AuditEntry.facts, String),
        AuditEntry.request_id,
    )
    return query.where(or_(*(column.icontains(wanted.strip(), autoescape=True) for column in columns)))


def _line(row: AuditEntry) -> AuditLine:
    return AuditLine(
        number=row.id,
        at=row.at,
        who=row.person_name,
        email=row.person_email,
        address=row.address,
        action=Message.from_json(row.action),
        facts={name: str(value) for name, value in row.facts.items()},
        request_id=row.request_id,
    )
