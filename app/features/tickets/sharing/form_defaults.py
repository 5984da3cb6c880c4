"""What the share form proposes before a person changes it. Pure: reads and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from app.core.messages import T
from app.features.connection.preferences import USUAL_PRIORITIES, Preferences
from app.features.secure_score.actions.action import Action
from app.features.tickets.types import LOWEST_CHANGE_PRIORITY, TicketKind

# A point of view, not a fact: the more an action moves the score, the sooner. Given in per cent of the whole score.
HIGH_IMPACT_PERCENT = 3.0
MODERATE_IMPACT_PERCENT = 1.0
IMPACTS = {priority: impact for impact, priority in USUAL_PRIORITIES.items()}


@dataclass(frozen=True)
class Draft:
    """The form's fields as proposed."""

    kind: str
    name: str
    description: str
    priority: int
    due_date: date
    category: str


def draft_for(action: Action | None, today: date, *, kind: str = "", preferences: Preferences | None = None) -> Draft:
    """A proposal for this action; for None an empty one, for a free task. An administrator's preferences decide first."""
    decided = preferences or Preferences()
    known_kinds = {known.value for known in TicketKind}
    wanted = next((name for name in (kind, decided.kind) if name in known_kinds), TicketKind.CHANGE.value)
    if action is None:
        return Draft(wanted, "", "", 3, today + timedelta(days=decided.due_days[3]), decided.category)
    priority = decided_priority(action, decided, TicketKind(wanted))
    return Draft(
        kind=wanted,
        name=action.title,
        description=describe(action),
        priority=priority,
        due_date=today + timedelta(days=decided.due_days[priority]),
        category=decided_category(action, decided),
    )


def decided_category(action: Action, decided: Preferences) -> str:
    """The action's own, or the one that an administrator wants where there is none."""
    return action.category.value if action.category else decided.category


def decided_priority(action: Action, decided: Preferences, kind: TicketKind) -> int:
    """The priority that an administrator wants for actions of this impact; a change request knows no Planning."""
    priority = decided.priorities[IMPACTS[proposed_priority(action.score_impact)]]
    return min(priority, LOWEST_CHANGE_PRIORITY) if kind is TicketKind.CHANGE else priority


def proposed_priority(score_impact: float | None) -> int:
    """High, Moderate or Low; Critical is for people to say."""
    if score_impact is None or score_impact < MODERATE_IMPACT_PERCENT:
        return 4
    return 2 if score_impact >= HIGH_IMPACT_PERCENT else 3


def describe(action: Action) -> str:
    """The action in plain text, part by part, as somebody who never saw the portal needs it."""
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
