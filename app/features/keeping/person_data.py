"""Find a person and everything that is held about them, for an export. Changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select

from app.core.database import Session
from app.core.errors import Conflict, NotFound
from app.core.messages import T
from app.core.vault import Sealed
from app.features.accounts.models import AuditEntry, Person
from app.features.keeping.personal_columns import DELETED, REMOVED, REPLACED, KnownAs
from app.features.tickets.models import Ticket, TicketNote

# Of a row in the export these are left out: they open something, or are the whole answer of another system.
SECRET_COLUMNS = frozenset({"token_hash", "state_hash", "browser_hash"})


@dataclass(frozen=True)
class PersonLine:
    """A person as an operator tells one from another."""

    id: UUID
    oid: str
    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.id}  {self.name} <{self.email}>  {self.oid}"


async def find_person(session: Session, wanted: str) -> Person:
    """By id, e-mail address or Entra ID's object id; the row is locked. Raises NotFound, or Conflict when several match."""
    known_as = wanted.strip()
    conditions = [func.lower(Person.email) == known_as.lower(), func.lower(Person.oid) == known_as.lower()]
    if (number := _as_uuid(known_as)) is not None:
        conditions.append(Person.id == number)
    # An empty address is that of everyone whose account has none.
    found = (
        list((await session.execute(select(Person).where(or_(*conditions)).with_for_update())).scalars())
        if known_as
        else []
    )
    if not found:
        raise NotFound(T("Nothing is held about a person with this id, e-mail address or object id."))
    if len(found) > 1:
        lines = "\n".join(str(PersonLine(row.id, row.oid, row.display_name, row.email)) for row in found)
        raise Conflict(T("Several people match. Name one by the id in front:\n%(people)s", people=lines))
    return found[0]


async def identity_of(session: Session, person: Person) -> KnownAs:
    """With the names and addresses of earlier times, which rows of theirs still bear."""
    entries = await session.execute(
        select(AuditEntry.person_name, AuditEntry.person_email).where(AuditEntry.person_id == person.id).distinct()
    )
    known = [(person.display_name, person.email), *((name, email) for name, email in entries)]
    for table in (Ticket, TicketNote):
        named = select(table.requested_by_name).where(table.requested_by_oid == person.oid).distinct()
        known += [(name, "") for name in (await session.execute(named)).scalars()]
    return KnownAs(
        id=person.id,
        oids=frozenset({person.oid}),
        names=frozenset(name for name, _ in known) - {"", REMOVED},
        emails=frozenset(email for _, email in known) - {""},
    )


async def export_rows(session: Session, person: KnownAs) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Every row about the person, as (table, columns), a few hundred in memory at a time."""
    for place in (*DELETED, *REPLACED):
        columns = place.table.__table__.columns
        statement = select(*columns).where(place.rows_of(person)).execution_options(yield_per=200)
        async for row in (await session.stream(statement)).mappings():
            yield (
                place.table.__tablename__,
                {str(name): _plain(value) for name, value in row.items() if _is_told(str(name), value)},
            )


def _is_told(name: str, value: object) -> bool:
    return name not in SECRET_COLUMNS and not isinstance(value, Sealed)


def _plain(value: object) -> object:
    match value:
        case datetime() | date():
            return value.isoformat()
        case UUID():
            return str(value)
        case _:
            return value


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
