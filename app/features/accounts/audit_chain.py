"""The audit log as a hash chain: appends entries when their transaction commits, proves the chain whole, and shortens it.

Each entry holds SHA-256 over the previous entry's hash and its own content, so that a changed, removed, inserted or moved row
shows. Who can write to the database and has this code can compute a new chain: the head therefore belongs into a log outside
(`audit.head`, logged daily). Name, address and e-mail go in as a salted hash of their own, so that a person can be erased
without breaking the chain. https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html#protection
"""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, event, func, select, text, update
from sqlalchemy import orm as sqlalchemy_orm
from sqlalchemy.dialects.postgresql import insert

from app.core.database import Session
from app.core.logging import get_logger
from app.features.accounts.models import AuditCheckpoint, AuditEntry

log = get_logger(__name__)

# What the first entry of all follows.
BEGINNING = "0" * 64
# The key under which a session keeps the entries of its transaction.
PENDING = "audit entries"
CHECKPOINT_ID = 1
# What stands in the columns of an erased person. Without the salt, the hash of name and addresses says nothing.
ERASED = {"person_name": "Removed person", "person_email": "", "address": "", "person_salt": ""}
ALLOW = text("SELECT set_config('security_center.audit', :what, true)")


def append(session: Session, entry: AuditEntry) -> None:
    """Have the entry written when the session's transaction commits; a rollback, also of a savepoint, drops it."""
    # Not at once: the chain's end is locked while entries are appended, and all other audited actions wait for that lock.
    savepoint = session.sync_session.get_nested_transaction()
    session.info.setdefault(PENDING, []).append((entry, savepoint))


def person_hash(salt: str, name: str, email: str, address: str) -> str:
    """The salted hash that stands for a person in the chain."""
    return hashlib.sha256(canonical([salt, name, email, address])).hexdigest()


def entry_hash(previous_hash: str, entry: AuditEntry) -> str:
    """SHA-256 over the previous entry's hash and this entry's content, in hexadecimal digits."""
    content = {
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "person": entry.person_hash,
        "action": entry.action,
        "facts": entry.facts,
        "request": entry.request_id,
    }
    return hashlib.sha256(previous_hash.encode() + b"\n" + canonical(content)).hexdigest()


def canonical(value: object) -> bytes:
    """The value as JSON in one form only, before it is stored in a jsonb column as well as after."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON.
    # jsonb keeps numbers as numeric, which gives 1e16 back as an integer:
    # https://www.postgresql.org/docs/current/datatype-json.html
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


async def prune_before(session: Session, moment: datetime, *, limit: int | None = None) -> int:
    """Delete the oldest entries, up to the first one that is not older than `moment`, at most `limit`; returns how many.

    The checkpoint remembers where the chain begins now, so that the rest can still be verified.
    """
    await session.execute(select(AuditCheckpoint.id).with_for_update())
    first_kept = (
        await session.execute(select(func.min(AuditEntry.id)).where(AuditEntry.at >= moment))
    ).scalar_one_or_none()
    old = AuditEntry.id < first_kept if first_kept is not None else AuditEntry.at < moment
    oldest = select(AuditEntry.id, AuditEntry.hash).where(old).order_by(AuditEntry.id).limit(limit).subquery()
    last = (await session.execute(select(oldest).order_by(oldest.c.id.desc()).limit(1))).one_or_none()
    if last is None:
        return 0
    await session.execute(ALLOW, {"what": "prune"})
    gone = await session.execute(
        delete(AuditEntry)
        .where(AuditEntry.id <= last.id)
        .returning(AuditEntry.id)
        .execution_options(synchronize_session=False)
    )
    count = len(gone.all())
    await session.execute(ALLOW, {"what": ""})
    await session.execute(
        update(AuditCheckpoint)
        .values(removed=AuditCheckpoint.removed + count, first_previous_hash=last.hash)
        .execution_options(synchronize_session=False)
    )
    log.info("audit.pruned", entries=count, before=moment.isoformat())
    return count


async def allow_erasure(session: Session) -> None:
    """Let this transaction write ERASED into entries; the database refuses every other change."""
    await session.execute(ALLOW, {"what": "erase"})


async def erase_person(session: Session, person_id: UUID) -> int:
    """Take name, e-mail address and IP address out of this person's entries, for good; returns how many entries.

    The chain stays whole: the hash stays without its salt, so that no name can be tried against it.
    """
    await allow_erasure(session)
    changed = await session.execute(
        update(AuditEntry)
        .where(AuditEntry.person_id == person_id)
        .values(ERASED)
        .returning(AuditEntry.id)
        .execution_options(synchronize_session=False)
    )
    count = len(changed.all())
    await session.execute(ALLOW, {"what": ""})
    return count


@event.listens_for(sqlalchemy_orm.Session, "before_commit")
def _write_pending(session: sqlalchemy_orm.Session) -> None:
    if session.in_nested_transaction() or not session.info.get(PENDING):
        return
    # Everything else first: a row lock that is waited for while the chain's end is locked would be a deadlock.
    session.flush()
    previous = _locked_head(session)
    entries = [entry for entry, _ in session.info.pop(PENDING)]
    for entry in entries:
        entry.person_salt = secrets.token_hex(16)
        entry.person_hash = person_hash(entry.person_salt, entry.person_name, entry.person_email, entry.address)
        entry.previous_hash, entry.hash = previous, entry_hash(previous, entry)
        previous = entry.hash
    session.add_all(entries)
    session.flush()
    session.execute(
        update(AuditCheckpoint)
        .values(entries=AuditCheckpoint.entries + len(entries), last_hash=previous)
        .execution_options(synchronize_session=False)
    )


def _locked_head(session: sqlalchemy_orm.Session) -> str:
    """The newest entry's hash. Other transactions that append wait until this one has ended."""
    locked = select(AuditCheckpoint.last_hash).with_for_update()
    found = session.execute(locked).scalar_one_or_none()
    if found is None:
        empty = {"id": CHECKPOINT_ID, "entries": 0, "last_hash": BEGINNING, "removed": 0}
        session.execute(insert(AuditCheckpoint).values(**empty, first_previous_hash=BEGINNING).on_conflict_do_nothing())
        found = session.execute(locked).scalar_one()
    return found


@event.listens_for(sqlalchemy_orm.Session, "after_soft_rollback")
def _drop_pending(session: sqlalchemy_orm.Session, ended: sqlalchemy_orm.SessionTransaction) -> None:
    pending = session.info.get(PENDING)
    if pending:
        pending[:] = [each for each in pending if ended.nested and each[1] is not ended]
