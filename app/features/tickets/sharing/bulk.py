"""Turns several actions and one choice for all of them into share commands, one per action. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from uuid import UUID

from app.core.errors import InvalidInput
from app.core.messages import T
from app.features.connection.preferences import Preferences
from app.features.secure_score.actions.browse_actions import Action
from app.features.secure_score.vocabulary import Category
from app.features.tickets.sharing.form_defaults import decided_priority, propose
from app.features.tickets.sharing.share import ShareCommand
from app.features.tickets.ticket_fields import TicketRequest
from app.features.tickets.types import TicketKind

# A form of this many actions has some 100 kB, and is shared in one transaction within seconds.
MOST_AT_ONCE = 1000
# Of a priority without days of its own, which no form can produce: that of Low.
FALLBACK_PRIORITY = 4


@dataclass(frozen=True)
class BulkChoice:
    """What was chosen for all actions. None leaves priority to each action's impact, and the day to its priority.

    The administrator's `preferences` map impact to priority, and priority to days.
    """

    kind: TicketKind
    priority: int | None
    due_date: date | None
    category: Category | None
    preferences: Preferences = field(default_factory=Preferences)


def request_for(action: Action, choice: BulkChoice, today: date) -> TicketRequest:
    """The ticket of one action: what was chosen for all, else what is derived from the action and the preferences."""
    # Priorities begin at 1, hence `or`.
    priority = choice.priority or decided_priority(action, choice.preferences, choice.kind)
    days = choice.preferences.due_days
    category = action.category or choice.category
    return replace(
        propose(action, today, kind=choice.kind, preferences=choice.preferences),
        priority=priority,
        due_date=choice.due_date or today + timedelta(days=days.get(priority, days[FALLBACK_PRIORITY])),
        category=category.value if category else "",
    )


def commands_for_each(actions: Sequence[Action], choice: BulkChoice, today: date, form_key: UUID) -> list[ShareCommand]:
    """One ticket per action. Raises InvalidInput where a category has to be chosen and is not."""
    if choice.category is None and any(action.category is None for action in actions):
        raise InvalidInput(
            fields={"category": T("Some of these actions have none of the five categories. Choose one.")}
        )
    return [
        ShareCommand(
            request_for(action, choice, today),
            [action],
            f"{form_key}:{action.control_id}",
            again=True,  # The preview showed the open tickets, and ticked only actions without one.
            batch_id=form_key,
        )
        for action in actions
    ]
