"""Compare tickets with Secure Score: points gained, still missing, or lost again. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, true

from app.core import clock
from app.core.database import Session
from app.core.messages import Message, T
from app.features.secure_score.models import ImprovementAction
from app.features.secure_score.reports.current_points import Points, current_points, points_columns, points_of
from app.features.tickets.models import Ticket, TicketAction
from app.features.tickets.types import Delivery, StateCategory
from app.features.tickets.views.ticket_classes import LineContext
from app.features.tickets.views.ticket_details import TicketDetails
from app.features.tickets.views.ticket_list import TicketLine, line_of, load_line_context
from app.features.tickets.views.ticket_pages import LINE_COLUMNS


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
        """Whether the page offers a new ticket that is linked to this one: only a ticket of the same instance can be."""
        return self.outcome is Outcome.REGRESSED and not self.ticket.archived_at


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


async def ticket_results(
    session: Session, tenant_id: str, connection_id: UUID | None, context: LineContext | None = None
) -> OutcomeSummary:
    """The outcome of every action with a shared ticket at this connection. With `context`, in one statement."""
    if connection_id is None:
        return OutcomeSummary([], [], None)
    now = clock.now()
    context = context or await load_line_context(session)
    days, lines = [], []
    for row in await session.execute(_newest_tickets(tenant_id, connection_id)):
        points, ticket = points_of(row), line_of(row, context)
        category = StateCategory(ticket.state_category)
        pair = ActionTicket(row.control_id, row.title_then, row.points_then, category, row.state_since, ticket)
        lines.append(evaluate(pair, points, now))
        days.append(points.as_of)
    found = sorted((line for line in lines if line), key=lambda result: (ORDER.index(result.outcome), result.title))
    counted = Counter(result.outcome for result in found)
    return OutcomeSummary(
        found,
        [(outcome, OUTCOME_NAMES[outcome], counted[outcome]) for outcome in ORDER if counted[outcome]],
        max((day for day in days if day is not None), default=None),
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
    if gained == 1:
        return T("Effective: +1 point")
    return T("Effective: +%(points)s points", points=f"{gained:g}")


def _gained(then: float | None, now: float | None) -> float | None:
    # Rounded: scores are floats, and 0.30000000000000004 would be shown as a gain.
    return None if then is None or now is None else round(now - then, 2)


def _newest_tickets(tenant_id: str, connection_id: UUID) -> Select[*tuple[Any, ...]]:
    """The newest ticket of each action that the score knows, with the action's points now and those of then."""
    # One step along ix_ticket_action_shared for each action: however many tickets it had, only the newest counts. OFFSET keeps
    # each ticket's row to a look by its id: else, without statistics (after a restore, say), PostgreSQL may read all tickets
    # of the connection for each action.
    of_action = select(*LINE_COLUMNS).where(Ticket.id == TicketAction.ticket_id).offset(0).correlate(TicketAction)
    ticket = of_action.lateral("of_action")
    newest = (
        select(TicketAction.title.label("title_then"), TicketAction.points.label("points_then"), *ticket.c)
        .join(ticket, true())
        .where(
            TicketAction.control_id == ImprovementAction.control_id,
            TicketAction.shared_created.is_not(None),
            ticket.c.connection_id == connection_id,
            ticket.c.delivery == Delivery.SHARED.value,
        )
        .order_by(TicketAction.shared_created.desc(), TicketAction.ticket_id)
        .limit(1)
        .lateral("newest")
    )
    return (
        select(*points_columns(tenant_id), newest)
        .select_from(ImprovementAction)
        .join(newest, true())
        .where(ImprovementAction.tenant_id == tenant_id)
    )
