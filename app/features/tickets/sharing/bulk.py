"""Several actions shared in one go: one ticket each, or one for all. Prepares and shows; `share` makes the tickets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import func, select

from app.core.database import Session
from app.core.errors import InvalidInput, NotFound
from app.core.messages import Message, T
from app.features.connection.preferences import Preferences
from app.features.secure_score.actions.action import Action, Category
from app.features.tickets.models import Ticket
from app.features.tickets.polling.state_names import load_names
from app.features.tickets.sharing.form_defaults import decided_category, decided_priority, describe, draft_for
from app.features.tickets.sharing.record import TicketRequest
from app.features.tickets.sharing.share import ShareCommand
from app.features.tickets.types import Delivery, StateCategory, TicketKind, TicketSource, priority_name
from app.features.tickets.views.ticket_list import TicketLine, line_of

MOST_AT_ONCE = 1000
SHOWN_AT_MOST = 50


@dataclass(frozen=True)
class BulkChoice:
    """What was chosen for all of them; None leaves it to each action: priority by its impact, and the due day by that.

    How impact becomes priority, and priority a day, is for the administrator's `preferences` to say.
    """

    kind: TicketKind
    priority: int | None
    due_date: date | None
    category: Category | None
    preferences: Preferences = field(default_factory=Preferences)


@dataclass(frozen=True)
class Preview:
    """One action as it would be sent on its own."""

    action: Action
    name: str
    description: str
    priority: int
    due_date: date
    tickets: list[TicketLine]

    @property
    def priority_name(self) -> Message:
        """In words."""
        return priority_name(str(self.priority))

    @property
    def is_open(self) -> bool:
        """Whether an open ticket of it exists already."""
        return any(ticket.is_open for ticket in self.tickets)

    @property
    def is_done(self) -> bool:
        """Whether a ticket of it was done, which might be reopened."""
        return any(ticket.state_category == StateCategory.DONE for ticket in self.tickets)


@dataclass(frozen=True)
class Batch:
    """How far the tickets of one go are. `held` are listed first, `shown` is bounded."""

    total: int
    shared: int
    queued: int
    held: int
    given_up: int
    lines: list[TicketLine]

    @property
    def percent(self) -> int:
        """How much of it has an end."""
        return (self.total - self.queued) * 100 // self.total


def preview(
    actions: Sequence[Action], tickets: dict[str, list[TicketLine]], choice: BulkChoice, today: date
) -> list[Preview]:
    """What each would be sent as."""
    return [
        Preview(
            action=action,
            name=action.title,
            description=describe(action),
            priority=_priority(action, choice),
            due_date=_due(_priority(action, choice), choice, today),
            tickets=tickets.get(action.control_id, []),
        )
        for action in actions
    ]


def commands_for_each(actions: Sequence[Action], choice: BulkChoice, today: date, form_key: UUID) -> list[ShareCommand]:
    """One ticket per action. Raises InvalidInput where a category has to be chosen and is not."""
    if choice.category is None and any(action.category is None for action in actions):
        raise InvalidInput(
            fields={"category": T("Some of these actions have none of the five categories. Choose one.")}
        )
    return [
        ShareCommand(
            TicketRequest(
                kind=choice.kind,
                name=action.title,
                description=describe(action),
                priority=_priority(action, choice),
                due_date=_due(_priority(action, choice), choice, today),
                source=TicketSource.MICROSOFT,
                category=(action.category or choice.category or Category.APPS).value,
            ),
            [action],
            f"{form_key}:{action.control_id}",
            again=True,  # The preview showed the open tickets, and ticked only what was wanted.
            batch_id=form_key,
        )
        for action in actions
    ]


def proposal_for_all(
    actions: Sequence[Action], today: date, *, kind: str = "", preferences: Preferences | None = None
) -> dict[str, str]:
    """Name, description and the rest, as one ticket for all of them proposes them: as urgent as the most urgent."""
    decided = preferences or Preferences()
    draft = draft_for(actions[0], today, kind=kind, preferences=decided)
    categories = {decided_category(action, decided) for action in actions}
    priority = min(decided_priority(action, decided, TicketKind(draft.kind)) for action in actions)
    parts = [f"{number}. {action.title}\n{action.remediation}".strip() for number, action in enumerate(actions, 1)]
    return {
        "kind": draft.kind,
        "name": str(T("%(count)s improvement actions of Microsoft Secure Score", count=len(actions))),
        "description": "\n\n".join(parts),
        "priority": str(priority),
        "due_date": (today + timedelta(days=decided.due_days[priority])).isoformat(),
        "category": categories.pop() if len(categories) == 1 else "",
    }


async def batch_of(session: Session, batch_id: UUID) -> Batch:
    """How far it is. Raises NotFound."""
    rows = await session.execute(
        select(Ticket.delivery, func.count()).where(Ticket.batch_id == batch_id).group_by(Ticket.delivery)
    )
    counts = {row[0]: row[1] for row in rows}
    if not counts:
        raise NotFound
    held_first = (Ticket.delivery != Delivery.HELD, Ticket.created_at, Ticket.id)
    query = select(Ticket).where(Ticket.batch_id == batch_id).order_by(*held_first).limit(SHOWN_AT_MOST)
    names = await load_names(session)
    return Batch(
        total=sum(counts.values()),
        shared=counts.get(Delivery.SHARED, 0),
        queued=counts.get(Delivery.QUEUED, 0),
        held=counts.get(Delivery.HELD, 0),
        given_up=counts.get(Delivery.GIVEN_UP, 0),
        lines=[line_of(ticket, names) for ticket in (await session.execute(query)).scalars()],
    )


def _priority(action: Action, choice: BulkChoice) -> int:
    return choice.priority or decided_priority(action, choice.preferences, choice.kind)


def _due(priority: int, choice: BulkChoice, today: date) -> date:
    days = choice.preferences.due_days
    return choice.due_date or today + timedelta(days=days.get(priority, days[4]))
