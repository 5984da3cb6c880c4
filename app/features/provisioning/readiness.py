"""Says for which kinds of ticket everything is in place, and what is missing for the others. Reads rows only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select

from app.core.database import Session
from app.core.messages import Message, T
from app.features.connection.connection_view import connection_view
from app.features.connection.models import Connection, ConnectionStatus
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.models import ProvisioningStep
from app.features.provisioning.steps import STEP_BY_KEY, STEP_KEYS
from app.features.tickets.types import KIND_NAMES, TicketKind

# A finding stays failed until a new check says otherwise: cards must not come and go while one is under way. JSONB's
# ->> compares the stored text, so the states are given by value.
FAILED = and_(
    ProvisioningStep.finding["state"].astext == State.PROBLEM.value,
    ProvisioningStep.state.in_((State.PROBLEM, State.WAITING, State.RUNNING)),
)
ATTENTION = T("The connection needs attention.")


@dataclass(frozen=True)
class Readiness:
    """`kinds` are those whose cards may be shown ("change", "incident"); `missing` is one sentence per obstacle.

    Steps that have not been checked yet, or cannot be known by looking, are no obstacle: only a problem that was found is.
    """

    kinds: frozenset[str]
    missing: tuple[Message, ...]

    @property
    def is_ready(self) -> bool:
        return len(self.kinds) == len(TicketKind)


async def readiness(session: Session) -> Readiness:
    connection = await connection_view(session)
    if connection is None:
        return Readiness(frozenset(), (T("ServiceNow is not connected."),))
    if not connection.is_connected:
        return Readiness(frozenset(), (connection.attention or ATTENTION,))
    return readiness_after(await load_problems(session, connection.id))


@dataclass(frozen=True)
class MissingSetup:
    """Kinds whose cards are not shown, and what is missing; while the connection waits for a person, only that."""

    hidden: frozenset[str] = frozenset()
    sentences: tuple[Message, ...] = ()


def missing_setup(connection: Connection, found: Mapping[str, Any] | None, *, was_checked: bool) -> MissingSetup:
    """What provisioning lacks for the home page; `found` are the findings of failed steps, as they are stored.

    A connection that stopped working hides nothing: its cards say how old they are. One whose account no person has
    confirmed yet shows nothing, because nothing of it was checked.
    """
    if connection.status != ConnectionStatus.CONNECTED:
        sentence = Message.from_json(connection.attention) if connection.attention else ATTENTION
        nothing = hides_everything(connection.status, was_checked=was_checked)
        return MissingSetup(frozenset(kind.value for kind in TicketKind) if nothing else frozenset(), (sentence,))
    # A step of an older version may still have a row.
    known = {step: stored for step, stored in (found or {}).items() if stored and step in STEP_BY_KEY}
    ready = readiness_after({step: Finding.from_json(stored) for step, stored in known.items()})
    return MissingSetup(frozenset(kind.value for kind in TicketKind) - ready.kinds, ready.missing)


def hides_everything(status: str, *, was_checked: bool) -> bool:
    """Whether there are no cards at all, because no person has confirmed yet that the right account consented.

    `was_checked` says that some step was checked since that consent.
    """
    return status == ConnectionStatus.UNCONFIRMED and not was_checked


async def load_problems(session: Session, connection_id: UUID) -> dict[str, Finding]:
    """The findings of steps that failed, by step."""
    query = select(ProvisioningStep).where(ProvisioningStep.connection_id == connection_id, FAILED)
    rows = [row for row in (await session.execute(query)).scalars() if row.step in STEP_BY_KEY]
    return {row.step: Finding.from_json(row.finding) for row in rows if row.finding}


def readiness_after(failed: dict[str, Finding]) -> Readiness:
    """What is ready when these steps have failed: each takes away the kinds that need it."""
    kinds, missing = set(TicketKind), []
    for key in STEP_KEYS:
        if key not in failed or not STEP_BY_KEY[key].kinds:
            continue
        lost = STEP_BY_KEY[key].kinds
        kinds -= lost
        only = next(iter(lost)) if len(lost) == 1 else None
        meaning = failed[key].meaning
        missing.append(T("%(kind)s: %(why)s", kind=KIND_NAMES[only], why=meaning) if only else meaning)
    return Readiness(frozenset(kind.value for kind in kinds), tuple(missing))
