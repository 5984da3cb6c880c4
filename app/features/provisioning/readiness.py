"""Says for which kinds of ticket everything is in place, and what is missing for the others. Touches rows only."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import and_, exists, func, select

from app.core.database import Session
from app.core.messages import Message, T
from app.features.connection.connection_view import connection_view
from app.features.connection.models import Connection, ConnectionStatus
from app.features.provisioning.finding import Finding, State
from app.features.provisioning.models import ProvisioningStep
from app.features.provisioning.steps import BY_KEY, KEYS
from app.features.tickets.types import KIND_NAMES, TicketKind

# What failed has failed until a new check says otherwise: cards must not come and go while one is under way.
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
        """Whether both cards may be shown."""
        return len(self.kinds) == len(TicketKind)


async def readiness(session: Session) -> Readiness:
    """As the last checks found it."""
    connection = await connection_view(session)
    if connection is None:
        return Readiness(frozenset(), (T("ServiceNow is not connected."),))
    if not connection.is_connected:
        return Readiness(frozenset(), (connection.attention or ATTENTION,))
    return judged(await problems(session, connection.id))


@dataclass(frozen=True)
class MissingSetup:
    """Kinds whose cards are not shown, and what is missing; while the connection waits for a person, only that."""

    hidden: frozenset[str] = frozenset()
    sentences: tuple[Message, ...] = ()


async def connection_and_missing(session: Session) -> tuple[Connection | None, MissingSetup]:
    """For the home page: the active connection and what provisioning lacks, in one query.

    A connection that stopped working hides nothing: its cards say how old they are. One that was not checked
    yet, because nobody has confirmed who consented, shows nothing.
    """
    of_this = ProvisioningStep.connection_id == Connection.id
    failed = (
        select(func.jsonb_object_agg(ProvisioningStep.step, ProvisioningStep.finding))
        .where(of_this, FAILED)
        .scalar_subquery()
    )
    was_checked = exists().where(of_this, ProvisioningStep.checked_at >= Connection.connected_at)
    query = select(Connection, failed, was_checked).where(Connection.status != ConnectionStatus.REMOVED)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None, MissingSetup()
    connection, found, checked = row
    if connection.status != ConnectionStatus.CONNECTED:
        sentence = Message.from_json(connection.attention) if connection.attention else ATTENTION
        nothing = hides_everything(connection.status, was_checked=checked)
        return connection, MissingSetup(
            frozenset(kind.value for kind in TicketKind) if nothing else frozenset(), (sentence,)
        )
    findings = {step: Finding.from_json(stored) for step, stored in (found or {}).items() if stored and step in BY_KEY}
    ready = judged(findings)
    return connection, MissingSetup(frozenset(kind.value for kind in TicketKind) - ready.kinds, ready.missing)


def hides_everything(status: str, *, was_checked: bool) -> bool:
    """Whether there are no cards at all because nobody has said yet that the right account consented.

    `was_checked` says that some step was checked since that consent.
    """
    return status == ConnectionStatus.UNCONFIRMED and not was_checked


async def problems(session: Session, connection_id: UUID) -> dict[str, Finding]:
    """The findings of steps that failed, by step."""
    query = select(ProvisioningStep).where(ProvisioningStep.connection_id == connection_id, FAILED)
    rows = await session.execute(query)
    return {row.step: Finding.from_json(row.finding) for row in rows.scalars() if row.finding and row.step in BY_KEY}


def judged(failed: dict[str, Finding]) -> Readiness:
    """What these failures leave."""
    kinds, missing = set(TicketKind), []
    for key in KEYS:
        if key not in failed or not BY_KEY[key].kinds:
            continue
        lost = BY_KEY[key].kinds
        kinds -= lost
        only = next(iter(lost)) if len(lost) == 1 else None
        meaning = failed[key].meaning
        missing.append(T("%(kind)s: %(why)s", kind=KIND_NAMES[only], why=meaning) if only else meaning)
    return Readiness(frozenset(kind.value for kind in kinds), tuple(missing))
