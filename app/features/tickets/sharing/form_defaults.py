"""Proposes a ticket for an improvement action, for several, or for none. Pure: reads and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from app.core.messages import T
from app.features.connection.preferences import USUAL_PRIORITIES, Preferences
from app.features.secure_score.actions.browse_actions import Action
from app.features.tickets.ticket_fields import TicketRequest, TicketSource
from app.features.tickets.types import DEFAULT_KIND, KINDS, TicketKind

# A judgment, not a fact: the more of the whole score an action moves, the sooner. In per cent of the whole score.
HIGH_IMPACT_PERCENT = 3.0
MODERATE_IMPACT_PERCENT = 1.0
IMPACTS = {priority: impact for impact, priority in USUAL_PRIORITIES.items()}
FREE_TASK_PRIORITY = 3


def propose(
    action: Action | None, today: date, *, kind: str = "", preferences: Preferences | None = None
) -> TicketRequest:
    """The request that the form shows first; for None an empty one, for a free task. `kind` overrides the preferences."""
    decided = preferences or Preferences()
    wanted = _kind_of(kind, decided.kind)
    priority = decided_priority(action, decided, wanted) if action else FREE_TASK_PRIORITY
    return TicketRequest(
        kind=wanted,
        name=action.title if action else "",
        description=describe(action) if action else "",
        priority=priority,
        due_date=today + timedelta(days=decided.due_days[priority]),
        source=TicketSource.MICROSOFT if action else TicketSource.USER,
        category=decided_category(action, decided) if action else decided.category,
    )


def propose_for_all(
    actions: Sequence[Action], today: date, *, kind: str = "", preferences: Preferences | None = None
) -> TicketRequest:
    """One ticket for all of these actions, as urgent as the most urgent of them."""
    decided = preferences or Preferences()
    first = propose(actions[0], today, kind=kind, preferences=decided)
    categories = {decided_category(action, decided) for action in actions}
    # Lower numbers are more urgent.
    priority = min(decided_priority(action, decided, first.kind) for action in actions)
    parts = [f"{number}. {action.title}\n{action.remediation}".strip() for number, action in enumerate(actions, 1)]
    return replace(
        first,
        name=str(T("%(count)s improvement actions of Microsoft Secure Score", count=len(actions))),
        description="\n\n".join(parts),
        priority=priority,
        due_date=today + timedelta(days=decided.due_days[priority]),
        category=categories.pop() if len(categories) == 1 else "",
    )


def _kind_of(*wanted: str) -> TicketKind:
    """The first of these that is a kind; they come from an address and from stored preferences."""
    known = {kind.value: kind for kind in TicketKind}
    return next((known[name] for name in wanted if name in known), DEFAULT_KIND)


def decided_category(action: Action, decided: Preferences) -> str:
    """The action's own category, or the administrator's where it has none of the five."""
    return action.category.value if action.category else decided.category


def decided_priority(action: Action, decided: Preferences, kind: TicketKind) -> int:
    """The administrator's priority for actions of this impact, as far as this kind has it."""
    priority = decided.priorities[IMPACTS[proposed_priority(action.score_impact)]]
    return min(priority, KINDS[kind].lowest_priority)


def proposed_priority(score_impact: float | None) -> int:
    """High (2), Moderate (3) or Low (4), by the impact in per cent; Critical is for people to decide."""
    # Critical (1) is never proposed: the score does not know what is critical in an organization.
    if score_impact is None or score_impact < MODERATE_IMPACT_PERCENT:
        return 4
    return 2 if score_impact >= HIGH_IMPACT_PERCENT else 3


def describe(action: Action) -> str:
    """The action in plain text, part by part, for a reader who has never seen the portal."""
    # The order in which a reader without the portal needs it: what it is, what to do, what that does to users.
    parts = [action.description]
    for title, text in (
        (T("What to do"), action.remediation),
        (T("What users will notice"), action.remediation_impact),
        (T("Threats it counters"), ", ".join(action.threats)),
        (T("Product"), action.product),
    ):
        if text:
            parts.append(f"{title}:\n{text}")
    return "\n\n".join(part.strip() for part in parts if part.strip())
