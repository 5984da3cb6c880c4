"""Remove a person: first everything held about them goes into a file, then their rows are deleted or lose the name.

Tickets and audit entries stay, for they say what was done. What ServiceNow, Entra ID, logs and backups hold is out of reach.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, select, update

from app.core import clock
from app.core.database import Session
from app.core.messages import T
from app.features.accounts.audit import log_action
from app.features.accounts.audit_chain import allow_erasure
from app.features.keeping.backup_file import new_private_file
from app.features.keeping.person_data import PersonLine, export_rows, find_person, identity_of
from app.features.keeping.personal_columns import (
    DELETED,
    PSEUDONYM,
    REMOVED,
    REPLACED,
    KnownAs,
    Place,
)
from app.features.tickets.models import Ticket
from app.resources import Resources

BATCH = 200


@dataclass(frozen=True)
class ErasePlan:
    """`rows` is the number of rows about the person by table. `is_removed`: it has been done before."""

    person: PersonLine
    rows: dict[str, int]
    is_removed: bool


async def plan_erasure(resources: Resources, wanted: str) -> ErasePlan:
    """What is held about the person. Raises NotFound, or Conflict with the list of those who match."""
    async with resources.database.transaction() as session:
        person = await find_person(session, wanted)
        identity = await identity_of(session, person)
        rows: Counter[str] = Counter()
        async for table, _ in export_rows(session, identity):
            rows[table] += 1
        return ErasePlan(
            PersonLine(person.id, person.oid, person.display_name, person.email),
            dict(rows),
            is_removed=person.oid == identity.pseudonym,
        )


async def erase(resources: Resources, wanted: str, export: Path) -> ErasePlan:
    """Write the export and remove the person, in one transaction. Raises what `plan_erasure` raises, and BackupProblem."""
    async with resources.database.transaction() as session:
        person = await find_person(session, wanted)
        line = PersonLine(person.id, person.oid, person.display_name, person.email)
        identity = await identity_of(session, person)
        rows = await _write_export(session, identity, export)
        for place in DELETED:
            await session.execute(delete(place.table).where(place.rows_of(identity)))
        await _redact_records(session, identity)
        await allow_erasure(session)
        for place in REPLACED:
            await session.execute(update(place.table).where(place.rows_of(identity)).values(_after(place, identity)))
        # No one is signed in on the command line, and the entry must not bring the name back.
        await log_action(session, None, T("Person removed"), person=identity.id)
    return ErasePlan(line, rows, is_removed=line.oid == identity.pseudonym)


async def _write_export(session: Session, identity: KnownAs, path: Path) -> dict[str, int]:
    rows: Counter[str] = Counter()
    with new_private_file(path) as file:
        head = {"person": str(identity.id), "exported_at": clock.now().isoformat()}
        # One row a line, so that an export of any size is written and read row by row.
        file.write(json.dumps(head)[:-1].encode() + b', "rows": [')
        async for table, columns in export_rows(session, identity):
            file.write(b",\n" if rows else b"\n")
            file.write(json.dumps({"table": table, "row": columns}, ensure_ascii=False, default=str).encode())
            rows[table] += 1
        file.write(b"\n]}\n")
    return dict(rows)


async def _redact_records(session: Session, identity: KnownAs) -> None:
    """Take the person out of the copies of what is sent: "Requested by" is a line of the description.

    What waits to be sent goes without the name then. A record that was sent with it is found all the same, by its
    correlation id.
    """
    place = next(place for place in REPLACED if place.table is Ticket)
    ids = list((await session.execute(select(Ticket.id).where(place.rows_of(identity)))).scalars())
    for start in range(0, len(ids), BATCH):
        tickets = await session.execute(select(Ticket).where(Ticket.id.in_(ids[start : start + BATCH])))
        for ticket in tickets.scalars():
            ticket.record = {name: _redacted(value, identity) for name, value in ticket.record.items()}
        await session.flush()
        session.expunge_all()


def _redacted(value: object, identity: KnownAs) -> object:
    if not isinstance(value, str):
        return value
    # The longest first: a name may be a part of another one.
    for said in sorted(identity.names | identity.emails, key=len, reverse=True):
        value = value.replace(said, REMOVED if said in identity.names else "–")
    for oid in identity.oids:
        value = value.replace(oid, identity.pseudonym)
    return value


def _after(place: Place, identity: KnownAs) -> dict[str, object]:
    return {name: identity.pseudonym if value is PSEUDONYM else value for name, value in place.after.items()}
