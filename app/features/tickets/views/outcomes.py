"""Compares tickets with the score: what finished work brought, what is still missing, what was lost again. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from app.core import clock
from app.core.database import Session
from app.core.messages import Message, T
from app.features.connection.models import Connection
from app.features.secure_score.reports.current_points import Points, current_points
from app.features.tickets.models import Ticket, TicketAction
from app.features.tickets.polling.state_names import load_names
from app.features.tickets.types import Delivery, StateCategory
from app.features.tickets.views.ticket_details import TicketDetails
from app.features.tickets.views.ticket_list import TicketLine, line_of


class Outcome(StrEnum):
    """What the score says of a ticket, the most urgent first."""

    REGRESSED = "regressed"
    OVERDUE = "overdue"
    NO_POINTS = "no_points"
    STILL_OPEN = "still_open"
    EFFECTIVE = "effective"


ORDER: Sequence[Outcome] = tuple(Outcome)
OUTCOME_NAMES: dict[Outcome, Message] = {
    Outcome.REGRESSED: T("Closed, but regressed"),
    Outcome.OVERDUE: T("Done in ServiceNow, points overdue"),
    Outcome.NO_POINTS: T("Done in ServiceNow, no points yet"),
    Outcome.STILL_OPEN: T("Points achieved, ticket still open"),
    Outcome.EFFECTIVE: T("Effective"),
}


@dataclass(frozen=True)
class TicketOutcome:
    """One action with its newest ticket, and what the score says. `gained` is in points, against when it was shared."""

    control_id: str
    title: str
    ticket: TicketLine
    outcome: Outcome
    gained: float | None
    sentence: Message

    @property
    def may_reopen(self) -> bool:
        """Whether a new linked ticket is the answer."""
        return self.outcome is Outcome.REGRESSED


@dataclass(frozen=True)
class OutcomeSummary:
    """All of them, the most urgent first, counted by outcome. `as_of` is the day of the score they are compared with."""

    lines: list[TicketOutcome]
    counts: list[tuple[Outcome, Message, int]]
    as_of: date | None


@dataclass(frozen=True)
class _Shared:
    """An action's newest ticket."""

    control_id: str
    title: str
    points_then: float | None
    group: StateCategory
    since: datetime | None
    ticket: TicketLine


async def ticket_results(session: Session, tenant_id: str, connection: Connection | None) -> OutcomeSummary:
    """Every action that has a shared ticket at this connection, judged by its newest one; in three statements."""
    shared = await _newest_tickets(session, connection) if connection else []
    if not shared:
        return OutcomeSummary([], [], None)
    points = await current_points(session, tenant_id, [one.control_id for one in shared])
    now = clock.now()
    judged = [evaluate(one, points[one.control_id], now) for one in shared if one.control_id in points]
    lines = [result for result in judged if result is not None]
    lines.sort(key=lambda result: (ORDER.index(result.outcome), result.title))
    counted = Counter(result.outcome for result in lines)
    days = [found.as_of for found in points.values() if found.as_of is not None]
    return OutcomeSummary(
        lines,
        [(outcome, OUTCOME_NAMES[outcome], counted[outcome]) for outcome in ORDER if counted[outcome]],
        max(days, default=None),
    )


async def results_of_ticket(session: Session, tenant_id: str, ticket: TicketDetails) -> list[TicketOutcome]:
    """What the score says of this one ticket: a line for each of its actions that no later ticket is about."""
    if ticket.line.delivery != Delivery.SHARED or not ticket.judged:
        return []
    points = await current_points(session, tenant_id, [control_id for control_id, _, _ in ticket.judged])
    now, group = clock.now(), StateCategory(ticket.line.state_group)
    shared = [
        _Shared(control_id, title, points_then, group, ticket.state_since, ticket.line)
        for control_id, title, points_then in ticket.judged
    ]
    judged = [evaluate(one, points[one.control_id], now) for one in shared if one.control_id in points]
    return [result for result in judged if result is not None]


def evaluate(shared: _Shared, points: Points, now: datetime) -> TicketOutcome | None:
    """What the score says of it; None when it says nothing yet, as of an open ticket without points."""
    gained = _gained(shared.points_then, points.points)

    def result(outcome: Outcome, sentence: Message) -> TicketOutcome:
        return TicketOutcome(shared.control_id, points.title or shared.title, shared.ticket, outcome, gained, sentence)

    if shared.group is StateCategory.DONE and shared.since is not None:
        # A day's score is of its first moment, so a fall on the day of the closure came before it.
        if points.regressed_on is not None and points.regressed_on > shared.since.date():
            lost_on = points.regressed_on.isoformat()
            return result(Outcome.REGRESSED, T("closed, but regressed on %(day)s", day=lost_on))
        if points.is_full or (gained is not None and gained > 0):
            return result(Outcome.EFFECTIVE, _effective(gained))
        # Where Microsoft does not score the action any more, no points are to be expected.
        return _without_points(result, shared.since, points, now) if points.scored else None
    is_open = shared.group not in (StateCategory.DONE, StateCategory.CANCELED)
    if is_open and points.is_full and (gained is None or gained > 0):
        return result(Outcome.STILL_OPEN, T("Points achieved, ticket still open"))
    return None


def _without_points(
    result: Callable[[Outcome, Message], TicketOutcome], done_at: datetime, points: Points, now: datetime
) -> TicketOutcome:
    expected = done_at + points.usual_delay
    shows_it = points.as_of is not None and points.as_of > expected.date()  # An older score proves nothing.
    if now <= expected or not shows_it:
        sentence = T(
            "Done in ServiceNow, no points yet. Microsoft usually needs until %(day)s to show it.",
            day=expected.date().isoformat(),
        )
        return result(Outcome.NO_POINTS, sentence)
    days = (now - done_at).days
    sentence = T("Done in ServiceNow, no points yet, %(days)s days after. Was the whole action carried out?", days=days)
    return result(Outcome.OVERDUE, sentence)


def _effective(gained: float | None) -> Message:
    if gained is None or gained <= 0:
        return T("Effective: all points achieved")
    return T("Effective: +%(points)s points", points=f"{gained:g}")


def _gained(then: float | None, now: float | None) -> float | None:
    return None if then is None or now is None else round(now - then, 2)


async def _newest_tickets(session: Session, connection: Connection) -> list[_Shared]:
    """One per action: a ticket that was followed by another one is no longer judged."""
    query = (
        select(TicketAction, Ticket)
        .join(Ticket, Ticket.id == TicketAction.ticket_id)
        .where(Ticket.connection_id == connection.id, Ticket.delivery == Delivery.SHARED)
        .ext(distinct_on(TicketAction.control_id))
        .order_by(TicketAction.control_id, Ticket.created_at.desc(), Ticket.id)
    )
    names = await load_names(session)
    return [
        _Shared(
            control_id=action.control_id,
            title=action.title,
            points_then=action.points,
            group=names.group(ticket.connection_id, ticket.kind, ticket.state),
            since=ticket.state_since,
            ticket=line_of(ticket, names),
        )
        for action, ticket in await session.execute(query)
    ]
