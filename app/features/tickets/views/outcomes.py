"""Compare tickets with Secure Score: points gained, still missing, or lost again. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import distinct_on

from app.core import clock
from app.core.database import Session
from app.core.messages import Message, T
from app.features.connection.models import Connection, ConnectionStatus
from app.features.secure_score.reports.current_points import Points, current_points
from app.features.tickets.models import Ticket, TicketAction
from app.features.tickets.types import Delivery, StateCategory
from app.features.tickets.views.ticket_details import TicketDetails
from app.features.tickets.views.ticket_list import TicketLine, line_of, load_line_context


class Outcome(StrEnum):
    """What the score says of a ticket. The order is that of urgency, the most urgent first."""

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
    """One action with its newest ticket. `gained` is in points since it was shared, None where one value is unknown."""

    control_id: str
    title: str
    ticket: TicketLine
    outcome: Outcome
    gained: float | None
    sentence: Message

    @property
    def may_reopen(self) -> bool:
        """Whether the page offers a new ticket that is linked to this one."""
        return self.outcome is Outcome.REGRESSED


@dataclass(frozen=True)
class OutcomeSummary:
    """`lines` are the most urgent first. `counts` are (outcome, name, number). `as_of` is the day of the newest score."""

    lines: list[TicketOutcome]
    counts: list[tuple[Outcome, Message, int]]
    as_of: date | None


@dataclass(frozen=True)
class ActionTicket:
    """An action with its newest ticket. `points_then` are of the moment of sharing, `since` is when the state changed."""

    control_id: str
    title: str
    points_then: float | None
    category: StateCategory
    since: datetime | None
    ticket: TicketLine


async def connection_with_kept_tickets(session: Session) -> Connection | None:
    """The connection that was removed last, if tickets of it are kept: their results stay true without it."""
    kept = exists().where(Ticket.connection_id == Connection.id, Ticket.delivery == Delivery.SHARED)
    removed = select(Connection).where(Connection.status == ConnectionStatus.REMOVED, kept)
    return (await session.execute(removed.order_by(Connection.removed_at.desc()).limit(1))).scalar_one_or_none()


async def ticket_results(session: Session, tenant_id: str, connection: Connection | None) -> OutcomeSummary:
    """The outcome of every action with a shared ticket at this connection, in three statements."""
    newest = await _newest_tickets(session, connection) if connection else []
    if not newest:
        return OutcomeSummary([], [], None)
    points = await current_points(session, tenant_id, [pair.control_id for pair in newest])
    lines = _evaluate_all(newest, points)
    lines.sort(key=lambda result: (ORDER.index(result.outcome), result.title))
    counted = Counter(result.outcome for result in lines)
    days = [found.as_of for found in points.values() if found.as_of is not None]
    return OutcomeSummary(
        lines,
        [(outcome, OUTCOME_NAMES[outcome], counted[outcome]) for outcome in ORDER if counted[outcome]],
        max(days, default=None),
    )


async def results_of_ticket(session: Session, tenant_id: str, ticket: TicketDetails) -> list[TicketOutcome]:
    """The outcomes of one ticket: a line for each of its actions that no later ticket is about."""
    if ticket.line.delivery != Delivery.SHARED or not ticket.rated:
        return []
    points = await current_points(session, tenant_id, [control_id for control_id, _, _ in ticket.rated])
    category = StateCategory(ticket.line.state_category)
    pairs = [
        ActionTicket(control_id, title, points_then, category, ticket.state_since, ticket.line)
        for control_id, title, points_then in ticket.rated
    ]
    return _evaluate_all(pairs, points)


def _evaluate_all(pairs: Sequence[ActionTicket], points: Mapping[str, Points]) -> list[TicketOutcome]:
    """Leaves out actions that the score does not know, or of which it says nothing yet."""
    now = clock.now()
    found = (evaluate(pair, points[pair.control_id], now) for pair in pairs if pair.control_id in points)
    return [outcome for outcome in found if outcome is not None]


def evaluate(pair: ActionTicket, points: Points, now: datetime) -> TicketOutcome | None:
    """None when the score says nothing yet, as of an open ticket without points."""
    gained = _gained(pair.points_then, points.points)

    def result(outcome: Outcome, sentence: Message) -> TicketOutcome:
        return TicketOutcome(pair.control_id, points.title or pair.title, pair.ticket, outcome, gained, sentence)

    if pair.category is StateCategory.DONE and pair.since is not None:
        # A day's score is computed at its beginning, so points lost on the day of the closure were lost before it.
        if points.regressed_on is not None and points.regressed_on > pair.since.date():
            return result(Outcome.REGRESSED, T("closed, but regressed on %(day)s", day=points.regressed_on))
        if points.is_full or (gained is not None and gained > 0):
            return result(Outcome.EFFECTIVE, _effective(gained))
        # No points can come for an action that Microsoft does not score any more.
        return _without_points(result, pair.since, points, now) if points.scored else None
    # Points that were there before the ticket say nothing of it, so some must have been gained since.
    is_followed = not pair.ticket.absence and not pair.ticket.archived_at
    is_open = is_followed and pair.category not in (StateCategory.DONE, StateCategory.CANCELED)
    if is_open and points.is_full and (gained is None or gained > 0):
        return result(Outcome.STILL_OPEN, T("Points achieved, ticket still open"))
    return None


def _without_points(
    result: Callable[[Outcome, Message], TicketOutcome], done_at: datetime, points: Points, now: datetime
) -> TicketOutcome:
    # Secure Score is computed once a day and lags behind the change by a time that depends on the product
    # (docs/facts/microsoft-graph.md#1-8-freshness-change-history-outlook).
    expected = done_at + points.usual_delay
    # Without a score from after that time, missing points prove nothing: the import may be late.
    shows_it = points.as_of is not None and points.as_of > expected.date()
    if now <= expected or not shows_it:
        sentence = T(
            "Done in ServiceNow, no points yet. Microsoft usually needs until %(day)s to show it.",
            day=expected.date(),
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
    # Rounded: scores are floats, and 0.30000000000000004 would be shown as a gain.
    return None if then is None or now is None else round(now - then, 2)


async def _newest_tickets(session: Session, connection: Connection) -> list[ActionTicket]:
    """One per action. Of several tickets only the newest counts."""
    query = (
        select(TicketAction, Ticket)
        .join(Ticket, Ticket.id == TicketAction.ticket_id)
        .where(Ticket.connection_id == connection.id, Ticket.delivery == Delivery.SHARED)
        .ext(distinct_on(TicketAction.control_id))
        .order_by(TicketAction.control_id, Ticket.created_at.desc(), Ticket.id)
    )
    context = await load_line_context(session)
    return [
        ActionTicket(
            control_id=action.control_id,
            title=action.title,
            points_then=action.points,
            category=context.names.category(ticket.connection_id, ticket.kind, ticket.state),
            since=ticket.state_since,
            ticket=line_of(ticket, context),
        )
        for action, ticket in await session.execute(query)
    ]
