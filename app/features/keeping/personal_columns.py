"""Where a person stands in rows of others, and what stands there once the person is erased. No queries of its own.

Most rows keep a name beside what was done, and no reference. They are found by every name that the person has had here, so a
namesake's rows are changed as well: a name too many is replaced rather than one left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, false, or_
from sqlalchemy.orm import InstrumentedAttribute

from app.core.database import Base
from app.features.accounts.audit_chain import ERASED
from app.features.accounts.models import AuditEntry, HomeLayout, Person, UnsentForm, WebSession
from app.features.connection.models import AuthorizationAttempt
from app.features.provisioning.models import ChecklistMark, DiagnosisRun, StatusToken
from app.features.secure_score.models import ActionNote, ActionPlan, ImportRun, ScoreZones, StatusChange
from app.features.tickets.models import Ticket, TicketEvent, TicketNote

# Stored in place of the name; a person who reads it needs no translation.
REMOVED = ERASED["person_name"]
Column = InstrumentedAttribute[Any]


@dataclass(frozen=True)
class KnownAs:
    """What is known of a person: the row's id, and every object id, name and e-mail address that rows of theirs bear."""

    id: UUID
    oids: frozenset[str]
    names: frozenset[str]
    emails: frozenset[str]

    @property
    def pseudonym(self) -> str:
        """Stands in place of the object id, in its form: the row's own id, a random number that names no account."""
        return str(self.id)


@dataclass(frozen=True)
class Place:
    """Rows about a person. They are found by any of `ids`, `oids`, `names` and `emails`, and get the values of `after`.

    `after` maps a column to what it holds then; PSEUDONYM stands for the person's.
    """

    table: type[Base]
    after: Mapping[str, object]
    ids: tuple[Column, ...] = ()
    oids: tuple[Column, ...] = ()
    names: tuple[Column, ...] = ()
    emails: tuple[Column, ...] = ()

    def rows_of(self, person: KnownAs) -> ColumnElement[bool]:
        """The condition for the rows about this person."""
        return or_(
            false(),
            *(column == person.id for column in self.ids),
            *(column.in_(person.oids) for column in self.oids),
            *(column.in_(person.names) for column in self.names),
            *(column.in_(person.emails) for column in self.emails),
        )


PSEUDONYM = object()
# Rows that are about the person alone.
DELETED = (
    Place(WebSession, {}, ids=(WebSession.person_id,)),
    Place(HomeLayout, {}, ids=(HomeLayout.person_id,)),
    Place(UnsentForm, {}, ids=(UnsentForm.person_id,)),
    Place(AuthorizationAttempt, {}, ids=(AuthorizationAttempt.person_id,)),
)
# Rows that stay. The person's own row is changed last: with its id, entries of one person remain recognizable as such.
REPLACED = (
    Place(
        AuditEntry,
        ERASED,
        ids=(AuditEntry.person_id,),
        emails=(AuditEntry.person_email,),
    ),
    Place(
        Ticket,
        {"requested_by_oid": PSEUDONYM, "requested_by_name": REMOVED},
        ids=(Ticket.requested_by_id,),
        oids=(Ticket.requested_by_oid,),
    ),
    Place(
        TicketNote,
        {"requested_by_oid": PSEUDONYM, "requested_by_name": REMOVED},
        oids=(TicketNote.requested_by_oid,),
    ),
    Place(TicketEvent, {"actor": REMOVED}, names=(TicketEvent.actor,)),
    Place(
        ActionNote,
        {"author_name": REMOVED, "author_id": None},
        ids=(ActionNote.author_id,),
        names=(ActionNote.author_name,),
    ),
    Place(ActionPlan, {"decided_by": REMOVED}, names=(ActionPlan.decided_by,)),
    Place(StatusChange, {"decided_by": REMOVED}, names=(StatusChange.decided_by,)),
    Place(ScoreZones, {"set_by": REMOVED}, names=(ScoreZones.set_by,)),
    Place(ImportRun, {"asked_by": REMOVED}, names=(ImportRun.asked_by,)),
    Place(DiagnosisRun, {"asked_by": REMOVED}, names=(DiagnosisRun.asked_by,)),
    Place(ChecklistMark, {"done_by": REMOVED}, names=(ChecklistMark.done_by,)),
    Place(StatusToken, {"created_by": REMOVED}, names=(StatusToken.created_by,)),
    Place(Person, {"oid": PSEUDONYM, "display_name": REMOVED, "email": ""}, ids=(Person.id,)),
)
